// A model and data of one's own: from files, from a Hub on this machine, checked against the command line; on the real engine.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import AxeBuilder from '@axe-core/playwright';
import { expect, type Page, test } from '@playwright/test';
import { type MockHub, startHub } from './support/mock-hub.mjs';
import { ready } from './support/studio.mjs';

const root = join(import.meta.dirname, '..');
const MODEL = join(root, 'public', 'models', 'tale-1m');
const lowrank = async (args: string[], env: NodeJS.ProcessEnv = {}) => {
  const { stdout } = await promisify(execFile)('node', [join(root, 'dist', 'cli.mjs'), ...args, '--json'], { cwd: root, env: { ...process.env, ...env } });
  return stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
};

const animals = ['fox', 'hen', 'cow', 'pig', 'dog', 'owl', 'bat', 'cat'];
const reviews = Array.from({ length: 64 }, (_, i) => ({ id: i, body: `The ${animals[i % 8]} number ${i} ${i % 3 ? 'was kind and came home' : 'was cross and ran away'}.`, mood: i % 3 ? 'good' : 'bad' }));
const csv = `id,body,mood\n${reviews.map(({ id, body, mood }) => `${id},"${body}",${mood}`).join('\n')}\n`;
const talks = Array.from({ length: 40 }, (_, i) => JSON.stringify({ messages: [{ role: 'user', content: `Name animal ${i}.` }, { role: 'assistant', content: `A ${animals[i % 8]}.` }, { role: 'user', content: 'Another?' }, { role: 'assistant', content: `A ${animals[(i + 1) % 8]}.` }] })).join('\n');

let folder: string;
let hub: MockHub;
test.beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lowrank-sources-'));
  const files = Object.fromEntries(await Promise.all((await readdir(MODEL)).map(async (name) => [name, new Uint8Array(await readFile(join(MODEL, name)))] as const)));
  hub = await startHub({
    repos: {
      'tales/tale-1m': { commit: 'c0ffee00c0ffee', files },
      'tales/closed': { commit: 'cafe', files, gated: true, accepted: 'hf_good' },
      'tales/reviews': { kind: 'dataset', commit: 'd00d', files: { 'test.csv': Buffer.from('body,mood\nx,good\n'), 'train.csv': Buffer.from(csv) } },
    },
  });
});
test.afterAll(async () => {
  await hub.close();
  await rm(folder, { recursive: true, force: true });
});

