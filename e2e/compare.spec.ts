// Methods held against one another at equal size: set up in one form, trained in a queue, read off one table.
import { expect, type Page, test } from '@playwright/test';
import { noViolations, open, quick, setBox, shot } from './support/recorded-journey';
import { serveRecordedPage } from './support/recorded-page';

let site: Awaited<ReturnType<typeof serveRecordedPage>>;
test.beforeAll(async () => {
  site = await serveRecordedPage();
});
test.afterAll(() => site.close());
test.use({ colorScheme: 'dark' });

async function queued(page: Page, rates: string, seeds: number): Promise<void> {
  await quick(page);
  await setBox(page, 'steps', 20);
  await page.getByTestId('tab-compare').click();
  await page.keyboard.press('Control+k');
  await page.getByTestId('palette-input').fill('compare methods');
  await page.keyboard.press('Enter');
  await page.getByTestId('arm-sora').check();
  await page.getByTestId('rates').fill(rates);
  await setBox(page, 'seeds', seeds);
  await expect(page.getByTestId('start-comparison')).toHaveText(`Train ${2 * rates.split(' ').length * seeds} runs`);
  await page.getByTestId('start-comparison').click();
}
const done = (page: Page) => expect(page.getByTestId('queue')).toHaveCount(0, { timeout: 60_000 });

test('two methods, two rates, two seeds: one table, sorted, pinned, copied', async ({ page, context }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await open(page, site.url);
  await queued(page, '1e-3 3e-3', 2);
  await expect(page.getByTestId('queue')).toContainText(/run \d of 8/);
  await page.getByTestId('tab-build').click();
  await expect(page.locator('#train-reason')).toContainText(/run is going on|comparison is going on/);
  await page.getByTestId('tab-compare').click();
  await done(page);
  const table = page.getByTestId('runs-table');
  await expect(table.locator('tbody tr')).toHaveCount(4);
  // Runs that differ only in the seed stand together, each with its spread; the column in which all agree is gone.
  await expect(table.locator('tbody tr').first()).toContainText('×2');
  await expect(table).toContainText('lr');
  await expect(table.locator('thead')).not.toContainText('batch');
  await table.getByRole('button', { name: 'Val loss', exact: true }).click();
  await expect(table.locator('th[aria-sort=ascending]')).toContainText('Val loss');
  await expect(table.locator('tbody tr').first()).toContainText('SoRA');
  await table.getByRole('button', { name: 'Pin Parameters to the left' }).focus();
  await page.keyboard.press('Enter');
  await expect(table.locator('thead tr').nth(1).locator('th').nth(1)).toContainText('Parameters');
  await page.getByRole('button', { name: 'Copy as Markdown' }).click();
  const markdown = await page.evaluate(() => navigator.clipboard.readText());
  expect(markdown.split('\n').length).toBe(7);
  expect(markdown).toContain('baseline');
  await page.getByRole('button', { name: 'Copy as CSV' }).click();
  const csv = await page.evaluate(() => navigator.clipboard.readText());
  expect(csv.trim().split('\n').length).toBe(9);
  expect(csv).toContain('validation_loss');
  await page.getByLabel('Only differences').uncheck();
  await expect(table.locator('thead')).toContainText('batch');
  await page.getByLabel('Only differences').check();
  await page.getByLabel('Seeds together').uncheck();
  await expect(table.locator('tbody tr')).toHaveCount(8);
  await page.getByLabel('Seeds together').check();
  for (const axis of ['time', 'flops', 'step']) {
    await page.getByTestId(`axis-${axis}`).click();
    await expect(page.getByRole('figure', { name: /^Validation loss/ })).toBeVisible();
  }
  for (const cost of ['memory', 'time', 'trainable']) {
    await page.getByTestId(`cost-${cost}`).click();
    await expect(page.locator('.scatter .point')).toHaveCount(4);
  }
  const chart = await page.locator('.overlay .u-over').boundingBox();
  if (!chart) throw new Error('no chart');
  await page.mouse.move(chart.x + chart.width * 0.6, chart.y + 80);
  await expect(page.locator('.overlay .legend')).toContainText('best four at');
  await shot(page, 'compare-dark');
  await noViolations(page);
  await page.keyboard.press('t');
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  // The curves take the new theme's colours: the accent of the old one is nowhere in the drawing.
  const accents = await page.locator('.overlay canvas').evaluate((canvas: HTMLCanvasElement) => {
    const { data } = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height) ?? { data: [] };
    const count = (r: number, g: number, b: number) => { let n = 0; for (let i = 0; i < data.length; i += 4) if (data[i] === r && data[i + 1] === g && data[i + 2] === b && data[i + 3] === 255) n++; return n; };
    return { dark: count(0x46, 0xcd, 0xb9), light: count(0x00, 0x75, 0x6a) };
  });
  expect(accents.dark).toBe(0);
  expect(accents.light).toBeGreaterThan(0);
  await shot(page, 'compare-light');
  await noViolations(page);
});

test('it is paused, outlives a reload, goes on, and is cancelled', async ({ page }) => {
  await open(page, site.url);
  await queued(page, '1e-3', 3);
  await expect(page.getByTestId('queue')).toContainText(/run [2-6] of 6/);
  await page.getByTestId('queue-pause').click();
  await expect(page.getByTestId('queue-resume')).toBeVisible();
  await page.waitForTimeout(500);
  page.on('dialog', (dialog) => void dialog.accept());
  await page.reload();
  await expect(page.getByTestId('train-button')).toBeEnabled();
  await page.getByTestId('tab-compare').click();
  await expect(page.getByTestId('queue')).toContainText('left from an earlier visit');
  const rows = await page.getByTestId('runs-table').locator('tbody tr').count();
  await page.getByTestId('queue-resume').click();
  await expect(page.getByTestId('queue')).toContainText('run');
  await expect.poll(async () => page.locator('.foot').innerText()).toMatch(/step/);
  await page.getByTestId('queue-cancel').click();
  await done(page);
  expect(await page.getByTestId('runs-table').locator('tbody tr').count()).toBeGreaterThanOrEqual(rows);
  await page.getByTestId('tab-build').click();
  await expect(page.getByTestId('train-button')).toBeEnabled();
});

test('tags and notes are written, kept and filtered by', async ({ page }) => {
  await open(page, site.url);
  await quick(page);
  await setBox(page, 'steps', 10);
  for (let i = 0; i < 2; i++) {
    await page.getByTestId('tab-build').click();
    await page.getByTestId('train-button').click();
    await expect(page.getByTestId('run-status')).toHaveAttribute('data-status', 'finished');
  }
  await page.getByTestId('tab-compare').click();
  await page.getByLabel('Add a tag').fill('keep');
  await page.getByLabel('Add a tag').press('Enter');
  await page.getByTestId('remark').fill('the second of two');
  await page.getByTestId('remark').press('Enter');
  await expect(page.getByTestId('runs-table')).toContainText('the second of two');
  await page.waitForTimeout(500);
  await page.reload();
  await page.getByTestId('tab-compare').click();
  await page.getByLabel('Seeds together').uncheck();
  await expect(page.getByTestId('runs-table').locator('tbody tr')).toHaveCount(2);
  await page.getByRole('combobox', { name: 'Runs with the tag' }).click();
  await page.getByRole('option', { name: 'keep' }).click();
  await expect(page.getByTestId('runs-table').locator('tbody tr')).toHaveCount(1);
  await expect(page.getByTestId('remark')).toHaveValue('the second of two');
});
