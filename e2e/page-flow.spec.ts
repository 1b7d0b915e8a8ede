// The page alone, over a recorded engine: every screen, every state, the keyboard, both themes, a phone, and accessibility.
import { expect, type Page, test } from '@playwright/test';
import { ended, noViolations, open as openPage, quick } from './support/recorded-journey';
import { serveRecordedPage } from './support/recorded-page';

let site: Awaited<ReturnType<typeof serveRecordedPage>>;
test.beforeAll(async () => {
  site = await serveRecordedPage();
});
test.afterAll(() => site.close());

const open = (page: Page, hash = '') => openPage(page, site.url + hash);

test('a first visitor trains with one press, and takes the adapter away', async ({ page }) => {
  await open(page);
  await page.getByTestId('train-button').click();
  await expect(page.getByTestId('sample-off')).toContainText('Lily');
  await expect(page.getByTestId('sample-on')).toContainText('the adapter has not changed this text yet');
  await expect(page).toHaveTitle(/\d+ % · Lowrank Studio/);
  await ended(page);
  await expect(page).toHaveTitle('Lowrank Studio');
  await expect(page.getByTestId('step-count')).toHaveText('200');
  await expect(page.getByTestId('sample-on')).toContainText('word of the LORD');
  await expect(page.getByTestId('val-loss-value')).toHaveText(/^3\.\d{3}$/);
  await page.getByTestId('tab-export').click();
  await page.getByTestId('export-button').click();
  await expect(page.getByTestId('receipt')).toContainText('1.9e-6');
  await expect(page.getByTestId('file-preview')).toContainText('"peft_type": "LORA"');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('download-button').click()]);
  expect(download.suggestedFilename()).toBe('lora-king-james.zip');
});

test('pause, resume, stop and save, from the keyboard too', async ({ page }) => {
  await open(page);
  await page.getByTestId('train-button').click();
  await expect(page.getByTestId('run-status')).toHaveAttribute('data-status', 'running');
  await page.getByTestId('pause-button').click();
  await expect(page.getByTestId('run-status')).toHaveAttribute('data-status', 'paused');
  const step = await page.getByTestId('step-count').innerText();
  await page.waitForTimeout(300);
  expect(await page.getByTestId('step-count').innerText()).toBe(step);
  await page.locator('h1').click();
  await page.keyboard.press('Space');
  await expect(page.getByTestId('run-status')).toHaveAttribute('data-status', 'running');
  await page.keyboard.press('Control+.');
  await expect(page.getByTestId('run-status')).toHaveAttribute('data-status', 'stopped');
  await expect(page.getByTestId('run-status')).toHaveText('stopped and saved');
});

test('leaving asks first while a run trains, and not otherwise', async ({ page }) => {
  await open(page);
  await page.getByTestId('train-button').click();
  await expect(page.getByTestId('run-status')).toHaveAttribute('data-status', 'running');
  let asked = 0;
  page.on('dialog', (dialog) => {
    asked++;
    void dialog.dismiss();
  });
  await page.close({ runBeforeUnload: true });
  await expect.poll(() => asked).toBe(1);
});

test('a method’s series and views appear from its card, live and in Explore', async ({ page }) => {
  await open(page);
  await page.getByTestId('method-sora').click();
  await quick(page);
  await page.getByTestId('train-button').click();
  await expect(page.getByTestId('view-gates')).toBeVisible();
  await expect(page.getByRole('figure', { name: /^Ranks kept/ })).toBeVisible();
  await ended(page);
  await page.getByTestId('tab-explore').click();
  await page.getByTestId('explore-gates').click();
  const map = page.getByRole('img', { name: /^Gates: modules × ranks/ });
  await map.focus();
  await page.keyboard.press('ArrowDown');
  await page.keyboard.press('ArrowDown');
  await expect(page.locator('.heat-reading')).toContainText('model.layers.0.self_attn.k_proj, 1:');
  await page.getByRole('radio', { name: 'Fewest first' }).click();
  await page.getByRole('slider', { name: 'Step shown' }).focus();
  await page.keyboard.press('Home');
  await expect(page.locator('.time-row')).toContainText('336of 336 are not zero');
  await noViolations(page);
});

