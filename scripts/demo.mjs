// npm run demo: the main job once, in headless Chromium on software WebGPU, as a person would do it. Opens the page,
// trains LoRA on the built-in model and text, exports. Leaves the adapter, screenshots and a report in out/demo/.
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchOptions } from '../e2e/support/launch.mjs';
import { choose, exportAdapter, numberOf, ready, samples, settle, status, textOf, train as startTraining } from '../e2e/support/studio.mjs';
import { ensureBrowser, ensureNodeModules } from './install.mjs';
import { ensurePage, pageFolder } from './page.mjs';
import { main, Problem, requireNode, root, say, seconds } from './process.mjs';
import { serve } from './server.mjs';

const out = join(root, 'out', 'demo');
const RUN = { model: 'tale-1m', data: 'king-james', method: 'lora', preset: 'quick' };
const STEPS = 60; // what the preset says
// Far above what two idle cores take, so that a busy machine is slow, not failed.
const LIMIT_MS = 300_000;

/** What each stage took, and everything that the page reported; the report says nothing else. */
const took = [];
const seen = { losses: [] };

await main(async () => {
  requireNode();
  const started = performance.now();
  await ensureNodeModules();
  process.env.LOWRANK_CHROMIUM = await ensureBrowser();
  await ensurePage();
  rmSync(out, { recursive: true, force: true });
  mkdirSync(out, { recursive: true });
  const server = await serve(pageFolder, 0);
  try {
    await withPage(server.url, play);
  } finally {
    await server.close();
  }
  seen.total = seconds(started);
  writeFileSync(join(out, 'report.md'), report());
  say(`\nDone in ${seen.total}. See out/demo/: report.md, adapter_model.safetensors, adapter_config.json and screenshots.`);
});

/** Gives `work` a page; what the browser complained about is told with a failure, and a last screenshot is kept. */
async function withPage(url, work) {
  const { chromium } = await import('playwright');
  const browser = await chromium.launch(await launchOptions());
  const complaints = [];
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()));
    seen.browser = `Chromium ${browser.version()}`;
    try {
      await work(page, url);
    } catch (error) {
      await page.screenshot({ path: join(out, 'failed.png') }).catch(() => {});
      if (!(error instanceof Problem)) throw error;
      throw new Problem([error.message, ...complaints.slice(0, 5).map((text) => `  browser: ${text}`), '  screenshot: out/demo/failed.png'].join('\n'));
    }
  } finally {
    await browser.close();
  }
}

async function play(page, url) {
  await stage('open the page', () => open(page, url));
  await stage('choose model, data and method', () => build(page));
  await stage(`train ${STEPS} steps`, () => train(page));
  await stage('look inside', () => picture(page, 'explore', 'tab-explore'));
  await stage('export and read back', () => exported(page));
}

async function stage(name, work) {
  const started = performance.now();
  process.stdout.write(`  ${name} ...`);
  try {
    await work();
  } catch (error) {
    say(' failed');
    throw new Problem(`The demo failed at the stage '${name}': ${error.message.split('\n')[0]}`);
  }
  took.push({ name, time: seconds(started) });
  say(` ${seconds(started)}`);
}

async function open(page, url) {
  await page.goto(url);
  await ready(page);
  seen.device = await page.evaluate(async () => {
    const info = (await navigator.gpu.requestAdapter())?.info;
    return [info?.vendor, info?.architecture, info?.description].filter(Boolean).join(', ');
  });
}

async function build(page) {
  await choose(page, RUN);
  await ready(page);
  seen.trainable = await textOf(page, 'plan-trainable');
  seen.bytes = await textOf(page, 'plan-bytes');
  await page.screenshot({ path: join(out, '1-build.png') });
}

