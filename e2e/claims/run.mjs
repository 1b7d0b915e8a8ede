// Tries papers' claims through the command line: node e2e/claims/run.mjs SLUG... [--jobs N] [--minutes M] [--out DIR] [--seeds N] [--steps N]
// Every arm gets the same data, steps and learning-rate grid. The learning rate of an arm is chosen on validation data; what is
// reported is the mean and spread over seeds on test data that nothing was chosen on. Several claims go seed by seed, so that a budget
// of minutes leaves all with the same seeds; a run that two claims share is trained once. Each job is one process that keeps its device.
// Results: a table a claim on stdout, OUT/SLUG/results.json, and every run as it ends in OUT/runs.jsonl, which a second call goes on from.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

const { values, positionals: slugs } = parseArgs({
  allowPositionals: true,
  options: { steps: { type: 'string' }, jobs: { type: 'string', default: '1' }, minutes: { type: 'string', default: 'Infinity' }, out: { type: 'string', default: 'out/claims' }, seeds: { type: 'string' }, backend: { type: 'string', default: 'auto' } },
});
if (slugs.length === 0) throw new Error('usage: node e2e/claims/run.mjs SLUG...');
const started = Date.now();
const until = started + Number(values.minutes) * 60_000;
await mkdir(values.out, { recursive: true });
const runsFile = join(values.out, 'runs.jsonl');

/** A process that runs one command after another. */
function worker() {
  const child = spawn('node', ['dist/cli.mjs', 'script', '-'], { stdio: ['pipe', 'pipe', 'pipe'] });
  let [lines, errors, waiting] = [[], [], null];
  const end = (error) => { waiting?.reject(error); waiting = null; };
  createInterface({ input: child.stderr }).on('line', (line) => { errors = [...errors.slice(-5), line]; });
  createInterface({ input: child.stdout }).on('line', (line) => {
    // Drivers may print warnings of their own between the lines.
    if (!line.startsWith('{')) return;
    const event = JSON.parse(line);
    if (event.event !== 'script') return lines.push(event);
    if (event.code !== 0) return end(new Error(`exit code ${event.code}: ${errors.join(' / ')}`));
    waiting?.resolve(lines);
    waiting = null;
  });
  child.on('exit', (code) => end(new Error(`the command line ended with ${code}: ${errors.join(' / ')}`)));
  return {
    lowrank: (...args) => new Promise((resolve, reject) => {
      [lines, waiting] = [[], { resolve, reject }];
      child.stdin.write(`${JSON.stringify([...args.map(String), '--json', '--adapter-backend', values.backend])}\n`);
    }),
    close: () => child.stdin.end(),
  };
}

/** Contiguous parts of the text, so that no sentence stands on two sides: 80 % training, 10 % validation, 10 % test. */
async function split(path) {
  const lines = (await readFile(path, 'utf8')).split('\n');
  const [a, b] = [Math.floor(0.8 * lines.length), Math.floor(0.9 * lines.length)];
  const parts = { train: lines.slice(0, a), validation: lines.slice(a, b), test: lines.slice(b) };
  const folder = join(values.out, 'data', path.replace(/[^\w.-]/g, '_'));
  await mkdir(folder, { recursive: true });
  const files = {};
  for (const [name, part] of Object.entries(parts)) {
    files[name] = join(folder, `${name}.${path.endsWith('.jsonl') ? 'jsonl' : 'txt'}`);
    await writeFile(files[name], part.join('\n'));
  }
  return files;
}

// An arm may have a grid of its own, as long as the others'.
const lrsOf = (claim, arm) => arm.lrs ?? claim.lrs;
const claims = await Promise.all(slugs.map(async (slug) => {
  const { claim } = await import(`./${slug}.mjs`);
  // Fewer steps try the script, not the claim.
  return { ...claim, slug, steps: Number(values.steps ?? claim.steps), seeds: Number(values.seeds ?? claim.seeds), files: await split(claim.data) };
}));

const jobs = claims.flatMap((claim) => Array.from({ length: claim.seeds }, (_, i) => i + 1).flatMap((seed) => claim.arms.flatMap((arm) => lrsOf(claim, arm).map((lr) => ({ claim, arm, lr, seed })))));
// Stable: within a seed, claim by claim.
jobs.sort((a, b) => a.seed - b.seed);
const done = await readFile(runsFile, 'utf8').then((text) => text.split('\n').filter(Boolean).map((line) => JSON.parse(line)), () => []);
const nameOf = ({ claim, arm, lr, seed }) => JSON.stringify([claim.slug, arm.name, lr, seed, claim.steps]);
const known = new Set(done.map((r) => r.name));
const left = jobs.filter((job) => !known.has(nameOf(job)));
const trained = new Map();

