// The main job on the real engine: a page in Chromium trains on software WebGPU, and Node reads back what it exported.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, type Page, test } from '@playwright/test';
import { unzipSync } from 'fflate';
import { choose, exportAdapter, numberOf, ready, samples, status, train } from './support/studio.mjs';

const root = join(import.meta.dirname, '..');
const lowrank = async (...args: string[]) => {
  const { stdout } = await promisify(execFile)('node', [join(root, 'dist', 'cli.mjs'), ...args, '--json'], { cwd: root });
  return stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
};

async function setSteps(page: Page, steps: number): Promise<void> {
  await ready(page);
  const box = page.getByTestId('box-steps');
  await box.fill(String(steps));
  await box.press('Enter');
  await ready(page);
}

let folder: string;
test.beforeAll(async () => { folder = await mkdtemp(join(tmpdir(), 'lowrank-journey-')); });
test.afterAll(() => rm(folder, { recursive: true, force: true }));

test('train, pause, go on, export; and Node finds the same validation loss in the exported file', async ({ page }) => {
  await page.goto('/');
  await setSteps(page, 8);
  await train(page);
  await status(page, /running/);
  await expect(page.getByTestId('sample-on')).toContainText('has not changed this text yet');
  const start = await samples(page);
  expect(start.on).toBe(start.off);
  await page.getByTestId('pause-button').click();
  await status(page, /paused/);
  await page.getByTestId('resume-button').click();
  await status(page, /finished/);
  await expect(page.getByTestId('step-count')).toHaveText('8');
  const validation = await numberOf(page, 'val-loss-value');

  const files = unzipSync(await exportAdapter(page));
  const difference = await numberOf(page, 'receipt-difference');
  expect(difference).toBeLessThan(1e-3);
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(folder, name.split('/').at(-1) as string), bytes);

  const modules = (await lowrank('inspect', folder)).filter((event) => event.event === 'module');
  expect(modules.length).toBe(42);
  expect(modules.every((module) => (module.frobenius as number) > 0)).toBe(true);
  // The page's defaults: rows of 64 tokens by four, a tenth held out under seed 7.
  const held = ['--data', 'public/data/king-james/data.txt', '--held-out', '0.1', '--seed', '7', '--batch', '4', '--seq', '64'];
  const [base] = await lowrank('eval', '--model', 'public/models/tale-1m', ...held);
  const [tuned] = await lowrank('eval', '--model', 'public/models/tale-1m', '--adapter', folder, ...held);
  // The page shows three decimals; another driver rounds elsewhere in the last bits.
  expect(Math.abs((tuned?.loss as number) - validation)).toBeLessThan(1e-3);
  expect(tuned?.loss as number).toBeLessThan((base?.loss as number) - 0.02);
});

test('SoRA shows its gates', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  await choose(page, { method: 'sora' });
  await setSteps(page, 3);
  await train(page);
  await status(page, /finished/);
  await page.getByTestId('tab-explore').click();
  await page.getByTestId('explore-gates').click();
  await expect(page.getByText('of 336 are not zero').filter({ visible: true })).toHaveCount(1);
});

test('a broken line is named, and the data before stay', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  await page.getByRole('radio', { name: 'Your file' }).click();
  await page.getByTestId('file-input-data').setInputFiles({ name: 'rows.jsonl', mimeType: 'application/json', buffer: Buffer.from('{"text":"a good line"}\n{"text": broken}\n') });
  await expect(page.getByTestId('error-message').first()).toContainText('line 2');
  await page.getByRole('button', { name: /^Go back to/ }).click();
  await expect(page.getByTestId('train-button')).toBeEnabled();
});

test('a forged model is refused, and the model before stays', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  const config = await (await page.request.get('/models/tale-1m/config.json')).body();
  const tokenizer = await (await page.request.get('/models/tale-1m/tokenizer.json')).body();
  const weights = await (await page.request.get('/models/tale-1m/model.safetensors')).body();
  const directory = join(folder, 'forged');
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'config.json'), config);
  await writeFile(join(directory, 'tokenizer.json'), tokenizer);
  await writeFile(join(directory, 'model.safetensors'), weights.subarray(0, weights.length - 100));
  await page.getByRole('radio', { name: 'Your folder' }).click();
  await page.getByTestId('file-input-model').setInputFiles(directory);
  await expect(page.getByTestId('error-message').first()).toContainText('model.safetensors');
  await page.getByRole('button', { name: /^Go back to/ }).click();
  await expect(page.getByTestId('train-button')).toBeEnabled();
});

test('a run that a reload interrupts goes on from its kept state to the same validation loss', async ({ page }) => {
  const setup = '/#v1&m=tale-1m&d=king-james&a=lora&t.steps=8&t.saveEvery=3&s.every=0&s.maxTokens=4';
  page.on('dialog', (dialog) => void dialog.accept());
  await page.goto(setup);
  await train(page);
  await status(page, /finished/);
  const whole = await numberOf(page, 'val-loss-value');
  await page.getByTestId('tab-build').click();
  await train(page);
  await expect(page.locator('.foot')).toContainText(/state kept at step [36]/, { timeout: 120_000 });
  await page.getByTestId('pause-button').click();
  await status(page, /paused/);
  await page.waitForTimeout(500);
  await page.reload();
  await ready(page);
  await page.getByTestId('tab-train').click();
  await expect(page.getByTestId('interrupted')).toContainText('Its state was kept at step');
  await page.getByTestId('go-on').first().click();
  await status(page, /finished/);
  await expect(page.getByTestId('step-count')).toHaveText('8');
  expect(await numberOf(page, 'val-loss-value')).toBe(whole);
  // The first run is of an earlier visit now: its adapter is loaded again, and exported.
  await page.getByRole('button', { name: 'lora-king-james', exact: true }).click();
  await exportAdapter(page);
  expect(await numberOf(page, 'receipt-difference')).toBeLessThan(1e-3);
});

test('the device panel tests its kernels and times a step', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  // One row, so that a step of this adapter takes a third of a second.
  await page.getByTestId('box-batch').fill('1');
  await page.getByTestId('box-batch').press('Enter');
  await ready(page);
  await page.getByTestId('device-button').click();
  await page.getByTestId('self-test').click();
  const result = page.getByTestId('self-test-result');
  await expect(result).toBeVisible({ timeout: 120_000 });
  const [passed, all] = ((await result.innerText()).match(/\d+/g) ?? []).map(Number);
  expect(all).toBeGreaterThan(1);
  expect(passed).toBe(all);
  await expect(result).toContainText(/All \d+ fast kernels agree|fast kernels agree with the plain ones/);
  await page.getByTestId('bench').click();
  await expect(page.getByTestId('bench-result')).toContainText('dispatches a step', { timeout: 120_000 });
  await expect(page.getByTestId('bench-limits')).toContainText(/[\d.]+ GB\/s copied, [\d.]+ GFLOP\/s/);
  await expect(page.getByRole('row', { name: /optim\/adamw.*(memory|compute)/ })).toBeVisible();
  await expect(page.locator('.device-panel .kernels').last()).toContainText('matmul');
  await page.screenshot({ path: 'out/shots/device-real.png' });
});
