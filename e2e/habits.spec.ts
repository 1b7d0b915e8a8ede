// What holds all the time: the page works without a network, loads little, keeps its main thread free, and moves nothing.
import { gzipSync } from 'node:zlib';
import { expect, test } from '@playwright/test';
import { ended, open, setBox } from './support/recorded-journey';
import { serveRecordedPage } from './support/recorded-page';

let site: Awaited<ReturnType<typeof serveRecordedPage>>;
test.beforeAll(async () => {
  site = await serveRecordedPage();
});
test.afterAll(() => site.close());
test.use({ colorScheme: 'dark' });

const BUDGET = 400_000;
const STEPS = 500;

test('no task of the main thread takes over 50 ms in a run of 500 steps, whatever is looked at, and nothing shifts', async ({ page, browser }) => {
  await page.addInitScript(() => {
    const seen = { tasks: [] as number[], shift: 0, moved: [] as string[] };
    Object.assign(window, { seen });
    new PerformanceObserver((list) => list.getEntries().forEach((entry) => seen.tasks.push(entry.duration))).observe({ type: 'longtask' });
    new PerformanceObserver((list) => (list.getEntries() as unknown as LayoutShift[]).forEach(({ hadRecentInput, value, sources }) => {
      if (hadRecentInput) return;
      seen.shift += value;
      if (value > 0.001) for (const { node, previousRect, currentRect } of sources) seen.moved.push(`${value.toFixed(4)} ${node instanceof Element ? `${node.tagName}.${node.className} in ${node.closest('main')?.className}` : node?.nodeName}: ${previousRect.x},${previousRect.y} to ${currentRect.x},${currentRect.y}`);
    })).observe({ type: 'layout-shift', buffered: true });
  });
  await open(page, site.url);
  // Gates of every module come with every report.
  await page.getByTestId('method-sora').click();
  await setBox(page, 'steps', STEPS);
  await page.getByTestId('train-button').click();
  await expect(page.getByTestId('step-count')).not.toHaveText('0');
  await page.evaluate(() => { seenOf().tasks.length = 0; function seenOf() { return (window as unknown as { seen: { tasks: number[] } }).seen; } });
  await browser.startTracing(page, { categories: ['toplevel'] });
  for (const [key, screen] of [['4', 'compare'], ['m', 'methods-panel'], ['p', 'playground'], ['5', 'export'], ['3', 'explore'], ['1', 'build'], ['2', 'train']] as const) {
    await page.keyboard.press(key);
    await expect(page.locator(`main.${screen}`)).toBeVisible();
  }
  await page.keyboard.press('Control+k');
  await page.getByTestId('palette-input').fill('rank');
  await page.keyboard.press('Escape');
  const chart = await page.locator('.loss-chart .u-over').boundingBox();
  if (!chart) throw new Error('no chart');
  for (let at = 0; at < 30; at++) await page.mouse.move(chart.x + (at / 30) * chart.width, chart.y + 60);
  await ended(page);
  const trace = JSON.parse((await browser.stopTracing()).toString()) as { traceEvents: TraceEvent[] };
  const seen = await page.evaluate(() => (window as unknown as { seen: { tasks: number[]; shift: number; moved: string[] } }).seen);
  const cpu = tasksOf(trace.traceEvents);
  const longest = [...cpu].sort((a, b) => b - a).slice(0, 3).map((ms) => ms.toFixed(1));
  test.info().annotations.push({ type: 'main thread', description: `${cpu.length} tasks, the longest ${longest.join(', ')} ms of processor; by the wall clock ${seen.tasks.length} over 50 ms: ${seen.tasks.map(Math.round).join(', ')}` });
  expect(cpu.length).toBeGreaterThan(STEPS);
  // Other programs on the machine make a task longer by the wall clock, never by the processor's.
  expect(cpu.filter((ms) => ms > 50)).toEqual([]);
  expect(seen.shift, `what moved: ${seen.moved.join('; ')}`).toBeLessThan(0.02);
});

interface LayoutShift { hadRecentInput: boolean; value: number; sources: { node: Node | null; previousRect: DOMRect; currentRect: DOMRect }[] }

