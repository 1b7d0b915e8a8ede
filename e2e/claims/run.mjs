// Tries a paper's claim through the command line: node e2e/claims/run.mjs SLUG [--jobs N] [--out DIR] [--seeds N] [--steps N]
// Every arm gets the same data, steps and learning-rate grid. The learning rate of an arm is chosen on validation data; what is
// reported is the mean and spread over seeds on test data that nothing was chosen on. Results: a table on stdout and OUT/results.json.
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs, promisify } from 'node:util';

const { values, positionals } = parseArgs({ allowPositionals: true, options: { steps: { type: 'string' }, jobs: { type: 'string', default: '1' }, out: { type: 'string', default: 'out/claims' }, seeds: { type: 'string' }, backend: { type: 'string', default: 'auto' } } });
const slug = positionals[0];
if (!slug) throw new Error('usage: node e2e/claims/run.mjs SLUG');
const found = (await import(`./${slug}.mjs`)).claim;
// Fewer steps try the script, not the claim.
const claim = { ...found, steps: Number(values.steps ?? found.steps) };
const out = join(values.out, slug);
await mkdir(out, { recursive: true });
const run = promisify(execFile);

const lowrank = async (...args) => {
  const { stdout } = await run('node', ['dist/cli.mjs', ...args.map(String), '--json', '--adapter-backend', values.backend], { maxBuffer: 2 ** 28 });
  // Drivers may print warnings of their own between the lines.
  return stdout.split('\n').filter((line) => line.startsWith('{')).map((line) => JSON.parse(line));
};

/** Contiguous parts of the text, so that no sentence stands on two sides: 80 % training, 10 % validation, 10 % test. */
async function split(path) {
  const lines = (await readFile(path, 'utf8')).split('\n');
  const [a, b] = [Math.floor(0.8 * lines.length), Math.floor(0.9 * lines.length)];
  const parts = { train: lines.slice(0, a), validation: lines.slice(a, b), test: lines.slice(b) };
  const files = {};
  for (const [name, part] of Object.entries(parts)) {
    files[name] = join(out, `${name}.${path.endsWith('.jsonl') ? 'jsonl' : 'txt'}`);
    await writeFile(files[name], part.join('\n'));
  }
  return files;
}

const files = await split(claim.data);
// An arm may have a grid of its own, as long as the others'.
const lrsOf = (arm) => arm.lrs ?? claim.lrs;
const seeds = Array.from({ length: Number(values.seeds ?? claim.seeds) }, (_, i) => i + 1);
const jobs = claim.arms.flatMap((arm) => lrsOf(arm).flatMap((lr) => seeds.map((seed) => ({ arm, lr, seed }))));
const results = [];
const started = Date.now();

async function work() {
  for (let job = jobs.shift(); job; job = jobs.shift()) {
    const { arm, lr, seed } = job;
    const dir = join(out, `${arm.name}-${lr}-${seed}`.replace(/[^\w.-]/g, '_'));
    const set = Object.entries(arm.fields).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    const events = await lowrank('finetune', '--model', claim.model, '--data', files.train, '--val', files.validation, '--method', arm.method, ...set, ...(claim.targets ? ['--targets', claim.targets] : []), '--steps', claim.steps, '--batch', claim.batch, '--seq', claim.seq, '--lr', lr, '--seed', seed, '--out', dir);
    const done = events.at(-1);
    const test = (await lowrank('eval', '--model', claim.model, '--adapter', dir, '--data', files.test, '--batch', claim.batch, '--seq', claim.seq)).at(-1);
    const extra = claim.measure ? await claim.measure({ dir, events, lowrank, files, arm }) : {};
    results.push({ arm: arm.name, lr, seed, validation: done.val_loss, test: test.loss, trainable: done.trainable, ...extra });
    // As they come: a long experiment that is cut off has not been for nothing.
    await writeFile(join(out, 'runs.jsonl'), results.map((r) => JSON.stringify(r)).join('\n'));
    process.stderr.write(`${results.length} done, ${jobs.length} left, ${Math.round((Date.now() - started) / 1000)} s\n`);
  }
}
await Promise.all(Array.from({ length: Number(values.jobs) }, work));

const mean = (xs) => xs.reduce((a, b) => a + b, 0) / xs.length;
const spread = (xs) => Math.sqrt(xs.reduce((sum, x) => sum + (x - mean(xs)) ** 2, 0) / Math.max(1, xs.length - 1));
const device = (await lowrank('device'))[0].adapter;
const rows = claim.arms.map((arm) => {
  const own = results.filter((r) => r.arm === arm.name);
  const byLr = lrsOf(arm).map((lr) => ({ lr, runs: own.filter((r) => r.lr === lr) }));
  const best = byLr.reduce((a, b) => (mean(b.runs.map((r) => r.validation)) < mean(a.runs.map((r) => r.validation)) ? b : a));
  const column = (key) => best.runs.map((r) => r[key]).filter((x) => typeof x === 'number');
  return { arm: arm.name, lr: best.lr, validation: mean(column('validation')), test: mean(column('test')), spread: spread(column('test')), ...Object.fromEntries((claim.columns ?? []).map((key) => [key, mean(column(key))])) };
});
await writeFile(join(out, 'results.json'), JSON.stringify({ slug, device, date: new Date().toISOString().slice(0, 10), seeds, claim: { ...claim, measure: undefined }, rows, results }, null, 1));
const columns = ['arm', 'lr', 'validation', 'test', 'spread', ...(claim.columns ?? [])];
console.log(`${device}, ${seeds.length} seeds, ${claim.steps} steps of ${claim.batch} × ${claim.seq} tokens`);
console.log(`| ${columns.join(' | ')} |\n|${columns.map(() => '---').join('|')}|`);
for (const row of rows) console.log(`| ${columns.map((c) => (typeof row[c] === 'number' && c !== 'lr' ? Number(row[c].toPrecision(5)) : row[c])).join(' | ')} |`);
// What the claim itself makes of its arms, a sentence a line.
for (const line of claim.conclude?.(rows, results) ?? []) console.log(line);
