// The built-in models beside the story tellers: an encoder learns hidden words on the page, its weights kept as int8, classes from a
// sheet, tags of words, and pairs of texts. Those of pictures have a journey of their own.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, type Page, test } from '@playwright/test';
import { unzipSync } from 'fflate';
import { exportAdapter, numberOf, ready, settle, status, train } from './support/studio.mjs';

const root = join(import.meta.dirname, '..');
async function setNumbers(page: Page, numbers: Readonly<Record<string, number>>): Promise<void> {
  for (const [name, value] of Object.entries(numbers)) {
    await page.getByTestId(`box-${name}`).fill(String(value));
    await page.getByTestId(`box-${name}`).press('Enter');
  }
}
/** Meanings of nouns and verbs out of the built-in word list, 100 of each, as a sheet. */
function meanings(): string {
  const entries = readFileSync(join(root, 'public/data/wordnet-json/data.jsonl'), 'utf8').trim().split('\n').map((line) => JSON.parse((JSON.parse(line) as { completion: string }).completion) as { pos: string; meaning: string });
  const rows = ['noun', 'verb'].flatMap((pos) => entries.filter((entry) => entry.pos === pos).slice(0, 100));
  return `id,meaning,kind\n${rows.map(({ meaning, pos }, i) => `${i},"${meaning.replaceAll('"', '""')}",${pos}`).join('\n')}\n`;
}

test('Gloss 1M fills in hidden words, over weights kept as int8', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  await page.getByTestId('model-gloss-1m').click();
  await expect(page.getByText('BertForMaskedLM').first()).toBeVisible();
  await ready(page);
  const wide = await numberOf(page, 'plan-bytes');
  await page.getByTestId('weights').click();
  await page.getByRole('option', { name: 'int8' }).click();
  await expect(page).toHaveURL(/w=int8/);
  await expect.poll(() => numberOf(page, 'plan-bytes')).toBeLessThan(wide);
  await ready(page);
  await setNumbers(page, { steps: 3 });
  await ready(page);
  await train(page);
  await status(page, /finished/);
  const loss = await numberOf(page, 'val-loss-value');
  expect(loss).toBeGreaterThan(1);
  expect(loss).toBeLessThan(Math.log(8192));

  await page.getByTestId('tab-playground').click();
  await page.getByTestId('try-text').fill('a small animal');
  await page.getByTestId('try-look').click();
  await expect(page.getByTestId('error-message')).toContainText('Write [MASK] where one is to be filled in');
  await page.getByTestId('try-text').fill('an animal that lives in the [MASK]');
  await page.getByTestId('try-look').click();
  await settle(page, async () => (await page.getByTestId('look-1').count()) > 0, 'the words with the adapter');
  await expect(page.getByTestId('look-0').locator('tr')).toHaveCount(6);
  await page.screenshot({ path: join(root, 'out', 'shots', 'words-try.png') });
});

test('a sheet of texts with classes: trained past the commonest class, a text tried out, and the command line finds the same in the export', async ({ page }) => {
  const folder = await mkdtemp(join(tmpdir(), 'lowrank-classes-'));
  const file = join(folder, 'meanings.csv');
  await writeFile(file, meanings());
  await page.goto('/');
  await ready(page);
  await page.getByTestId('model-gloss-1m').click();
  await ready(page);
  await page.getByRole('radio', { name: 'Your file' }).click();
  await page.getByTestId('file-input-data').setInputFiles(file);
  await page.getByTestId('task').click();
  await page.getByRole('option', { name: 'Sort texts into classes' }).click();
  for (const [column, role] of [['meaning', 'text'], ['kind', 'label']] as const) {
    await page.getByTestId(`column-${column}`).click();
    await page.getByRole('option', { name: role, exact: true }).click();
  }
  await expect(page.getByTestId('classes').locator('tr')).toHaveCount(2);
  await setNumbers(page, { steps: 12, lr: 3e-3, warmup: 0, batch: 8, seq: 32 });
  await ready(page);
  await page.screenshot({ path: join(root, 'out', 'shots', 'classes-build.png') });
  await train(page);
  await status(page, /finished/);
  await page.screenshot({ path: join(root, 'out', 'shots', 'classes-train.png') });
  // Half of them are nouns.
  const accuracy = await numberOf(page, 'score-accuracy');
  expect(accuracy).toBeGreaterThan(75);
  const loss = await numberOf(page, 'val-loss-value');
  await expect(page.getByTestId('sheet').locator('tr').first()).toContainText(/noun|verb/);

  await page.getByTestId('tab-playground').click();
  await page.getByTestId('try-text').fill('a small animal with fur that lives in the woods');
  await page.getByTestId('try-look').click();
  await settle(page, async () => (await page.getByTestId('look-1').count()) > 0, 'the answer with the adapter');
  await expect(page.getByTestId('look-1').locator('tr').first()).toContainText('noun');
  await page.screenshot({ path: join(root, 'out', 'shots', 'classes-try.png') });

  for (const [name, bytes] of Object.entries(unzipSync(await exportAdapter(page)))) await writeFile(join(folder, name.split('/').at(-1) as string), bytes);
  const { stdout } = await promisify(execFile)('node', [join(root, 'dist', 'cli.mjs'), 'eval', '--model', 'public/models/gloss-1m', '--adapter', folder, '--data', file, '--columns', 'text=meaning,label=kind', '--seq', '32', '--batch', '8', '--held-out', '0.1', '--seed', '7', '--json'], { cwd: root });
  const found = JSON.parse(stdout.trim().split('\n').at(-1) as string) as { loss: number; accuracy: number };
  expect(100 * found.accuracy).toBeCloseTo(accuracy, 0);
  expect(Math.abs(found.loss - loss)).toBeLessThan(1e-3);
  await rm(folder, { recursive: true, force: true });
});

