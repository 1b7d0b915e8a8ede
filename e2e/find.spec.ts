// What is found and how: the palette, the methods, the device, setups as files, questions that train.
import { expect, test } from '@playwright/test';
import { ended, noViolations, open, quick, shot } from './support/recorded-journey';
import { serveRecordedPage } from './support/recorded-page';

let site: Awaited<ReturnType<typeof serveRecordedPage>>;
test.beforeAll(async () => {
  site = await serveRecordedPage();
});
test.afterAll(() => site.close());
test.use({ colorScheme: 'dark' });

test('the palette sets a value by its name, changes it in place, and opens what it finds', async ({ page }) => {
  await open(page, site.url);
  const input = page.getByTestId('palette-input');
  await page.keyboard.press('Control+k');
  await input.fill('rank 16');
  await expect(page.locator('.palette-foot')).toContainText('Set Rank to 16');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('box-rank')).toHaveValue('16');
  await page.keyboard.press('/');
  await input.fill('rank');
  await page.keyboard.press('ArrowRight');
  await expect(page.locator('[cmdk-item][data-selected=true]')).toContainText('17');
  await shot(page, 'palette-dark');
  await noViolations(page);
  await page.keyboard.press('Escape');
  await expect(page.getByTestId('box-rank')).toHaveValue('17');
  // A setting that hides under "More" is opened and focused.
  await page.keyboard.press('Control+k');
  await input.fill('patience');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('field-patience')).toBeInViewport();
  // Settings of another method are there, grey.
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await input.fill('gate threshold');
  await expect(page.locator('[cmdk-item]').first()).toContainText('not this method');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('method-sora')).toHaveAttribute('aria-checked', 'true');
  await page.keyboard.press('Escape');
  await page.keyboard.press('Control+k');
  await input.fill('seed 7000000000');
  await expect(page.locator('.palette-foot')).not.toContainText('Set Seed');
  await input.fill('compare');
  await page.keyboard.press('Escape');
});

test('the methods: filtered without moving, read, used from the keyboard', async ({ page }) => {
  await open(page, site.url);
  await page.keyboard.press('m');
  const before = await page.getByTestId('card-sora').boundingBox();
  await page.getByLabel('Filter by name or paper').fill('hu et');
  await expect(page.getByTestId('card-sora')).toHaveClass(/dimmed/);
  expect(await page.getByTestId('card-sora').boundingBox()).toEqual(before);
  await page.getByLabel('Filter by name or paper').fill('');
  await shot(page, 'methods-dark');
  await noViolations(page);
  await page.keyboard.press('Tab');
  await page.getByTestId('card-sora').focus();
  await expect(page.locator('.method-detail h2')).toHaveText('SoRA');
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('method-sora')).toHaveAttribute('aria-checked', 'true');
  await page.keyboard.press('Escape');
  await page.locator('.brand').click();
  await page.keyboard.press('m');
  await page.keyboard.press('t');
  await expect(page.locator('html')).toHaveAttribute('data-theme', 'light');
  await shot(page, 'methods-light');
  await noViolations(page);
});

test('the device panel: memory, self-test, a timed step, kernels and why', async ({ page }) => {
  await open(page, site.url);
  await page.getByTestId('device-button').click();
  await expect(page.getByTestId('device-memory')).toContainText('41.2 MB');
  await expect(page.getByTestId('switched-off')).toContainText('matmul/thin LANES=64: y is off by 2.1e-1');
  // No share of a roofline before one was measured.
  await expect(page.locator('.device-panel')).not.toContainText('roofline');
  await page.getByTestId('self-test').click();
  await expect(page.getByTestId('self-test-result')).toHaveText('3 of 3 product kernels agree with f64. 2 of 3 fast kernels agree with the plain ones and are on.');
  await expect(page.getByTestId('gates').getByRole('row').first()).toContainText('off: y is off by');
  await page.getByTestId('bench').click();
  await expect(page.getByTestId('bench-result')).toContainText('84 ms a step');
  await expect(page.getByTestId('bench-limits')).toContainText('11.8 GB/s copied, 6.4 GFLOP/s');
  await expect(page.getByRole('row', { name: /optim\/adamw/ })).toContainText(/72\.0\s% memory/);
  // A lookup reads a part of its table: what it could reach at most is not known, and not said.
  await expect(page.getByRole('row', { name: /embedding\/lookup/ })).not.toContainText('%');
  await expect(page.locator('.device-panel')).toContainText('fastest of those timed');
  await shot(page, 'device-dark');
  await noViolations(page);
});

test('a setup leaves as a file and comes back from one; a wrong one changes nothing', async ({ page }) => {
  await open(page, site.url);
  await page.getByTestId('box-rank').fill('24');
  await page.getByTestId('box-rank').press('Enter');
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Save as file' }).click()]);
  const saved = Buffer.concat((await (await download.createReadStream()).toArray()) as Buffer[]);
  await page.getByTestId('method-sora').click();
  await page.getByRole('radio', { name: 'Your file' }).click();
  const give = (name: string, buffer: Buffer) => page.getByTestId('file-input-data').setInputFiles({ name, mimeType: 'application/json', buffer });
  const wrong = { ...JSON.parse(saved.toString()), holdout: 7 };
  await give('wrong.json', Buffer.from(JSON.stringify(wrong)));
  await expect(page.getByText('wrong.json holds no setup that can be used.')).toBeVisible();
  await expect(page.getByText('holdout')).toBeVisible();
  await expect(page.getByTestId('method-sora')).toHaveAttribute('aria-checked', 'true');
  await give('setup.json', saved);
  await expect(page.getByTestId('method-lora')).toHaveAttribute('aria-checked', 'true');
  await expect(page.getByTestId('box-rank')).toHaveValue('24');
  await expect(page.getByTestId('train-button')).toBeEnabled();
});

test('a question trains with two clicks', async ({ page }) => {
  await open(page, site.url);
  await page.getByTestId('tab-train').click();
  await shot(page, 'empty-dark');
  await noViolations(page);
  await page.getByTestId('recipe-ranks').click();
  await expect(page.getByTestId('run-status')).toHaveAttribute('data-status', 'running');
  await expect(page.locator('.runhead')).toContainText('SoRA');
  await ended(page);
});

test('a notice is asked for by a press, and stays asked for', async ({ page, context }) => {
  await context.grantPermissions(['notifications']);
  await open(page, site.url);
  await quick(page);
  await page.getByTestId('train-button').click();
  await page.getByRole('button', { name: 'Tell me when it ends' }).click();
  await expect(page.getByRole('button', { name: 'Tell me when it ends' })).toHaveAttribute('aria-pressed', 'true');
  await ended(page);
});
