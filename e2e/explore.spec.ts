// Explore over a recorded engine: cutting by the slider, by the map and by hand; what is measured and what is not; budgets, overlap,
// files; the keyboard, a phone, both themes. The last journey runs on the real engine.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import AxeBuilder from '@axe-core/playwright';
import { type Browser, expect, type Page, test } from '@playwright/test';
import { unzipSync } from 'fflate';
import { serveRecordedPage } from './support/recorded-page';
import { choose, exportAdapter, ready, settle, status, train } from './support/studio.mjs';

const root = join(import.meta.dirname, '..');
let site: Awaited<ReturnType<typeof serveRecordedPage>>;
let folder: string;
test.beforeAll(async () => {
  site = await serveRecordedPage();
  folder = await mkdtemp(join(tmpdir(), 'lowrank-explore-'));
});
test.afterAll(async () => {
  await site.close();
  await rm(folder, { recursive: true, force: true });
});

async function trained(page: Page, method = 'sora', again = false): Promise<void> {
  if (!again) {
    page.on('pageerror', (error) => {
      throw error;
    });
    await page.goto(site.url);
  } else await page.getByTestId('tab-build').click();
  await expect(page.getByTestId('train-button')).toBeEnabled();
  await page.getByTestId(`method-${method}`).click();
  await page.getByTestId('preset-quick').click();
  await expect(page.getByTestId('train-button')).toBeEnabled();
  await page.getByTestId('train-button').click();
  await expect(page.getByTestId('run-status')).toHaveAttribute('data-status', /finished/);
}
async function explored(page: Page, method = 'sora'): Promise<void> {
  await trained(page, method);
  await page.getByTestId('tab-explore').click();
  await measured(page);
}
const measured = (page: Page) => expect(page.getByTestId('cut-loss')).toHaveAttribute('data-exact', /./);
const lossNow = async (page: Page) => {
  await measured(page);
  return Number(await page.getByTestId('cut-loss').getAttribute('data-exact'));
};
async function noViolations(page: Page): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa']).analyze();
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.target.join(' ')).join(', ')}`)).toEqual([]);
}
const shot = async (page: Page, name: string) => {
  await test.info().attach(name, { body: await page.screenshot({ path: join(root, 'out', 'shots', `${name}.png`) }), contentType: 'image/png' });
};

test('a drag is measured where it stops, and only measured places are on the curve', async ({ page }) => {
  await explored(page);
  const rings = page.locator('.knob circle');
  await expect(rings).toHaveCount(2);
  const whole = await lossNow(page);
  const slider = page.getByTestId('cut-slider');
  const box = await slider.boundingBox();
  if (!box) throw new Error('no slider');
  await page.mouse.move(box.x + box.width - 8, box.y + 40);
  await page.mouse.down();
  for (const share of [0.8, 0.6, 0.4, 0.3, 0.2]) await page.mouse.move(box.x + box.width * share, box.y + 40);
  await page.mouse.up();
  expect(await lossNow(page)).toBeGreaterThan(whole);
  // Where the drag stood still on its way it was measured too.
  expect(await rings.count()).toBeGreaterThanOrEqual(3);
  expect(await rings.count()).toBeLessThanOrEqual(7);
  await expect(page.getByTestId('cut-rise')).toHaveText(/^\+\d/);
  await expect(slider).toHaveAttribute('aria-valuetext', /^Components \d+, validation loss \d\.\d{3}$/);
  // Nothing of an earlier cut stays on the screen as if it were this one's.
  await slider.press('ArrowLeft');
  await expect(page.getByTestId('cut-loss')).toHaveText(/…|\d/);
  await measured(page);
  await page.getByTestId('curve-button').click();
  await expect(page.getByTestId('curve-button')).toBeVisible();
  expect(await rings.count()).toBeGreaterThan(12);
});

test('the keyboard alone: slider, smallest cut, modes, map, a module left out', async ({ page }) => {
  await explored(page);
  await page.keyboard.press('r');
  await expect(page.getByTestId('cut-slider')).toBeFocused();
  await page.keyboard.press('Shift+ArrowLeft');
  await page.keyboard.press('ArrowRight');
  const all = Number((await page.getByTestId('cut-components').innerText()).split('of ')[1]);
  await expect(page.getByTestId('cut-components')).toHaveText(new RegExp(`^${all - 9}`));
  await page.keyboard.press('w');
  await expect(page.getByTestId('smallest-button')).toBeVisible();
  await measured(page);
  const rise = Number.parseFloat((await page.getByTestId('cut-rise').innerText()).replace('−', '-'));
  expect(rise).toBeLessThanOrEqual(1);
  await page.getByTestId('mode-rank').focus();
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('cut-slider')).toHaveAttribute('aria-valuetext', /^Rank/);
  const cell = page.getByRole('button', { name: /^model\.layers\.0\.self_attn\.q_proj:/ });
  await cell.focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowDown');
  await expect(page.getByRole('region', { name: 'One module' })).toContainText('Layer 1, k_proj');
  await page.keyboard.press('x');
  await expect(page.getByRole('button', { name: 'model.layers.1.self_attn.k_proj: nothing kept, set by hand' })).toBeFocused();
  await expect(page.getByTestId('module-switch')).not.toBeChecked();
  await expect(page.getByRole('button', { name: '1 by hand: give back' })).toBeVisible();
  await page.getByTestId('module-switch').press('Space');
  await expect(page.getByTestId('module-switch')).toBeChecked();
  await page.getByTestId('module-rank').fill('1');
  await page.getByTestId('module-rank').press('Enter');
  await expect(page.getByRole('button', { name: 'model.layers.1.self_attn.k_proj: 1, set by hand' })).toBeVisible();
});

test('strength from −1 to 2; holding A shows the base model’s text', async ({ page }) => {
  await explored(page);
  const strength = page.getByTestId('strength');
  await strength.focus();
  await page.keyboard.press('Home');
  await expect(page.getByTestId('strength-value')).toHaveText('s = -1.00');
  await measured(page);
  await expect(page.getByText('At another strength a measurement is no point of the curve.')).toBeVisible();
  await page.keyboard.press('End');
  await expect(page.getByTestId('strength-value')).toHaveText('s = 2.00');
  await page.keyboard.press('Home');
  for (let i = 0; i < 20; i++) await page.keyboard.press('ArrowRight');
  await expect(page.getByTestId('strength-value')).toHaveText('s = 0.00');
  await expect(page.getByTestId('text-cut')).toHaveText(/named Lily/);
  await expect(page.getByTestId('text-cut').locator('mark.differs')).toHaveCount(0);
  for (let i = 0; i < 20; i++) await page.keyboard.press('ArrowRight');
  await expect(page.getByTestId('text-cut')).toHaveText(/children of Israel/);
  expect(await page.getByTestId('text-cut').locator('mark.differs').count()).toBeGreaterThan(5);
  await page.keyboard.down('a');
  await expect(page.getByTestId('text-cut')).toHaveText(/named Lily/);
  await page.keyboard.up('a');
  await expect(page.getByTestId('text-cut')).toHaveText(/children of Israel/);
});

test('rows, budgets chosen by measured loss, and the cut goes to Export', async ({ page }) => {
  await explored(page);
  await page.getByTestId('cut-slider').focus();
  for (let i = 0; i < 7; i++) await page.keyboard.press('Shift+ArrowLeft');
  await measured(page);
  await page.getByTestId('side-rows').click();
  await expect(page.locator('.rows-hurt li')).toHaveCount(8);
  await page.getByTestId('side-budget').click();
  await page.getByTestId('importance-button').click();
  await expect(page.getByTestId('importance-button')).toHaveText('Measure modules again');
  await page.getByTestId('allocate-button').click();
  const losses = await Promise.all((['even', 'energy', 'loss'] as const).map(async (name) => Number(await page.getByTestId(`allocation-${name}`).innerText())));
  expect(losses[2]).toBeLessThanOrEqual(losses[0] as number);
  await page.getByRole('button', { name: 'Use the allocation by measured loss' }).click();
  await measured(page);
  await expect(page.getByTestId('cut-loss')).toHaveText(String((losses[2] as number).toFixed(3)));
  await page.getByTestId('map-reading').click();
  await page.getByRole('option', { name: 'Loss without it' }).click();
  await page.getByTestId('export-cut').click();
  await expect(page.getByTestId('export-cut-choice')).toHaveAttribute('data-state', 'on');
  await page.getByTestId('export-button').click();
  await expect(page.getByTestId('receipt')).toContainText('1.9e-6');
});

test('overlap with another run, and an adapter out of files', async ({ page }) => {
  await trained(page, 'lora');
  await trained(page, 'sora', true);
  await page.getByTestId('tab-explore').click();
  await measured(page);
  await page.getByTestId('side-overlap').click();
  await page.getByTestId('overlap-with').click();
  await page.getByRole('option', { name: 'lora-king-james' }).click();
  await expect(page.getByTestId('overlap-mean')).toHaveText(/^0\.\d{3}$/);
  await expect(page.getByRole('img', { name: /^Overlap of the first 1 to \d+ directions with the first 1 to 8 of lora-king-james/ })).toBeVisible();
  await shot(page, 'explore-overlap');
  await noViolations(page);
  const adapter = join(folder, 'my-adapter');
  await mkdir(adapter, { recursive: true });
  await writeFile(join(adapter, 'adapter_model.safetensors'), 'x');
  await page.getByTestId('adapter-files').setInputFiles(adapter);
  await expect(page.getByTestId('error-message')).toContainText('adapter_config.json is missing');
  await shot(page, 'explore-refused');
  await writeFile(join(adapter, 'adapter_config.json'), '{}');
  await page.getByTestId('adapter-files').setInputFiles(adapter);
  await measured(page);
  await expect(page.locator('.source-line')).toHaveText('my-adapter from files');
  // Another run takes its place when it is chosen.
  await page.getByRole('button', { name: 'lora-king-james', exact: true }).click();
  await expect(page.locator('.source-line')).toHaveText('lora-king-james at step 60');
});

test('a run that trains says why it cannot be cut, and opens when it is paused', async ({ page }) => {
  await page.goto(site.url);
  await page.getByTestId('train-button').click();
  await expect(page.getByTestId('run-status')).toHaveAttribute('data-status', 'running');
  await page.getByTestId('tab-explore').click();
  await expect(page.getByRole('heading', { name: 'The run is training' })).toBeVisible();
  await shot(page, 'explore-training');
  await page.getByRole('button', { name: 'Pause' }).click();
  await measured(page);
  await page.locator('.source-line').focus();
  await page.keyboard.press('Space');
  await expect(page.locator('.source-line')).toContainText('The run is at step');
});

test('before any run there is one sentence and the ways on', async ({ page }) => {
  await page.goto(site.url);
  await page.getByTestId('tab-explore').click();
  await expect(page.getByRole('button', { name: 'Open an adapter' })).toBeEnabled();
  await shot(page, 'explore-empty');
  await noViolations(page);
});

const sizes = [['1440', 1440, 900], ['1280', 1280, 800], ['phone', 390, 844]] as const;
for (const colorScheme of ['dark', 'light'] as const) {
  test(`every state looks right and passes the accessibility rules, ${colorScheme}`, async ({ browser }) => {
    const page = await opened(browser, colorScheme);
    await explored(page);
    await page.getByTestId('curve-button').click();
    await expect(page.getByTestId('curve-button')).toBeVisible();
    await page.getByTestId('cut-slider').focus();
    for (let i = 0; i < 8; i++) await page.keyboard.press('Shift+ArrowLeft');
    await page.getByTestId('weights-button').click();
    await expect(page.getByText('largest of ΔW ÷ largest of W')).toBeVisible();
    await page.getByRole('button', { name: /^model\.layers\.2\.mlp\.down_proj:/ }).focus();
    await page.keyboard.press('x');
    await measured(page);
    for (const tab of ['texts', 'rows', 'budget', 'overlap'] as const) {
      await page.getByTestId(`side-${tab}`).click();
      await shot(page, `explore-${tab}-${colorScheme}`);
      await noViolations(page);
    }
    for (const [name, width, height] of sizes) {
      await page.setViewportSize({ width, height });
      await page.waitForTimeout(100);
      await shot(page, `explore-${name}-${colorScheme}`);
      // On a phone everything lies below each other, and nothing is wider than the screen.
      expect(await page.evaluate(() => [...document.querySelectorAll<HTMLElement>('main *')].filter((element) => element.getBoundingClientRect().right > innerWidth + 1 && !element.closest('.vh, svg')).map((element) => element.className))).toEqual([]);
      await noViolations(page);
    }
    await page.context().close();
  });
}

async function opened(browser: Browser, colorScheme: 'dark' | 'light'): Promise<Page> {
  const context = await browser.newContext({ colorScheme, reducedMotion: 'reduce', viewport: { width: 1440, height: 900 } });
  return context.newPage();
}

test('nothing moves while numbers come in', async ({ page }) => {
  await explored(page);
  await page.evaluate(() => {
    Object.assign(window, { shift: 0 });
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) if (!(entry as unknown as { hadRecentInput: boolean }).hadRecentInput) (window as unknown as { shift: number }).shift += (entry as unknown as { value: number }).value;
    }).observe({ type: 'layout-shift', buffered: false });
  });
  await page.getByTestId('curve-button').click();
  await expect(page.getByTestId('curve-button')).toBeVisible();
  await page.getByTestId('cut-slider').focus();
  for (let i = 0; i < 6; i++) await page.keyboard.press('Shift+ArrowLeft');
  await measured(page);
  await expect(page.getByText('Writing', { exact: true })).toHaveCount(0);
  expect(await page.evaluate(() => (window as unknown as { shift: number }).shift)).toBeLessThan(0.01);
});

test('on the real engine a cut’s loss is that of `convert --rank` followed by `eval`', async ({ page, baseURL }) => {
  const lowrank = async (...args: string[]) => {
    const { stdout } = await promisify(execFile)('node', [join(root, 'dist', 'cli.mjs'), ...args, '--json'], { cwd: root });
    return stdout.trim().split('\n').map((line) => JSON.parse(line) as Record<string, unknown>);
  };
  await page.goto(baseURL ?? '/');
  await ready(page);
  await choose(page, { method: 'lora' });
  await page.getByTestId('box-steps').fill('6');
  await page.getByTestId('box-steps').press('Enter');
  await train(page);
  await status(page, /finished/);
  await page.getByTestId('tab-explore').click();
  await settle(page, async () => (await page.getByTestId('cut-loss').getAttribute('data-exact')) !== null, 'the whole adapter to be measured');
  await page.getByTestId('mode-rank').click();
  const losses: number[] = [];
  await page.getByTestId('cut-slider').focus();
  for (const rank of [2, 1]) {
    for (let now = Number(await page.getByTestId('cut-slider').inputValue()); now > rank; now--) await page.keyboard.press('ArrowLeft');
    await settle(page, async () => (await page.getByTestId('cut-loss').getAttribute('data-exact')) !== null, `rank ${rank} to be measured`);
    losses.push(await lossNow(page));
  }
  await settle(page, async () => !(await page.getByTestId('text-cut').innerText()).includes('Not written yet') && (await page.getByText('Writing', { exact: true }).count()) === 0, 'the texts', 240_000);
  await page.getByTestId('weights-button').click();
  await expect(page.getByText('largest of ΔW ÷ largest of W')).toBeVisible();
  await shot(page, 'explore-real');
  const files = unzipSync(await exportAdapter(page));
  const whole = join(folder, 'whole');
  await mkdir(whole, { recursive: true });
  for (const [name, bytes] of Object.entries(files)) await writeFile(join(whole, name.split('/').at(-1) as string), bytes);
  for (const [i, rank] of [2, 1].entries()) {
    const out = join(folder, `rank-${rank}`);
    await lowrank('convert', '--adapter', whole, '--to', 'peft', '--out', out, '--rank', String(rank));
    const [result] = await lowrank('eval', '--model', 'public/models/tale-1m', '--adapter', out, '--data', 'public/data/king-james/data.txt', '--held-out', '0.1', '--seed', '7', '--batch', '4', '--seq', '64');
    expect(Math.abs((result?.loss as number) - (losses[i] as number))).toBeLessThan(1e-5);
  }
});