test('a method without views of its own is explored all the same', async ({ page }) => {
  await open(page);
  await quick(page);
  await page.getByTestId('train-button').click();
  await ended(page);
  await page.getByTestId('tab-explore').click();
  await expect(page.getByTestId('cut-slider')).toBeVisible();
  await expect(page.getByTestId('explore-cut')).toHaveCount(0);
});

test('a broken file names its line, keeps the setup, and lets one go back', async ({ page }) => {
  await open(page);
  await page.getByTestId('box-rank').fill('16');
  await page.getByTestId('box-rank').press('Enter');
  await page.getByRole('radio', { name: 'Your file' }).click();
  await page.getByTestId('file-input-data').setInputFiles({ name: 'notes.jsonl', mimeType: 'application/jsonl', buffer: Buffer.from('{"text":"a"}\n{"text":"b"}\nBROKEN\n') });
  await expect(page.getByTestId('error-message')).toContainText('line 3, column 24');
  await expect(page.getByTestId('error-message')).toContainText('Repair line 3');
  await expect(page.getByTestId('train-button')).toBeDisabled();
  await expect(page.locator('#train-reason')).toHaveText('The data could not be used.');
  await page.getByRole('button', { name: 'Go back to King James text' }).click();
  await expect(page.getByTestId('train-button')).toBeEnabled();
  await expect(page.getByTestId('box-rank')).toHaveValue('16');
});

test('a model folder without its config is refused and the old model stays within reach', async ({ page }) => {
  await open(page);
  await page.getByRole('radio', { name: 'Your folder' }).click();
  await page.getByTestId('drop-zone-model').evaluate((zone) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(['x'], 'model.safetensors'));
    zone.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: transfer }));
  });
  await expect(page.getByTestId('error-message')).toContainText('config.json is not among the 1 files');
  await page.getByRole('button', { name: 'Go back to tale-1m' }).click();
  await expect(page.getByTestId('train-button')).toBeEnabled();
});

test('own text by drop anywhere and by paste', async ({ page }) => {
  await open(page);
  await page.locator('.app').evaluate((app) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([Array.from({ length: 40 }, (_, i) => `line ${i}`).join('\n')], 'ships.txt', { type: 'text/plain' }));
    app.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: transfer }));
  });
  await expect(page.getByRole('region', { name: 'Data' })).toContainText('ships.txt, read on this machine');
  await expect(page.getByTestId('train-button')).toBeEnabled();
  await page.getByRole('radio', { name: 'Paste text' }).click();
  await page.getByTestId('paste-area').fill('one short line');
  await page.getByRole('button', { name: 'Use this text' }).click();
  await expect(page.getByRole('region', { name: 'Data' })).toContainText('1 rows are very few');
});

test('what does not fit is said before it is tried', async ({ page }) => {
  await open(page);
  for (const [name, value] of [['batch', '200'], ['seq', '512']] as const) {
    await page.getByTestId(`box-${name}`).fill(value);
    await page.getByTestId(`box-${name}`).press('Enter');
  }
  await expect(page.getByTestId('error-message')).toContainText('Lower the batch from 200 to');
  await expect(page.getByTestId('train-button')).toBeDisabled();
  await expect(page.locator('#train-reason')).toHaveText('It does not fit this device.');
  await page.getByTestId('preset-balanced').click();
  await expect(page.getByTestId('train-button')).toBeEnabled();
});