interface TraceEvent { name: string; pid: number; tid: number; ts: number; dur?: number; tdur?: number; args: { name?: string; chrome_mojo_event_info?: { mojo_interface_tag?: string } } }

/** Milliseconds of processor of every task on a page's main thread, without those in which this test asked something through the debugger. */
function tasksOf(events: readonly TraceEvent[]): number[] {
  const thread = ({ pid, tid }: TraceEvent) => `${pid}/${tid}`;
  const main = new Set(events.filter((event) => event.name === 'thread_name' && event.args.name === 'CrRendererMain').map(thread));
  const asked = events.filter((event) => event.args.chrome_mojo_event_info?.mojo_interface_tag === 'blink.mojom.DevToolsSession');
  const ours = (task: TraceEvent) => asked.some((event) => thread(event) === thread(task) && event.ts >= task.ts && event.ts <= task.ts + (task.dur ?? 0));
  return events.filter((event) => event.name.endsWith('RunTask') && main.has(thread(event)) && event.tdur !== undefined && !ours(event)).map((event) => (event.tdur as number) / 1000);
}

test('after the first visit the page opens, and a model loads, without a network', async ({ page, context }) => {
  await open(page, site.url);
  await page.evaluate(async () => { await navigator.serviceWorker.ready; });
  await context.setOffline(true);
  await page.reload();
  await expect(page.getByTestId('train-button')).toBeEnabled();
  await page.getByTestId('tab-compare').click();
  await expect(page.getByRole('heading', { name: 'Nothing to compare yet' })).toBeVisible();
});

test('reduced motion stops every animation', async ({ browser }) => {
  const context = await browser.newContext({ reducedMotion: 'reduce' });
  const page = await context.newPage();
  await open(page, site.url);
  await page.getByTestId('train-button').click();
  await expect(page.locator('.live-dot').first()).toBeVisible();
  expect(await page.evaluate(() => document.getAnimations().filter((animation) => !/sonner/.test((animation as CSSAnimation).animationName ?? '')).length)).toBe(0);
  await context.close();
});

test('on a phone nothing is wider than the screen, on any panel', async ({ browser }) => {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, colorScheme: 'dark' });
  const page = await context.newPage();
  await open(page, site.url);
  const wide = () => page.evaluate(() => [...document.querySelectorAll<HTMLElement>('.app > *, main, main > *')].filter((element) => element.scrollWidth > innerWidth).map((element) => element.className));
  await page.locator('.phone-actions .primary').click();
  await expect(page.getByTestId('run-status')).toHaveAttribute('data-status', /running|finished/);
  await page.screenshot({ path: 'out/shots/train-phone.png' });
  expect(await wide()).toEqual([]);
  await page.locator('.phone-stages').getByRole('button', { name: 'Compare' }).click();
  await expect(page.getByTestId('runs-table')).toBeVisible();
  await page.screenshot({ path: 'out/shots/compare-phone.png' });
  expect(await wide()).toEqual([]);
  await page.getByTestId('find').click();
  await page.getByTestId('palette-input').fill('methods');
  await page.screenshot({ path: 'out/shots/palette-phone.png' });
  await page.keyboard.press('Enter');
  await expect(page.getByTestId('card-sora')).toBeVisible();
  await page.screenshot({ path: 'out/shots/methods-phone.png' });
  expect(await wide()).toEqual([]);
  await context.close();
});

test('the first screen takes at most 400 kB of compressed scripts', async ({ page, baseURL }) => {
  // The product's own build, served by the suite: with the engine's worker and all it imports.
  const sizes = new Map<string, number>();
  page.on('response', async (response) => {
    if (!/\.m?js(\?|$)/.test(response.url()) || response.request().serviceWorker()) return;
    sizes.set(response.url(), gzipSync(await response.body(), { level: 9 }).length);
  });
  await page.goto(baseURL ?? '/');
  await expect(page.getByTestId('train-button')).toBeEnabled();
  await page.waitForLoadState('networkidle');
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  test.info().annotations.push({ type: 'compressed scripts', description: `${total} bytes in ${sizes.size} files` });
  expect(sizes.size).toBeGreaterThan(2);
  expect(total).toBeLessThanOrEqual(BUDGET);
});