async function noViolations(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`)).toEqual([]);
}
/** A picture in both themes, each without a fault of accessibility. */
async function picture(page: Page, name: string): Promise<void> {
  for (const theme of ['dark', 'light'] as const) {
    if ((await page.evaluate(() => document.documentElement.dataset.theme)) !== theme) await page.getByRole('button', { name: 'Switch theme (T)' }).click();
    await page.screenshot({ path: join(root, 'out', 'sources', `${name}-${theme}.png`) });
    await noViolations(page);
  }
}

async function giveData(page: Page, name: string, content: string | Buffer): Promise<void> {
  await page.getByRole('radiogroup', { name: 'Data' }).or(page.getByRole('group', { name: 'Data' })).getByText('Your file').click();
  await page.getByTestId('file-input-data').setInputFiles({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(content) });
}
/** What the page says of the tokens, once the file is read. */
async function tokensHash(page: Page, before = ''): Promise<string> {
  await expect(page.getByTestId('tokens-hash')).not.toHaveText(before, { timeout: 60_000 });
  return page.getByTestId('tokens-hash').innerText();
}
async function chooseRole(page: Page, column: string, role: string): Promise<void> {
  await page.getByTestId(`column-${column}`).click();
  await page.getByRole('option', { name: role, exact: true }).click();
}
async function toHub(page: Page, kind: 'model' | 'dataset', name: string, token = ''): Promise<void> {
  const pane = page.getByRole('region', { name: kind === 'model' ? 'Base model' : 'Data' });
  await pane.getByText('Hugging Face', { exact: true }).click();
  const form = pane.locator('.hub-source');
  await form.getByText('Token and address').click();
  await form.getByTestId(`hub-address-${kind}`).fill(hub.url);
  await form.getByTestId(`hub-token-${kind}`).fill(token);
  await form.getByTestId(`hub-name-${kind}`).fill(name);
  await form.getByTestId(`hub-look-${kind}`).click();
}

test('a sheet of reviews: columns chosen, classes counted, the split set, and the command line finds the same tokens', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  const builtin = await tokensHash(page);
  await giveData(page, 'reviews.csv', csv);
  // Nothing in it has a usual name: the page asks, and offers the columns.
  await expect(page.getByTestId('error-message')).toContainText('the columns are "id", "body", "mood"');
  await chooseRole(page, 'body', 'text');
  await chooseRole(page, 'mood', 'label');
  const first = await tokensHash(page, builtin);
  await expect(page.getByTestId('classes')).toContainText('good');
  await expect(page.getByTestId('raw-rows')).toContainText('The fox number 0 was cross');
  await page.getByTestId('box-test').fill('0.1');
  await page.getByTestId('box-test').press('Enter');
  await expect(page.getByTestId('split')).toHaveText('52 train, 6 held out, 6 for a test');
  await page.getByTestId('field-pack').getByRole('switch').click();
  await expect(page.getByTestId('packing')).toContainText('52 rows in');
  await expect(page.getByTestId('train-button')).toBeEnabled();
  const hash = await tokensHash(page, first);
  await picture(page, 'data');

  const file = join(folder, 'reviews.csv');
  await writeFile(file, csv);
  const [facts] = await lowrank(['data', '--model', MODEL, '--data', file, '--columns', 'text=body,label=mood', '--seq', '64', '--seed', '7', '--held-out', '0.1', '--test', '0.1', '--pack']);
  expect(facts).toMatchObject({ event: 'data', form: 'label', trainRows: 52, validationRows: 6, testRows: 6, tokensHash: hash });
});

test('conversations carry loss on the assistant alone, and the same file in another form has the same tokens', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  const builtin = await tokensHash(page);
  await giveData(page, 'talks.jsonl', talks);
  const lines = await tokensHash(page, builtin);
  const row = page.locator('.toks').first();
  await expect(row.locator('.tok.on').first()).toHaveText('A');
  expect((await row.locator('.tok.on').allInnerTexts()).join('').replace(/\s+/g, ' ')).toMatch(/^A \w+\.<\|eos\|>A \w+\.<\|eos\|>$/);
  await giveData(page, 'talks.json', `[${talks.split('\n').join(',')}]`);
  await expect(page.getByText('talks.json, read on this machine')).toBeVisible();
  await ready(page);
  expect(await page.getByTestId('tokens-hash').innerText()).toBe(lines);
});

test('a hundred thousand rows are read in the background, and can be cancelled', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  const builtin = await tokensHash(page);
  const many = Array.from({ length: 100_000 }, (_, i) => JSON.stringify({ text: `Row ${i}: the ${animals[i % 8]} went over hill ${i % 977} and met the ${animals[(i * 5) % 8]}.` })).join('\n');
  await giveData(page, 'many.jsonl', many);
  const cancel = page.getByTestId('cancel-load');
  await expect(page.getByText('Reading many.jsonl').first()).toBeVisible({ timeout: 60_000 });
  // The page answers at once while the worker works: the longest task of the page's own thread is counted.
  const slowest = await page.evaluate(async () => {
    let most = 0;
    for (let i = 0, last = performance.now(); i < 60; i++) {
      await new Promise((next) => setTimeout(next, 16));
      const now = performance.now();
      most = Math.max(most, now - last);
      last = now;
    }
    return most;
  });
  expect(slowest).toBeLessThan(1000);
  await cancel.click();
  await expect(page.getByTestId('error-message')).toContainText('loading was stopped');
  await page.getByRole('button', { name: /^Go back to/ }).click();
  await ready(page);
  expect(await page.getByTestId('tokens-hash').innerText()).toBe(builtin);
});

test('a model of the Hub: size and fit before the download, a broken connection that goes on, and nothing asked twice', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  await toHub(page, 'model', 'tales/nothing');
  await expect(page.getByTestId('error-message')).toContainText('there is no such model that everyone may read');
  hub.faults.push({ match: /api/, status: 429, headers: { 'retry-after': '3600' } });
  await page.getByTestId('hub-name-model').fill('tales/tale-1m');
  await page.getByTestId('hub-look-model').click();
  await expect(page.getByTestId('error-message')).toContainText('It wants 3600 seconds of rest');
  await page.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByTestId('hub-fits')).toContainText('at the peak with the present setup');
  await expect(page.getByTestId('hub-found-model')).toContainText('1,613,440');
  const large = hub.log.filter((line) => line.startsWith('cdn GET') && line.includes('model.safetensors'));
  expect(large.every((line) => /bytes=\d+-\d+$/.test(line))).toBe(true);
  await picture(page, 'hub');

  hub.log.length = 0;
  hub.faults.push({ match: /lfs.*model\.safetensors/, cutAfter: 1_000_000 });
  await page.getByTestId('hub-use-model').click();
  await ready(page);
  const downloads = hub.log.filter((line) => line.startsWith('cdn GET') && line.includes('model.safetensors'));
  expect(downloads).toEqual([expect.stringMatching(/bytes=0-$/), expect.stringMatching(/bytes=[1-9]\d*-$/)]);

  // In the next visit the weights are here already.
  await page.reload();
  hub.log.length = 0;
  await toHub(page, 'model', 'tales/tale-1m');
  await expect(page.getByTestId('hub-use-model')).toHaveText('Use it: it is here already');
  expect(hub.log.some((line) => line.startsWith('cdn GET'))).toBe(false);
});

test('a download that broke off for good is said, leaves the model before in place, and goes on in a later try', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  await toHub(page, 'model', 'tales/tale-1m');
  await expect(page.getByTestId('hub-fits')).toBeVisible();
  hub.faults.push({ match: /lfs.*model\.safetensors/, cutAfter: 1_000_000 }, { match: /lfs.*model\.safetensors/, times: 99, cutAfter: 0 });
  await page.getByTestId('hub-use-model').click();
  const said = page.getByTestId('error-message').filter({ hasText: 'the connection broke' });
  await expect(said).toContainText('it goes on where it stopped');
  const had = Number(/(\d+) of \d+ bytes came/.exec(await said.innerText())?.[1]);
  expect(had).toBeGreaterThan(0);
  await expect(page.getByRole('button', { name: /^Go back to/ })).toBeVisible();
  hub.faults.length = 0;
  hub.log.length = 0;
  await said.getByRole('button', { name: 'Try again' }).click();
  await ready(page);
  expect(hub.log.filter((line) => line.startsWith('cdn GET') && line.includes('model.safetensors'))).toEqual([expect.stringContaining(`bytes=${had}-`)]);
});

test('a gated model wants a token, which goes to the Hub alone', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  await toHub(page, 'model', 'tales/closed');
  await expect(page.getByTestId('error-message')).toContainText('this model is gated');
  await page.getByTestId('hub-token-model').fill('hf_good');
  await page.getByTestId('hub-look-model').click();
  await expect(page.getByTestId('hub-fits')).toBeVisible();
  await page.getByTestId('hub-use-model').click();
  await ready(page);
  // The second server refuses any request with a token; and nothing of it is kept.
  const kept = await page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }, location.href]));
  expect(kept).not.toContain('hf_good');
});

test('data of the Hub, on the page and on the command line', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  const builtin = await tokensHash(page);
  await toHub(page, 'dataset', 'tales/reviews');
  await expect(page.getByTestId('hub-found-dataset')).toContainText('train.csv');
  await page.getByTestId('hub-use-dataset').click();
  await expect(page.getByTestId('error-message')).toContainText('the columns are');
  await chooseRole(page, 'body', 'text');
  await chooseRole(page, 'mood', 'label');
  const hash = await tokensHash(page, builtin);
  const home = join(folder, 'home');
  await mkdir(home, { recursive: true });
  const env = { HF_ENDPOINT: hub.url, HOME: home };
  const [facts] = await lowrank(['data', '--model', 'hub:tales/tale-1m', '--data', 'hub:tales/reviews:train.csv', '--columns', 'text=body,label=mood'], env);
  expect(facts?.tokensHash).toBe(hash);
  hub.log.length = 0;
  await lowrank(['data', '--model', 'hub:tales/tale-1m', '--data', 'hub:tales/reviews:train.csv', '--columns', 'text=body,label=mood'], env);
  expect(hub.log.some((line) => line.startsWith('cdn'))).toBe(false);
});

test('an adapter put on the model writes beside the base, blended by its strength', async ({ page }) => {
  await page.goto('/');
  await ready(page);
  const directory = join(root, 'e2e', 'fixtures', 'tale-1m.lora.peft');
  await page.getByTestId('file-input-adapter').setInputFiles(directory);
  await expect(page.getByTestId('adapters')).toContainText('tale-1m.lora.peft');
  await page.getByTestId('tab-playground').click();
  const box = (name: string) => page.getByTestId(`box-play-${name}`);
  for (const [name, value] of [['maxTokens', '10'], ['temperature', '0']] as const) {
    await box(name).fill(value);
    await box(name).press('Enter');
  }
  await page.getByTestId('play-prompt').fill('Once upon a time');
  const text = async (voice: number) => (await page.getByTestId(`voice-${voice}`).locator('p').innerText()).trim();
  const write = async () => {
    await page.getByTestId('play-write').click();
    await expect(page.getByTestId('play-write')).toBeVisible({ timeout: 120_000 });
    await expect(page.getByTestId('voice-1').locator('header')).toContainText('tokens');
  };
  await write();
  const [base, adapted] = [await text(0), await text(1)];
  expect(base.length).toBeGreaterThan(10);
  const strength = page.getByTestId(/^box-strength-/);
  await strength.fill('0');
  await strength.press('Enter');
  await write();
  expect([await text(0), await text(1)]).toEqual([base, base]);
  await strength.fill('1');
  await strength.press('Enter');
  // The first word that follows ends the text, and is not part of it.
  const word = base.split(/\s+/)[2] as string;
  await page.getByTestId('play-stop').fill(word);
  await write();
  expect(await text(0)).toBe(base.slice(0, base.indexOf(word)).trim());
  expect(adapted).not.toBe('');
  await picture(page, 'playground');
});