async function train(page) {
  const started = performance.now();
  await startTraining(page);
  await settle(page, async () => (await numberOf(page, 'step-count')) >= 1, 'the first step');
  seen.valBefore = await numberOf(page, 'val-loss-value');
  await settle(page, () => noteLoss(page, STEPS / 2), 'half of the steps', LIMIT_MS);
  await page.screenshot({ path: join(out, '2-training.png') });
  await settle(page, () => noteLoss(page, STEPS), 'the last step', LIMIT_MS);
  await status(page, /finished/, LIMIT_MS);
  seen.trainSeconds = (performance.now() - started) / 1000;
  seen.valAfter = await numberOf(page, 'val-loss-value');
  Object.assign(seen, await samples(page));
  await page.screenshot({ path: join(out, '3-trained.png') });
  if (!(seen.valAfter < seen.valBefore)) throw new Error(`the validation loss did not fall: ${seen.valBefore} before, ${seen.valAfter} after`);
  if (seen.on === seen.off) throw new Error('the adapter wrote the same text as the base model');
}

/** Notes the loss that the page shows for a step that it has not shown before; true once `step` is reached. */
async function noteLoss(page, step) {
  const [at, loss] = [await numberOf(page, 'step-count'), await numberOf(page, 'loss-value')];
  if (at > (seen.losses.at(-1)?.step ?? 0) && Number.isFinite(loss)) seen.losses.push({ step: at, loss });
  return at >= step;
}

async function picture(page, name, tab) {
  await page.getByTestId(tab).click();
  await page.screenshot({ path: join(out, `4-${name}.png`) });
}

async function exported(page) {
  const { unzipSync } = await import('fflate');
  const files = unzipSync(await exportAdapter(page));
  for (const wanted of ['adapter_model.safetensors', 'adapter_config.json']) {
    const name = Object.keys(files).find((path) => path.split('/').at(-1) === wanted);
    if (!name) throw new Error(`the download has no ${wanted}: ${Object.keys(files).join(', ')}`);
    writeFileSync(join(out, wanted), files[name]);
    if (wanted.endsWith('.safetensors')) seen.file = tensorFacts(files[name]);
  }
  seen.receipt = await textOf(page, 'receipt');
  await page.screenshot({ path: join(out, '5-export.png') });
}

/** What the written file says of itself, read without the studio's own code. */
function tensorFacts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + Number(view.getBigUint64(0, true)))));
  const tensors = Object.entries(header).filter(([name]) => name !== '__metadata__');
  const parameters = tensors.reduce((sum, [, { shape }]) => sum + shape.reduce((a, b) => a * b, 1), 0);
  return { bytes: bytes.length, tensors: tensors.length, parameters };
}

function report() {
  const lines = (text) => text.split('\n').map((line) => line.trim()).filter(Boolean);
  const quote = (text) => lines(text).map((line) => `> ${line}  `).join('\n');
  return `# Demo: ${RUN.method} on ${RUN.model} with ${RUN.data}

Every number here was read off the page or the written files during this run.

| | |
|---|---|
| browser | ${seen.browser} |
| device | ${seen.device} |
| trainable | ${oneLine(seen.trainable)} |
| memory by the plan | ${oneLine(seen.bytes)} |
| steps | ${STEPS} |
| time from Train to finished | ${seen.trainSeconds.toFixed(1)} s |
| validation loss before | ${seen.valBefore} |
| validation loss after | ${seen.valAfter} |
| adapter file | ${seen.file.bytes} bytes, ${seen.file.tensors} tensors, ${seen.file.parameters} parameters |
| whole demo | ${seen.total} |

## What it writes

Before (adapters off):

${quote(seen.off)}

After (adapters on):

${quote(seen.on)}

## Receipt of the export

${quote(seen.receipt)}

## Training loss as the page showed it, smoothed

| step | loss |
|---|---|
${seen.losses.map(({ step, loss }) => `| ${step} | ${loss} |`).join('\n')}

## Stages

${took.map(({ name, time }) => `- ${name}: ${time}`).join('\n')}

![Build](1-build.png)
![Training](2-training.png)
![Trained](3-trained.png)
![Explore](4-explore.png)
![Export](5-export.png)
`;
}

function oneLine(text) {
  return text.replace(/\s*\n\s*/g, ' ');
}