test('the setup is in the address, and opens from it', async ({ page }) => {
  await open(page);
  await page.getByTestId('method-sora').click();
  await page.getByTestId('box-steps').fill('120');
  await page.getByTestId('box-steps').press('Enter');
  await page.getByRole('button', { name: 'q, v' }).click();
  await expect(page).toHaveURL(/#v1&m=tale-1m&d=king-james&a=sora&on=.*&t\.steps=120$/);
  await page.reload();
  await expect(page.getByTestId('method-sora')).toHaveAttribute('aria-checked', 'true');
  await expect(page.getByTestId('box-steps')).toHaveValue('120');
  await expect(page.getByText('12 of 42 linear layers')).toBeVisible();
});

test('the site grid paints, toggles columns and rows, and moves with the arrows', async ({ page }) => {
  await open(page);
  const cell = (layer: number, module: string) => page.getByRole('button', { name: new RegExp(`^layer ${layer}, ${module},`) });
  await cell(0, 'q_proj').hover();
  await page.mouse.down();
  await cell(1, 'q_proj').hover();
  await cell(2, 'q_proj').hover();
  await page.mouse.up();
  await expect(page.getByText('39 of 42 linear layers')).toBeVisible();
  await page.getByRole('button', { name: 'q_proj in every layer' }).click();
  await expect(page.getByText('42 of 42 linear layers')).toBeVisible();
  await page.getByRole('button', { name: 'all of layer 5' }).press('Enter');
  await expect(page.getByText('35 of 42 linear layers')).toBeVisible();
  await cell(0, 'q_proj').focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  await expect(cell(1, 'k_proj')).toBeFocused();
  await page.keyboard.press('Space');
  await expect(cell(1, 'k_proj')).toHaveAttribute('aria-pressed', 'false');
});

test('charts share the cursor and the zoom', async ({ page }) => {
  await open(page);
  await quick(page);
  await page.getByTestId('train-button').click();
  await ended(page);
  const chart = page.locator('.loss-chart .u-over');
  const box = await chart.boundingBox();
  if (!box) throw new Error('no chart');
  await page.mouse.move(box.x + box.width / 2, box.y + 60);
  await expect(page.locator('.u-pill:visible')).toHaveCount(3);
  expect(new Set(await page.locator('.u-pill:visible').allInnerTexts()).size).toBe(1);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.75, box.y + 60, { steps: 4 });
  await page.mouse.up();
  await expect(page.getByRole('button', { name: /Reset zoom/ })).toBeVisible();
  await page.keyboard.press('0');
  await expect(page.getByRole('button', { name: /Reset zoom/ })).toHaveCount(0);
});

for (const colorScheme of ['dark', 'light'] as const) {
  test(`every screen passes the accessibility rules, ${colorScheme}`, async ({ browser }) => {
    const context = await browser.newContext({ colorScheme, reducedMotion: 'reduce', viewport: { width: 1440, height: 900 } });
    const page = await context.newPage();
    await open(page);
    await noViolations(page);
    await quick(page);
    await page.getByTestId('train-button').click();
    await ended(page);
    await noViolations(page);
    await page.getByTestId('tab-export').click();
    await page.getByTestId('export-button').click();
    await expect(page.getByTestId('receipt')).toBeVisible();
    await noViolations(page);
    await context.close();
  });
}

test('on a phone the actions are at the thumb and nothing is wider than the screen', async ({ browser }) => {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 } });
  const page = await context.newPage();
  await open(page);
  const wide = () => page.evaluate(() => [...document.querySelectorAll<HTMLElement>('main, main > *')].filter((element) => element.scrollWidth > innerWidth).map((element) => element.className));
  expect(await wide()).toEqual([]);
  await expect(page.locator('.phone-actions .primary')).toBeInViewport();
  await page.locator('.phone-actions .primary').click();
  await expect(page.getByRole('button', { name: 'Pause' })).toBeInViewport();
  await expect(page.getByTestId('sample-on')).toBeInViewport();
  expect(await wide()).toEqual([]);
  await context.close();
});

test('without WebGPU the page says which rung is missing and what to do', async ({ playwright, launchOptions }) => {
  const plain = await playwright.chromium.launch({ ...launchOptions, args: (launchOptions.args ?? []).filter((flag) => !/webgpu/.test(flag)) });
  const page = await (await plain.newContext()).newPage();
  await page.goto(site.url);
  await expect(page.getByTestId('no-webgpu')).toContainText('requestAdapter() returned nothing');
  await expect(page.getByTestId('no-webgpu')).toContainText('--enable-unsafe-webgpu --use-webgpu-adapter=swiftshader');
  await page.getByRole('tab', { name: 'Firefox' }).click();
  await expect(page.getByRole('tabpanel')).toContainText('dom.webgpu.enabled');
  await noViolations(page);
  await plain.close();
});