test('words with tags, then pairs of texts: both learned on the page, measured, and tried out', async ({ page }) => {
  const kinds = ['bird', 'fish', 'tree', 'coin', 'song', 'boat', 'bread', 'star'];
  const give = async (name: string, text: string, task: string) => {
    await page.getByTestId('file-input-data').setInputFiles({ name, mimeType: 'text/plain', buffer: Buffer.from(text) });
    await page.getByTestId('task').click();
    await page.getByRole('option', { name: task }).click();
    await setNumbers(page, { steps: 12, lr: 3e-3, warmup: 0, batch: 8, seq: 16 });
    await ready(page);
    await train(page);
    await status(page, /finished/);
  };
  await page.goto('/');
  await ready(page);
  await page.getByTestId('model-gloss-1m').click();
  await ready(page);
  await page.getByRole('radio', { name: 'Your file' }).click();
  await give('words.jsonl', Array.from({ length: 48 }, (_, i) => JSON.stringify({ tokens: ['on', 'day', `${i}`, 'a', kinds[i % 8]], tags: ['O', 'O', 'O', 'O', 'B-THING'] })).join('\n'), 'Tag the words of texts');
  expect(await numberOf(page, 'score-accuracy')).toBeGreaterThan(75);
  await expect(page.getByTestId('score-entity_f1')).not.toBeEmpty();
  // Words with their tags: one that is mistaken says what it is.
  await expect(page.getByTestId('sheet-worst').locator('tr').first()).toContainText(/on day \d+.* a (bird|fish|tree|coin|song|boat|bread|star)/);
  await expect(page.getByTestId('sheet-best').locator('.tagged sub').first()).toContainText('B-THING');
  await page.screenshot({ path: join(root, 'out', 'shots', 'tags-train.png') });
  await page.getByTestId('tab-playground').click();
  await page.getByTestId('try-text').fill('on day 3 a bird');
  await page.getByTestId('try-look').click();
  await expect(page.getByTestId('look-1').locator('tr')).toContainText([/on: O/, /day: O/, /3: O/, /a: O/, /bird: /], { timeout: 60_000 });

  await page.getByTestId('tab-build').click();
  await give('pairs.csv', `anchor,positive\n${Array.from({ length: 64 }, (_, i) => `${kinds[i % 8]} of day ${i},the ${kinds[i % 8]} ${i} again`).join('\n')}\n`, 'Match texts that belong together');
  expect(await numberOf(page, 'score-recall_5')).toBeGreaterThan(50);
  await expect(page.getByTestId('sheet-best').locator('tr').first()).toContainText(/of day \d+\s*the \w+ \d+ again\s*#\d+ · 0\.\d\d/);
  await page.screenshot({ path: join(root, 'out', 'shots', 'pairs-train.png') });
  await page.getByTestId('tab-playground').click();
  await page.getByTestId('try-text').fill('bird of day 3');
  await page.getByTestId('try-second').fill('the coin 5 again\nBird of day 3');
  await page.getByTestId('try-look').click();
  // The same text has the cosine 1, whatever was learned.
  await expect(page.getByTestId('look-1').locator('tbody tr').first()).toContainText(/1\s*Bird of day 3\s*.*1\.000/, { timeout: 60_000 });
  await page.screenshot({ path: join(root, 'out', 'shots', 'pairs-try.png') });
});
