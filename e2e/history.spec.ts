// Runs outlive the page: a reload in the middle, a lost device, deleting with a way back, entries that cannot be read.
import { expect, type Page, test } from '@playwright/test';
import { ended, noViolations, open, quick, shot } from './support/recorded-journey';
import { serveRecordedPage } from './support/recorded-page';

let site: Awaited<ReturnType<typeof serveRecordedPage>>;
test.beforeAll(async () => {
  site = await serveRecordedPage();
});
test.afterAll(() => site.close());
test.use({ colorScheme: 'dark' });

const trained = async (page: Page) => {
  await quick(page);
  await page.getByTestId('train-button').click();
  await ended(page);
};
const status = (page: Page, wanted: string) => expect(page.getByTestId('run-status')).toHaveAttribute('data-status', wanted);

test('a finished run is there after a reload, answers a prompt and is exported', async ({ page }) => {
  await open(page, site.url);
  await trained(page);
  const validation = await page.getByTestId('val-loss-value').innerText();
  await expect(page.getByTestId('storage')).toContainText('in this browser');
  await page.waitForTimeout(400);
  await page.reload();
  await page.getByTestId('tab-train').click();
  await status(page, 'finished');
  await expect(page.getByTestId('val-loss-value')).toHaveText(validation);
  await expect(page.getByTestId('sample-on')).toContainText('word of the LORD');
  await page.getByTestId('own-prompt').fill('Hello');
  await page.getByTestId('own-prompt-button').click();
  await expect(page.locator('.sample.prompt')).toContainText('Hello');
  await page.getByTestId('tab-export').click();
  await page.getByTestId('export-button').click();
  await expect(page.getByTestId('receipt')).toBeVisible();
});

test('a run of an earlier visit is opened in Explore when asked', async ({ page }) => {
  await open(page, site.url);
  await trained(page);
  await expect(page.getByTestId('storage')).toContainText('in this browser');
  await page.waitForTimeout(400);
  await page.reload();
  await page.getByTestId('tab-explore').click();
  await page.getByTestId('explore-wake').click();
  await expect(page.getByTestId('cut-loss')).toHaveAttribute('data-exact', /./);
});

test('a run that a reload interrupts is offered again and goes on from its kept state', async ({ page }) => {
  await open(page, site.url);
  await page.getByTestId('train-button').click();
  await expect(page.locator('.foot')).toContainText('state kept at step');
  await page.getByTestId('pause-button').click();
  await status(page, 'paused');
  const step = Number(await page.getByTestId('step-count').innerText());
  page.on('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await page.getByTestId('tab-train').click();
  await expect(page.getByTestId('interrupted')).toContainText('Its state was kept at step');
  await expect(page.getByTestId('run-status')).toHaveText('interrupted');
  await shot(page, 'train-interrupted-dark');
  await noViolations(page);
  await page.getByTestId('go-on').first().click();
  await status(page, 'running');
  await ended(page);
  await expect(page.getByTestId('step-count')).toHaveText('200');
  expect(step).toBeGreaterThan(0);
  await expect(page.getByTestId('interrupted')).toHaveCount(0);
  // One run, not two; and no step without a loss.
  await expect(page.locator('.rail-run')).toHaveCount(1);
});

test('a lost device comes back by itself, and the run goes on with the same first loss', async ({ page }) => {
  await open(page, site.url);
  await page.getByTestId('train-button').click();
  await expect(page.locator('.foot')).toContainText(/state kept at step (40|60|80)/);
  await page.getByTestId('own-prompt').fill('lose the device');
  await page.getByTestId('own-prompt-button').click();
  await expect(page.getByTestId('recovery')).toContainText('and is back');
  await expect(page.getByTestId('recovery')).toContainText('GPU process exited');
  await shot(page, 'train-lost-dark');
  await noViolations(page);
  await ended(page);
  await expect(page.getByTestId('step-count')).toHaveText('200');
  await page.getByRole('button', { name: 'Dismiss' }).click();
  await expect(page.getByTestId('recovery')).toHaveCount(0);
});

test('a device that does not come back is said on every screen, with both ways on', async ({ page }) => {
  await open(page, site.url);
  await trained(page);
  await page.getByTestId('own-prompt').fill('lose the device for good');
  await page.getByTestId('own-prompt-button').click();
  await expect(page.getByTestId('error-message')).toContainText('Restart the browser.');
  await page.getByTestId('tab-build').click();
  await expect(page.getByRole('button', { name: 'Ask for a new device' })).toBeVisible();
  await expect(page.getByRole('button', { name: 'Reload the page' })).toBeVisible();
  await expect(page.getByTestId('train-button')).toBeDisabled();
});

test('deleting can be undone; otherwise it is for good', async ({ page }) => {
  await open(page, site.url);
  await trained(page);
  await page.getByTestId('delete-run').click();
  await expect(page.locator('.rail-run')).toHaveCount(0);
  await page.getByRole('button', { name: 'Undo' }).click();
  await expect(page.locator('.rail-run')).toHaveCount(1);
  await page.getByTestId('delete-run').click();
  await page.waitForTimeout(400);
  await page.reload();
  await expect(page.getByTestId('train-button')).toBeEnabled();
  await page.getByTestId('tab-train').click();
  await expect(page.getByRole('heading', { name: 'No run yet' })).toBeVisible();
});

test('an entry that cannot be read is told and can be saved as a file', async ({ page }) => {
  await open(page, site.url);
  await trained(page);
  await page.waitForTimeout(400);
  await page.evaluate(() => new Promise<void>((resolve, reject) => {
    const opening = indexedDB.open('lowrank');
    opening.onsuccess = () => {
      const transaction = opening.result.transaction('runs', 'readwrite');
      transaction.objectStore('runs').put({ format: 'lowrank-run-99', words: 'of a later version' }, 'later');
      transaction.oncomplete = () => { opening.result.close(); resolve(); };
      transaction.onerror = () => reject(transaction.error);
    };
  }));
  await page.reload();
  await page.getByTestId('tab-train').click();
  await expect(page.getByTestId('unreadable')).toContainText('1 kept run cannot be read');
  await expect(page.getByTestId('unreadable')).toContainText('"lowrank-run-99"');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save as file' }).click()]);
  const text = await (await download.createReadStream()).toArray();
  expect(Buffer.concat(text as Buffer[]).toString()).toContain('of a later version');
  await expect(page.locator('.rail-run')).toHaveCount(1);
});

test('out of memory names what to lower, and lowers it', async ({ page }) => {
  await open(page, site.url);
  await page.getByTestId('train-button').click();
  await status(page, 'running');
  await page.getByTestId('own-prompt').fill('run out of memory');
  await page.getByTestId('own-prompt-button').click();
  await expect(page.getByTestId('error-message')).toContainText('Out of memory');
  await shot(page, 'train-memory-dark');
  await noViolations(page);
  await page.getByRole('button', { name: 'Lower the batch from 4 to 2' }).click();
  await expect(page.getByTestId('box-batch')).toHaveValue('2');
  await expect(page.getByTestId('train-button')).toBeEnabled();
});
