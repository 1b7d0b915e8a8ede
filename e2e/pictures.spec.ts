// Pictures on the real engine: the built-in set as the page and the command line see it, a zip of one's own, training past the commonest
// class, the sheet before and after, and a picture tried out.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from '@playwright/test';
import { unzipSync, zipSync } from 'fflate';
import { numberOf, ready, settle, status, textOf, train } from './support/studio.mjs';

const root = join(import.meta.dirname, '..');
const SET = 'public/data/fashion-negative/data.zip';
/** Pictures of two of the ten classes, `n` of each. */
function few(n: number): Record<string, Uint8Array> {
  const all = Object.entries(unzipSync(new Uint8Array(readFileSync(join(root, SET)))));
  return Object.fromEntries(['Sneaker', 'Trouser'].flatMap((kind) => all.filter(([name]) => name.startsWith(`${kind}/`)).slice(0, n)));
}

test('Patch 4M learns two kinds of garments from a zip, shows what it takes them for, and looks at one more', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  await page.getByTestId('model-patch-4m').click();
  // Data that it cannot read make way; the plan of the model before is gone with it.
  await expect(page.getByTestId('data-fashion-negative')).toBeChecked();
  await expect(page.getByTestId('data-king-james')).toBeDisabled();
  await ready(page);
  await expect(page.getByTestId('picture-preview').locator('canvas')).toHaveCount(24);
  await expect(page.getByTestId('classes').locator('tr')).toHaveCount(10);
  await expect(page.getByTestId('row-seq')).toHaveCount(0);
  const { stdout } = await promisify(execFile)('node', [join(root, 'dist', 'cli.mjs'), 'data', '--model', 'public/models/patch-4m', '--data', SET, '--json'], { cwd: root });
  expect(await textOf(page, 'tokens-hash')).toBe((JSON.parse(stdout) as { tokensHash: string }).tokensHash);

  const files = few(30);
  await page.getByRole('radio', { name: 'Your file' }).click();
  await page.getByTestId('file-input-data').setInputFiles({ name: 'garments.zip', mimeType: 'application/zip', buffer: Buffer.from(zipSync(files)) });
  await expect(page.getByTestId('classes').locator('tr')).toHaveCount(2);
  for (const [name, value] of [['steps', '6'], ['lr', '4e-3'], ['warmup', '0']] as const) {
    await page.getByTestId(`box-${name}`).fill(value);
    await page.getByTestId(`box-${name}`).press('Enter');
  }
  await train(page);
  await status(page, /finished/);
  // Before training nothing was right; one in two is the commonest class.
  expect(await numberOf(page, 'score-accuracy')).toBeGreaterThan(80);
  await expect(page.getByTestId('sheet').locator('li')).toHaveCount(6);
  await expect(page.getByText('pictures/s').first()).toBeVisible();

  await page.getByTestId('tab-playground').click();
  const [name, bytes] = Object.entries(few(40)).find(([path]) => path.startsWith('Trouser/') && !(path in files)) as [string, Uint8Array];
  await page.getByTestId('try-file').setInputFiles({ name: name.split('/')[1] as string, mimeType: 'image/png', buffer: Buffer.from(bytes) });
  await page.getByTestId('try-look').click();
  await settle(page, async () => (await page.getByTestId('look-1').count()) > 0, 'the answer with the adapter');
  await expect(page.getByTestId('look-1').locator('tr').first()).toContainText('Trouser');
  // Bars are as long as what they stand for.
  const bars = await page.getByTestId('look-1').locator('.bar-cell i').evaluateAll((all) => all.map((bar) => bar.getBoundingClientRect().width));
  expect(bars[0]).toBeGreaterThan(10 * (bars[1] ?? Number.POSITIVE_INFINITY));

  // The same pictures for a model that matches them with texts: either way round, without and with a run's adapter.
  await page.getByTestId('tab-build').click();
  await page.getByTestId('model-pair-8m').click();
  await page.getByTestId('box-steps').fill('2');
  await page.getByTestId('box-steps').press('Enter');
  await ready(page);
  await train(page);
  await status(page, /finished/);
  await page.getByTestId('tab-playground').click();
  await page.getByTestId('try-held').getByRole('button').first().click();
  await page.getByTestId('try-texts').fill('a pair of trousers\na shoe\na piece of bread');
  await page.getByTestId('try-look').click();
  for (const voice of ['look-0', 'look-1']) {
    await expect(page.getByTestId(voice).locator('tbody tr')).toHaveCount(3, { timeout: 60_000 });
    const cosines = (await page.getByTestId(voice).locator('tbody tr td:last-child').allInnerTexts()).map(Number);
    expect(cosines).toEqual([...cosines].sort((a, b) => b - a));
    expect(Math.max(...cosines.map(Math.abs))).toBeLessThanOrEqual(1);
  }
  await page.screenshot({ path: join(root, 'out', 'shots', 'pair-try.png') });
  await page.getByTestId('try-for-text').click();
  await page.getByTestId('try-find').fill('Trouser');
  await page.getByTestId('try-look').click();
  await expect(page.getByTestId('look-1').locator('tbody canvas')).toHaveCount(6, { timeout: 60_000 });
  // One of the six shows trousers.
  await expect(page.getByTestId('look-1').locator('tbody canvas').first()).toHaveAttribute('aria-label', /Trouser/);
  await page.screenshot({ path: join(root, 'out', 'shots', 'pair-find.png') });
});