/** The training run of a job and its test loss; one that another claim has is not trained again. */
function train({ claim, arm, lr, seed }, lowrank) {
  const { model, data, targets, steps, batch, seq, files } = claim;
  const same = JSON.stringify([model, data, targets, steps, batch, seq, arm.method, arm.fields, lr, seed]);
  const found = trained.get(same) ?? (async () => {
    const dir = join(values.out, 'runs', createHash('sha1').update(same).digest('hex').slice(0, 12));
    const set = Object.entries(arm.fields).flatMap(([key, value]) => ['--set', `${key}=${value}`]);
    const events = await lowrank('finetune', '--model', model, '--data', files.train, '--val', files.validation, '--method', arm.method, ...set, ...(targets ? ['--targets', targets] : []), '--steps', steps, '--batch', batch, '--seq', seq, '--lr', lr, '--seed', seed, '--out', dir);
    const test = (await lowrank('eval', '--model', model, '--adapter', dir, '--data', files.test, '--batch', batch, '--seq', seq)).at(-1);
    return { dir, events, test: test.loss };
  })();
  trained.set(same, found);
  return found;
}

async function work() {
  const { lowrank, close } = worker();
  while (left.length > 0 && Date.now() < until) {
    const job = left.shift();
    const { claim, arm, lr, seed } = job;
    try {
      const { dir, events, test } = await train(job, lowrank);
      const extra = claim.measure ? await claim.measure({ dir, events, lowrank, files: claim.files, arm }) : {};
      const last = events.at(-1);
      const result = { name: nameOf(job), slug: claim.slug, arm: arm.name, lr, seed, validation: last.val_loss, test, trainable: last.trainable, ...extra };
      done.push(result);
      // As they come: a long experiment that is cut off has not been for nothing.
      await appendFile(runsFile, `${JSON.stringify(result)}\n`);
    } catch (error) {
      process.stderr.write(`${nameOf(job)}: ${error.message}\n`);
    }
    process.stderr.write(`${done.length} done, ${left.length} left, ${Math.round((Date.now() - started) / 1000)} s\n`);
  }
  close();
}
const asked = worker();
const device = (await asked.lowrank('device'))[0].adapter;
asked.close();
await Promise.all(Array.from({ length: Number(values.jobs) }, work));

const mean = (xs) => xs.reduce((a, b) => a + b, 0) / xs.length;
const spread = (xs) => Math.sqrt(xs.reduce((sum, x) => sum + (x - mean(xs)) ** 2, 0) / Math.max(1, xs.length - 1));
for (const claim of claims) {
  const { slug, steps, batch, seq } = claim;
  const all = done.filter((r) => r.slug === slug && jobs.some((job) => nameOf(job) === r.name));
  // Seeds that every arm has at every rate: what a budget cut off counts for nothing.
  const whole = Array.from({ length: claim.seeds }, (_, i) => i + 1).filter((seed) => jobs.filter((job) => job.claim === claim && job.seed === seed).every((job) => all.some((r) => r.name === nameOf(job))));
  const results = all.filter((r) => whole.includes(r.seed));
  console.log(`\n## ${slug}\n${device}, seeds ${whole.join(', ') || 'none'} of ${claim.seeds}, ${steps} steps of ${batch} × ${seq} tokens`);
  if (whole.length === 0) continue;
  const rows = claim.arms.map((arm) => {
    const byLr = lrsOf(claim, arm).map((lr) => ({ lr, runs: results.filter((r) => r.arm === arm.name && r.lr === lr) }));
    const best = byLr.reduce((a, b) => (mean(b.runs.map((r) => r.validation)) < mean(a.runs.map((r) => r.validation)) ? b : a));
    const column = (key) => best.runs.map((r) => r[key]).filter((x) => typeof x === 'number');
    return { arm: arm.name, lr: best.lr, validation: mean(column('validation')), test: mean(column('test')), spread: spread(column('test')), ...Object.fromEntries((claim.columns ?? []).map((key) => [key, mean(column(key))])) };
  });
  await mkdir(join(values.out, slug), { recursive: true });
  await writeFile(join(values.out, slug, 'results.json'), JSON.stringify({ slug, device, date: new Date().toISOString().slice(0, 10), seeds: whole, claim: { ...claim, measure: undefined, files: undefined }, rows, results }, null, 1));
  const columns = ['arm', 'lr', 'validation', 'test', 'spread', ...(claim.columns ?? [])];
  console.log(`| ${columns.join(' | ')} |\n|${columns.map(() => '---').join('|')}|`);
  for (const row of rows) console.log(`| ${columns.map((c) => (typeof row[c] === 'number' && c !== 'lr' ? Number(row[c].toPrecision(5)) : row[c])).join(' | ')} |`);
  // What the claim itself makes of its arms, a sentence a line.
  for (const line of claim.conclude?.(rows, results) ?? []) console.log(line);
}
