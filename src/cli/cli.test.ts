// The command line as its users meet it: built once, then driven as a child process on the model that ships.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parquetWriteBuffer } from 'hyparquet-writer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startHub } from '../../e2e/support/mock-hub.mjs';
import { halves } from '../data/pictures/testing/pictures';
import { loadTokenizer } from '../data/tokenizer';
import { type LoraModule, readPeft, writePeft } from '../formats/peft';
import { type SafetensorsFile, openSafetensors, writeSafetensors } from '../formats/safetensors';
import { zipFiles } from '../formats/zip';
import { methods } from '../methods/registry';
import { kept, namesIn, offBy } from '../methods/testing/kept';
import { VIT, tinyTensors } from '../methods/testing/tiny';
import { fileSource, folderSources } from './files';

// A driver that compiles every kernel for the first time takes minutes, where nothing is cached and the machine is busy.
const LONG = 600_000;

const root = fileURLToPath(new URL('../../', import.meta.url));
const MODEL = join(root, 'public', 'models', 'tale-1m');
const GOLDENS = join(root, 'e2e', 'fixtures', 'goldens');
const work = mkdtempSync(join(tmpdir(), 'lowrank-cli-'));
const bin = join(root, 'dist', `cli-under-test-${process.pid}.mjs`);
const at = (...path: string[]) => join(work, ...path);

/** Kernel choices of its own, so that no earlier measurement on this machine decides; the driver's own cache of compiled kernels may stay. */
const env = { ...process.env, HOME: at('home'), MESA_SHADER_CACHE_DIR: process.env.MESA_SHADER_CACHE_DIR ?? process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache') };

type Json = Record<string, unknown>;
interface Done {
  code: number | null;
  /** Lines of stdout. */
  lines: string[];
  events: Json[];
  stderr: string;
  /** The lines on stderr that the program itself wrote as an error. */
  errors: string[];
}

/** Runs the program; `watch` sees each event as it comes. */
function lowrank(args: readonly string[], more: { env?: NodeJS.ProcessEnv; watch?: (event: Json, child: ChildProcess) => void } = {}): Promise<Done> {
  const child = spawn(process.execPath, [bin, ...args], { env: { ...env, ...more.env } });
  const lines: string[] = [];
  let [rest, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop()!;
    for (const line of parts) {
      lines.push(line);
      if (more.watch) more.watch(JSON.parse(line) as Json, child);
    }
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => { stderr += text; });
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => {
      if (rest !== '') lines.push(rest);
      const events = args.includes('--json') && code !== 2 ? lines.map((line) => JSON.parse(line) as Json) : [];
      resolve({ code, lines, events, stderr, errors: stderr.split('\n').filter((line) => line.startsWith('lowrank: ')) });
    });
  });
}

const ofKind = (events: readonly Json[], kind: string) => events.filter((event) => event.event === kind);
const json = (path: string) => JSON.parse(readFileSync(path, 'utf8')) as Json;
const golden = async (name: string) => openSafetensors(await fileSource(join(GOLDENS, `${name}.safetensors`)));

beforeAll(async () => {
  execFileSync(process.execPath, [join(root, 'scripts', 'build-cli.mjs')], { stdio: 'ignore' });
  // A copy, so that another build does not change the program under the test.
  copyFileSync(join(root, 'dist', 'cli.mjs'), bin);
  mkdirSync(at('home'));
  writeFileSync(at('data.txt'), readFileSync(join(root, 'public', 'data', 'king-james', 'data.txt'), 'utf8').slice(0, 4000));
  writeFileSync(at('tokens.json'), JSON.stringify(await goldenTokens()));
  await writeGoldenAdapter();
}, LONG);
afterAll(() => {
  rmSync(work, { recursive: true, force: true });
  rmSync(bin, { force: true });
});

/** The batch that the goldens were made with, as a --tokens file. */
async function goldenTokens(): Promise<Json> {
  const file = await golden('tale-1m');
  const [rows, time] = file.byName.get('input_ids')!.shape as [number, number];
  const matrix = async (name: string) => {
    const flat = [...(await file.ints(name))];
    return Array.from({ length: rows }, (_, r) => flat.slice(r * time, (r + 1) * time));
  };
  return { input_ids: await matrix('input_ids'), labels: await matrix('labels') };
}

/** The adapter that the LoRA goldens start from, as PEFT's files: rank 4, alpha 8. */
async function writeGoldenAdapter(): Promise<void> {
  const file = await golden('tale-1m.lora');
  const modules: LoraModule[] = [];
  for (const { name, shape } of file.entries) {
    const site = /^init\.base_model\.model\.(.+)\.lora_A\.weight$/.exec(name)?.[1];
    if (site === undefined) continue;
    const B = `init.base_model.model.${site}.lora_B.weight`;
    modules.push({ name: site, rank: 4, scale: 2, inn: shape[1]!, out: file.byName.get(B)!.shape[0]!, A: await file.f32(name), B: await file.f32(B) });
  }
  mkdirSync(at('golden-adapter'));
  for (const { name, bytes } of writePeft({ modules, baseModel: 'tale-1m', taskType: 'CAUSAL_LM' }).files) writeFileSync(at('golden-adapter', name), bytes);
}

/** The flags of a small run, of the shape of the golden batch so that kernels are compiled and measured for one shape only. */
const finetune = (out: string, ...more: string[]) => [
  'finetune', '--model', MODEL, '--data', at('data.txt'), '--method', 'lora', '--set', 'rank=4', '--batch', '2', '--seq', '12', '--lr', '1e-3', '--seed', '5', '--out', at(out), '--json', ...more,
];

describe('help and usage', () => {
  test.each([[['--help']], [['help']], [['finetune', '--help']]])('%j prints the verbs and ends well', async (args) => {
    const { code, lines } = await lowrank(args);
    expect(code).toBe(0);
    for (const verb of ['finetune', 'eval', 'grads', 'sample', 'merge', 'inspect', 'methods', 'models', 'plan', 'device']) expect(lines.some((line) => line.startsWith(`  lowrank ${verb}`)), verb).toBe(true);
  });

  test.each<[string[], string]>([
    [['train'], "'train'"],
    [['finetune', '--method', 'lora'], '--model is missing'],
    [['finetune', '--model', 'x'], '--method is missing'],
    [['finetune', '--model', 'x', '--method', 'lora', '--data', 'y'], '--out is missing'],
    [['finetune', '--model', 'x', '--method', 'lora', '--stepz', '3'], '--stepz'],
    [['plan', '--model', 'x', '--method', 'lora', '--steps', 'many'], "--steps wants a number, got 'many'"],
    [['plan', '--model', 'x', '--method', 'lora', '--set', 'rank'], "key=value, got 'rank'"],
    [['eval', '--model', 'x'], 'either --data or --tokens'],
    [['eval', '--model', 'x', '--data', 'd', '--logits', 'l'], 'either --data or --tokens|--logits goes with --tokens'],
    [['merge', '--model', 'x', '--adapter', 'a', '--out', 'o', '--dtype', 'f8'], "f32 or f16, got 'f8'"],
    [['inspect'], 'give a path'],
    [['inspect', 'a', 'b'], "'b' is one argument too many"],
  ])('%j is a usage error', async (args, words) => {
    const { code, errors, lines } = await lowrank(args);
    expect(code).toBe(2);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toMatch(new RegExp(words.replaceAll('(', '\\(')));
    expect(lines).toEqual([]);
  });

  test('no verb at all prints the help and is a usage error', async () => {
    const { code, lines } = await lowrank([]);
    expect(code).toBe(2);
    expect(lines[0]).toContain('lowrank');
  });
});

describe('what needs no GPU', () => {
  test('models: those that are built in, with a path that --model takes', async () => {
    const { code, events } = await lowrank(['models', '--json']);
    expect(code).toBe(0);
    const ids = events.filter(({ event }) => event === 'model').map(({ id }) => id);
    expect(ids).toEqual((JSON.parse(readFileSync(join(root, 'public/models/index.json'), 'utf8')) as Json[]).map(({ id }) => id));
    for (const { event, path } of events) if (event === 'model') expect(existsSync(join(process.cwd(), path as string, 'config.json')), path as string).toBe(true);
    expect(events.at(-1)).toMatchObject({ event: 'architectures', classes: expect.arrayContaining(['LlamaForCausalLM', 'BertForMaskedLM']) });
  });

  test('methods: the whole catalogue, a line each', async () => {
    const { code, events } = await lowrank(['methods', '--json']);
    expect(code).toBe(0);
    expect(events.map(({ event, slug }) => [event, slug])).toEqual([...methods.keys()].map((slug) => ['method', slug]));
    expect(events).toEqual([...methods.values()].map(({ info }) => ({ event: 'method', ...(JSON.parse(JSON.stringify(info)) as Json) })));
  });

  test('plan: parts that add up, and the count by the formula r · (in + out)', async () => {
    const { code, events: [plan] } = await lowrank(['plan', '--model', MODEL, '--method', 'lora', '--set', 'rank=4', '--batch', '2', '--seq', '12', '--json']);
    expect(code).toBe(0);
    expect(Object.values(plan!.bytes as Record<string, number>).reduce((a, b) => a + b, 0)).toBe(plan!.peak_bytes);
    // Six blocks of q 128 × 128, k and v 64 × 128, o 128 × 128, gate and up 344 × 128, down 128 × 344.
    expect(plan!.trainable).toBe(6 * 4 * (2 * (128 + 128) + 2 * (64 + 128) + 3 * (344 + 128)));
    expect(plan!.total).toBe(1_613_440);
  });

  test('inspect: the singular values of each ΔW', async () => {
    const { code, events } = await lowrank(['inspect', at('golden-adapter'), '--json']);
    expect(code).toBe(0);
    const { modules } = await readPeft(await folderSources(at('golden-adapter')));
    const told = ofKind(events, 'module');
    expect(told.map(({ name }) => name).sort()).toEqual(modules.map(({ name }) => name).sort());
    for (const { name, A, B, rank, inn, out, scale } of modules) {
      const { singular_values: values, frobenius } = told.find((event) => event.name === name) as unknown as { singular_values: number[]; frobenius: number };
      expect(values).toHaveLength(rank);
      expect([...values].sort((a, b) => b - a)).toEqual(values);
      // σ² are the eigenvalues of s² (A Aᵀ)(Bᵀ B): their sum and the sum of their squares are its trace and that of its square.
      const gram = (x: Float32Array, at: (i: number, k: number) => number, n: number) => Array.from({ length: rank }, (_, i) => Array.from({ length: rank }, (_, j) => Array.from({ length: n }, (_, k) => x[at(i, k)]! * x[at(j, k)]!).reduce((a, b) => a + b, 0)));
      const [left, right] = [gram(A, (i, k) => i * inn + k, inn), gram(B, (i, k) => k * rank + i, out)];
      const product = left.map((row) => right[0]!.map((_, j) => scale ** 2 * row.reduce((sum, x, k) => sum + x * right[k]![j]!, 0)));
      const trace = product.reduce((sum, row, i) => sum + row[i]!, 0);
      const square = product.reduce((sum, row, i) => sum + row.reduce((s, x, j) => s + x * product[j]![i]!, 0), 0);
      // Double precision on both sides.
      expect(values.reduce((sum, s) => sum + s ** 2, 0) / trace).toBeCloseTo(1, 9);
      expect(values.reduce((sum, s) => sum + s ** 4, 0) / square).toBeCloseTo(1, 9);
      expect(frobenius ** 2 / trace).toBeCloseTo(1, 9);
    }
  });

  test('inspect: a model, and a file of tensors', async () => {
    const model = await lowrank(['inspect', MODEL, '--json']);
    expect(model.code).toBe(0);
    expect(ofKind(model.events, 'model')[0]).toMatchObject({ class: 'LlamaForCausalLM', parameters: 1_613_440, layers: 6, context: 512 });
    const file = await lowrank(['inspect', join(GOLDENS, 'gpt2-tiny.safetensors'), '--json']);
    expect(ofKind(file.events, 'tensor').length).toBe(ofKind(file.events, 'file')[0]!.tensors);
  });
});

describe('on the golden batch', () => {
  let golds: { base: SafetensorsFile; lora: SafetensorsFile };
  beforeAll(async () => { golds = { base: await golden('tale-1m'), lora: await golden('tale-1m.lora') }; });

  test('eval gives PyTorch’s loss and logits', async () => {
    const { code, events: [event], stderr } = await lowrank(['eval', '--model', MODEL, '--tokens', at('tokens.json'), '--logits', at('logits.safetensors'), '--json']);
    expect(code).toBe(0);
    expect(stderr.split('\n').filter((line) => line.startsWith('device: '))).toHaveLength(1);
    const want = (await golds.base.f32('loss'))[0]!;
    expect(Math.abs((event!.loss as number) - want)).toBeLessThan(1e-4);
    expect(event!.perplexity).toBeCloseTo(Math.exp(event!.loss as number), 6);
    const logits = await openSafetensors(await fileSource(at('logits.safetensors')));
    expect(logits.byName.get('logits')!.shape).toEqual([...golds.base.byName.get('input_ids')!.shape, 4096]);
    // The goldens' own bound.
    expect(offBy(await logits.f32('logits'), await kept(golds.base, 'logits'))).toBeLessThan(1e-4);
  }, LONG);

  test('grads gives PyTorch’s loss and the gradient of every adapter tensor', async () => {
    const { code, events: [event] } = await lowrank(['grads', '--model', MODEL, '--adapter', at('golden-adapter'), '--tokens', at('tokens.json'), '--out', at('grads.safetensors'), '--json']);
    expect(code).toBe(0);
    expect(Math.abs((event!.loss as number) - (await golds.lora.f32('loss'))[0]!)).toBeLessThan(1e-4);
    const got = await openSafetensors(await fileSource(at('grads.safetensors')));
    const names = namesIn(golds.lora).filter((name) => name.startsWith('grad.'));
    expect(event!.tensors).toBe(names.length);
    expect(got.entries.map(({ name }) => name).sort()).toEqual([...names, 'loss'].sort());
    for (const name of names) expect(offBy(await got.f32(name), await kept(golds.lora, name)), name).toBeLessThan(1e-4);
  }, LONG);

  test('a merged model scores as base and adapter do', async () => {
    const score = async (...args: string[]) => {
      const { code, events: [event] } = await lowrank(['eval', '--tokens', at('tokens.json'), '--json', ...args]);
      expect(code).toBe(0);
      return event!.loss as number;
    };
    const adapted = await score('--model', MODEL, '--adapter', at('golden-adapter'));
    const merged = await lowrank(['merge', '--model', MODEL, '--adapter', at('golden-adapter'), '--out', at('merged'), '--json']);
    expect(merged.code).toBe(0);
    expect(merged.events[0]).toMatchObject({ event: 'merge', modules: 42, dtype: 'f32' });
    for (const file of ['model.safetensors', 'config.json', 'tokenizer.json']) expect(existsSync(at('merged', file)), file).toBe(true);
    expect(json(at('merged', 'config.json')).torch_dtype).toBe('float32');
    const alone = await score('--model', at('merged'));
    expect(Math.abs(alone - adapted)).toBeLessThan(1e-5);
    expect(Math.abs(adapted - (await golds.base.f32('loss'))[0]!)).toBeGreaterThan(1e-3);
  }, LONG);
});

describe('finetune', () => {
  // Enough steps to be interrupted in the middle of them.
  const run = (out: string, ...more: string[]) => finetune(out, '--steps', '40', '--set', 'dropout=0.1', '--schedule', 'cosine', '--eval-every', '20', ...more);
  let whole: Done;

  test('trains, tells every step, and leaves adapter, configuration, metrics and checkpoint', async () => {
    whole = await lowrank(run('whole'));
    expect(whole.code).toBe(0);
    const steps = ofKind(whole.events, 'step');
    expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    for (const step of steps) for (const key of ['loss', 'lr', 'grad_norm', 'tokens_per_s']) expect(Number.isFinite(step[key]), `${key} of step ${step.step as number}`).toBe(true);
    expect(ofKind(whole.events, 'eval').map(({ step }) => step)).toEqual([0, 20, 40]);
    const done = whole.events.at(-1) as unknown as { event: string; steps: number; loss: number; val_loss: number; trainable: number; peak_bytes: number; seconds: number; files: string[]; receipt: { max_logit_difference: number; effect: number } };
    expect(done).toMatchObject({ event: 'done', steps: 40, loss: steps.at(-1)!.loss, val_loss: ofKind(whole.events, 'eval').at(-1)!.loss, trainable: 55_488 });
    expect(done.peak_bytes).toBeGreaterThan(4 * 1_613_440);
    expect(done.files.map((file) => file.slice(at('whole').length + 1)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'checkpoint.safetensors', 'metrics.jsonl', 'run.json']);
    for (const file of done.files) expect(existsSync(file), file).toBe(true);
    // The reloaded file does what the run did, and that is something.
    expect(done.receipt.max_logit_difference).toBeLessThan(1e-4);
    expect(done.receipt.effect).toBeGreaterThan(0.1);
    expect(steps.at(-1)!.loss).toBeLessThan(steps[0]!.loss as number);

    expect(readFileSync(at('whole', 'metrics.jsonl'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Json)).toEqual(whole.events);
    expect(json(at('whole', 'run.json'))).toMatchObject({ steps: 40, config: { method: { slug: 'lora', fields: { rank: 4, dropout: 0.1 } }, training: { steps: 40, seed: 5, schedule: 'cosine' } }, data: { hash: expect.stringMatching(/^[0-9a-f]{64}$/) as unknown } });
    expect((await readPeft(await folderSources(at('whole')))).modules).toHaveLength(42);
  }, LONG);

  test('interrupted it saves and says 130; resumed it ends in the same bytes as the uninterrupted run', async () => {
    let signalled = false;
    const first = await lowrank(run('halves'), { watch: (event, child) => {
      if (event.event === 'step' && !signalled) signalled = child.kill('SIGINT');
    } });
    expect(first.code).toBe(130);
    const stopped = first.events.at(-1)!;
    expect(stopped.event).toBe('done');
    expect(stopped.steps).toBeGreaterThan(0);
    expect(stopped.steps).toBeLessThan(40);
    expect(existsSync(at('halves', 'checkpoint.safetensors'))).toBe(true);
    expect((await readPeft(await folderSources(at('halves')))).modules).toHaveLength(42);

    const second = await lowrank(run('halves', '--resume', at('halves')));
    expect(second.code).toBe(0);
    expect(second.stderr).toContain(`resuming at step ${stopped.steps as number} of 40`);
    for (const file of ['adapter_model.safetensors', 'adapter_config.json', 'checkpoint.safetensors']) expect(readFileSync(at('halves', file)).equals(readFileSync(at('whole', file))), file).toBe(true);
    // One log of both halves, each step once and with the numbers of the whole run.
    const log = readFileSync(at('halves', 'metrics.jsonl'), 'utf8').trimEnd().split('\n').map((line) => JSON.parse(line) as Json);
    const numbers = (events: readonly Json[]) => ofKind(events, 'step').map(({ step, loss, lr, grad_norm }) => ({ step, loss, lr, grad_norm }));
    expect(numbers(log)).toEqual(numbers(whole.events));
  }, LONG);

  test('a rate that makes the loss non-finite ends it with 5, and names the checkpoint that is kept', async () => {
    const { code, stderr, events } = await lowrank(finetune('wild', '--steps', '20', '--warmup', '0', '--lr', '1e30'));
    expect(code).toBe(5);
    expect(stderr).toContain('step 2: the loss or the gradient norm is not finite');
    expect(stderr).toContain(`last good checkpoint: ${at('wild', 'checkpoint.safetensors')}`);
    expect(ofKind(events, 'done')).toEqual([]);
    const checkpoint = await openSafetensors(await fileSource(at('wild', 'checkpoint.safetensors')));
    expect(checkpoint.metadata.step).toBe('1');
    for (const { name } of checkpoint.entries) expect((await checkpoint.f32(name)).every(Number.isFinite), name).toBe(true);
  }, LONG);

  test('over int8 weights it takes less memory, says so in what it leaves, and is resumed over int8 alone', async () => {
    const small = await lowrank(finetune('int8', '--steps', '6', '--weights', 'int8'));
    expect(small.code).toBe(0);
    const { peak_bytes, receipt } = small.events.at(-1) as unknown as { peak_bytes: number; receipt: { max_logit_difference: number } };
    expect(peak_bytes).toBeLessThan((whole.events.at(-1) as unknown as { peak_bytes: number }).peak_bytes - 2 * 1_613_440);
    expect(receipt.max_logit_difference).toBeLessThan(1e-4);
    expect(json(at('int8', 'run.json'))).toMatchObject({ config: { weights: 'int8' } });
    expect((await openSafetensors(await fileSource(at('int8', 'adapter_model.safetensors')))).metadata).toEqual({ format: 'pt', base_weights: 'int8' });
    const resumed = await lowrank(finetune('int8', '--steps', '6', '--resume', at('int8')));
    expect(resumed.code).toBe(3);
    expect(resumed.errors[0]).toContain('trained over weights kept as int8, now they are kept as f32; Keep the weights as int8 to resume.');
  }, LONG);

  test.each([['pissa', 'int8', /PiSSA works on the base's own numbers, which are kept as int8; Keep the weights as f32/], ['lora', 'bf16', /--weights bf16: weights are kept as f32, f16, int8, int4/]])('%s over %s weights is refused', async (method, kind, words) => {
    const { code, errors } = await lowrank(['plan', '--model', MODEL, '--method', method, '--weights', kind]);
    expect(code).toBe(kind === 'int8' ? 3 : 2);
    expect(errors[0]).toMatch(words);
  }, LONG);

  test('resuming with another rank is refused and leaves the checkpoint as it was', async () => {
    const before = readFileSync(at('whole', 'checkpoint.safetensors'));
    const { code, errors } = await lowrank(run('whole', '--resume', at('whole'), '--set', 'rank=8'));
    expect(code).toBe(3);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain('this run has [8,');
    expect(readFileSync(at('whole', 'checkpoint.safetensors')).equals(before)).toBe(true);
  }, LONG);
});

describe('bad input is one line that says where, what was wrong, what was got, and what to do', () => {
  /** The model's folder with some files written anew. */
  function spoilt(name: string, files: Record<string, string | Uint8Array>): string {
    cpSync(MODEL, at(name), { recursive: true });
    for (const [file, content] of Object.entries(files)) writeFileSync(at(name, file), content);
    return at(name);
  }
  const config = () => json(join(MODEL, 'config.json'));
  const weights = () => readFileSync(join(MODEL, 'model.safetensors'));
  const replace = (args: readonly string[], flag: string, value: string) => args.map((arg, i) => (args[i - 1] === flag ? value : arg));
  const base = () => finetune('never', '--steps', '2');
  const data = (name: string, content: string) => {
    writeFileSync(at(name), content);
    return replace(base(), '--data', at(name));
  };
  const tokens = (name: string, content: string) => {
    writeFileSync(at(name), content);
    return ['eval', '--model', MODEL, '--tokens', at(name), '--json'];
  };

  test.each<[string, () => readonly string[], string[]]>([
    ['no such model', () => replace(base(), '--model', at('nowhere')), [at('nowhere'), 'no such directory', 'Give the folder']],
    ['no such data', () => replace(base(), '--data', at('nothing.txt')), ['nothing.txt', 'cannot be read', 'Check the path']],
    ['an empty text', () => data('empty.txt', ''), ['empty.txt']],
    ['a text of one line', () => data('short.txt', 'In the beginning.'), ['short.txt', 'too short', 'Add text']],
    ['a broken line of jsonl', () => data('broken.jsonl', '{"text": "one two three four five"}\n{"text": "six seven"\n{"text": "eight"}\n'), ['broken.jsonl', 'line 2']],
    ['a row of another kind', () => data('odd.jsonl', '{"text": "one two three four five"}\n{"text": "six seven"}\n{"words": "eight"}\n'), ['odd.jsonl', 'line 3', '"words"']],
    ['a truncated safetensors', () => replace(base(), '--model', spoilt('cut', { 'model.safetensors': weights().subarray(0, 1_000_000) })), ['model.safetensors', 'run past the end', 'of 994032', 'download it again']],
    ['a forged header', () => replace(base(), '--model', spoilt('forged', { 'model.safetensors': Uint8Array.from([255, 255, 255, 255, 0, 0, 0, 0, 123, 125]) })), ['model.safetensors', 'header', 'download it again']],
    ['a config of more layers', () => replace(base(), '--model', spoilt('deeper', { 'config.json': JSON.stringify({ ...config(), num_hidden_layers: 7 }) })), ['model.layers.6.', 'does not have it', 'another size']],
    ['a config of fewer layers', () => replace(base(), '--model', spoilt('flatter', { 'config.json': JSON.stringify({ ...config(), num_hidden_layers: 5 }) })), ['model.layers.5.', 'no place for it', 'another size']],
    ['a config of another width', () => replace(base(), '--model', spoilt('wider', { 'config.json': JSON.stringify({ ...config(), intermediate_size: 352 }) })), ['[344, 128] in the file, [352, 128] by the config', 'another size']],
    ['an architecture that is not read', () => replace(base(), '--model', spoilt('other', { 'config.json': JSON.stringify({ ...config(), architectures: ['MambaForCausalLM'] }) })), ['"MambaForCausalLM"', 'LlamaForCausalLM']],
    ['rows longer than the context', () => replace(base(), '--seq', '513'), ['training.seq', '513', '512']],
    ['a field out of range', () => [...base(), '--set', 'rank=0'], ['lora.rank', '0', 'from 1 to 256']],
    ['a field that is not there', () => [...base(), '--set', 'rnk=3'], ["'rnk'", 'rank, alpha']],
    ['targets that match nothing', () => [...base(), '--targets', 'c_attn'], ["'c_attn'", 'q_proj']],
    ['no such method', () => replace(base(), '--method', 'lara'), ["'lara'", [...methods.keys()].join(', ')]],
    ['a rate of zero', () => replace(base(), '--lr', '0'), ['training.lr', '>0', 'got 0']],
    ['a checkpoint that is not there', () => [...base(), '--resume', at('nowhere')], [join(at('nowhere'), 'checkpoint.safetensors'), 'no such file']],
    ['tokens that are no JSON', () => tokens('t1.json', '{"input_ids": [[1, 2}'), ['t1.json', 'not valid JSON']],
    ['a token beyond the vocabulary', () => tokens('t2.json', '{"input_ids": [[1, 2], [3, 4096]]}'), ['t2.json', 'input_ids[1][1] is 4096', 'below 4096']],
    ['rows of unlike length', () => tokens('t3.json', '{"input_ids": [[1, 2], [3]]}'), ['t3.json', 'row 1 has 1', 'Pad']],
    ['too many tokens in a row', () => tokens('t4.json', JSON.stringify({ input_ids: [Array<number>(513).fill(5)] })), ['t4.json', '513', '512']],
    ['an adapter that is a model', () => ['eval', '--model', MODEL, '--tokens', at('tokens.json'), '--adapter', MODEL, '--json'], ['adapter_config.json is missing']],
    ['a backend that is none', () => [...base(), '--adapter-backend', 'abacus'], ["'abacus'", 'swiftshader']],
  ])('%s', async (_, args, words) => {
    const { code, errors, lines, stderr } = await lowrank(args());
    expect(code, stderr).toBe(3);
    expect(errors).toHaveLength(1);
    for (const word of words) expect(errors[0]).toContain(word);
    // Nothing but that line, the device and what Dawn has to say; no stack, no result.
    expect(stderr.split('\n').filter((line) => line !== '' && !/^(lowrank: |device: |data: |Warning: )/.test(line))).toEqual([]);
    expect(lines).toEqual([]);
    expect(existsSync(at('never', 'checkpoint.safetensors'))).toBe(false);
  }, LONG);

  test.skipIf(process.platform !== 'linux')('no GPU is 4, with the steps that enable one', async () => {
    const nowhere = { VK_DRIVER_FILES: '/nonexistent/icd.json', VK_ICD_FILENAMES: '/nonexistent/icd.json', LOWRANK_BACKEND: 'gpu' };
    const { code, errors } = await lowrank(base(), { env: nowhere });
    expect(code).toBe(4);
    expect(errors).toHaveLength(1);
    expect(errors[0]).toContain('libvulkan1');
  });
});

test('eval over a file reads every row of it', async () => {
  const rows = ['one two three', 'four five', 'six seven eight nine'].map((text) => JSON.stringify({ text }));
  writeFileSync(at('rows.jsonl'), rows.join('\n'));
  const { code, events: [event] } = await lowrank(['eval', '--model', MODEL, '--data', at('rows.jsonl'), '--batch', '2', '--seq', '12', '--json']);
  expect(code).toBe(0);
  const tokenizer = loadTokenizer(json(join(MODEL, 'tokenizer.json')), json(join(MODEL, 'tokenizer_config.json')), null);
  // Framed by a begin and an end; the first token of a row is not predicted.
  const predicted = rows.reduce((sum, row) => sum + tokenizer.encode((JSON.parse(row) as { text: string }).text, { addSpecial: false }).length + 1, 0);
  expect(event).toMatchObject({ event: 'eval', tokens: predicted });
  expect(event!.loss).toBeGreaterThan(0);
}, LONG);

test('sample writes on from a prompt, greedily unless told otherwise, and an adapter changes what it writes', async () => {
  const write = async (...more: string[]) => (await lowrank(['sample', '--model', MODEL, '--prompt', 'Once upon a time', '--max', '8', '--json', ...more])).events[0] as unknown as { text: string; tokens: number; ids: number[] };
  const first = await write();
  expect(first.tokens).toBe(8);
  expect(first.text.length).toBeGreaterThan(5);
  expect((await write('--seed', '9')).ids).toEqual(first.ids);
  expect((await write('--adapter', at('golden-adapter'))).ids).not.toEqual(first.ids);
}, LONG);

test('device says what there is, and that its kernels are right', async () => {
  const { code, events: [event] } = await lowrank(['device', '--json']);
  expect(code).toBe(0);
  expect(event).toMatchObject({ event: 'device', features: expect.any(Array) as unknown, limits: expect.objectContaining({ maxStorageBufferBindingSize: expect.any(Number) as unknown }) as unknown });
  const tests = event!.self_test as { passed: boolean }[];
  expect(tests.length).toBeGreaterThan(0);
  expect(tests.every(({ passed }) => passed)).toBe(true);
}, LONG);

describe('data', () => {
  test('says of a sheet what a run would see, without a GPU, and refuses columns that are not there', async () => {
    writeFileSync(at('sheet.csv'), `question,answer\n${Array.from({ length: 30 }, (_, i) => `What is ${i}?,It is ${i}.`).join('\n')}\n`);
    const { code, events } = await lowrank(['data', '--model', MODEL, '--data', at('sheet.csv'), '--test', '0.1', '--json']);
    expect(code).toBe(0);
    expect(events[0]).toMatchObject({ event: 'data', form: 'pair', used: { prompt: 'question', completion: 'answer' }, trainRows: 24, validationRows: 3, testRows: 3 });
    const refused = await lowrank(['data', '--model', MODEL, '--data', at('sheet.csv'), '--columns', 'text=body']);
    expect([refused.code, refused.errors]).toEqual([3, [expect.stringContaining('there is no column "body" for the text: the columns are "question", "answer"')]]);
    const usage = await lowrank(['data', '--model', MODEL, '--data', at('sheet.csv'), '--columns', 'answer']);
    expect([usage.code, usage.errors[0]]).toEqual([2, "lowrank: data: --columns wants role=column, got 'answer'; roles are text, second, label, prompt, context, completion, system, messages, image, caption, score, tokens, tags"]);
  }, LONG);

  test('a Hub that is not there is an error by name', async () => {
    const { code, errors } = await lowrank(['inspect', 'nowhere']);
    expect([code, errors.length]).toEqual([3, 1]);
    const refused = await lowrank(['data', '--model', 'hub:../x', '--data', at('sheet.csv')]);
    expect([refused.code, refused.errors[0]]).toEqual([3, expect.stringContaining('is not the name of a repository')]);
  }, LONG);
});

describe('pictures', () => {
  const read = (...more: string[]) => ['--model', at('tiny-vit'), '--data', at('half-lit'), '--batch', '4', ...more, '--json'];
  beforeAll(() => {
    mkdirSync(at('tiny-vit'));
    writeFileSync(at('tiny-vit', 'config.json'), JSON.stringify(VIT));
    writeFileSync(at('tiny-vit', 'model.safetensors'), writeSafetensors(tinyTensors(VIT), { format: 'pt' }));
    for (const { name, bytes } of halves(12)) {
      mkdirSync(dirname(at('half-lit', name)), { recursive: true });
      writeFileSync(at('half-lit', name), bytes);
    }
    writeFileSync(at('half-lit.zip'), zipFiles(halves(12)));
  });

  test('a folder and a zip of it are the same rows', async () => {
    const [folder, zip] = await Promise.all([lowrank(['data', ...read()]), lowrank(['data', ...read().map((arg) => (arg === at('half-lit') ? at('half-lit.zip') : arg))])]);
    expect([folder.stderr, zip.stderr]).toEqual(['', '']);
    const [a, b] = [folder.events[0]!, zip.events[0]!];
    expect(a).toMatchObject({ event: 'data', format: 'pictures', form: 'picture-label', rows: 24, classes: [{ label: expect.stringMatching(/above|below/) }, {}] });
    expect(a.tokensHash).toBe(b.tokensHash);
  });

  test('the same rows from the Hub by id: parquet as data sets are stored there, and a zip', async () => {
    const files = halves(12).sort((a, b) => (a.name < b.name ? -1 : 1));
    const parquet = new Uint8Array(parquetWriteBuffer({
      schema: [{ name: 'root', num_children: 2 }, { name: 'image', repetition_type: 'OPTIONAL', num_children: 2 }, { name: 'bytes', type: 'BYTE_ARRAY', repetition_type: 'OPTIONAL' }, { name: 'path', type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type: 'OPTIONAL' }, { name: 'label', type: 'INT64', repetition_type: 'OPTIONAL' }],
      columnData: [{ name: 'image', data: files.map(({ name, bytes }, i) => ({ bytes, path: i % 2 === 0 ? name : null })) }, { name: 'label', data: files.map(({ name }) => BigInt(name.startsWith('below'))) }],
      kvMetadata: [{ key: 'huggingface', value: JSON.stringify({ info: { features: { label: { names: ['above', 'below'], _type: 'ClassLabel' } } } }) }],
    }));
    const hub = await startHub({ repos: {
      'tales/light': { kind: 'dataset', commit: 'cafe', files: { 'README.md': new TextEncoder().encode('# light'), 'data/test-00000-of-00001.parquet': new Uint8Array(1), 'data/train-00000-of-00001.parquet': parquet } },
      'tales/zipped': { kind: 'dataset', commit: 'cafe', files: { 'light.zip': zipFiles(halves(12)) } },
    } });
    try {
      const told = async (data: string) => lowrank(['data', ...read().map((arg) => (arg === at('half-lit') ? data : arg))], { env: { HF_ENDPOINT: hub.url } });
      const [folder, stored, zipped] = await Promise.all([at('half-lit'), 'hub:tales/light', 'hub:tales/zipped'].map(told)) as [Done, Done, Done];
      expect(stored.stderr).toContain('data: data/train-00000-of-00001.parquet of tales/light');
      expect(folder.events[0], folder.stderr).toMatchObject({ pictures: { size: 8, channels: 3 } });
      for (const { events, stderr } of [stored, zipped]) expect(events[0]?.tokensHash, stderr).toBe(folder.events[0]?.tokensHash);
      const { code, errors } = await told('hub:tales/light:data/test-00000-of-00001.parquet');
      expect([code, errors.join()]).toEqual([3, expect.stringMatching(/data\/test-00000-of-00001\.parquet: not a parquet file/)]);
    } finally {
      await hub.close();
    }
  }, LONG);

  test('finetune makes the head, learns, and exports it; eval reads it back; a finished run resumed says no loss that was not', async () => {
    const args = ['finetune', ...read('--method', 'lora', '--set', 'rank=4', '--steps', '12', '--lr', '1e-2', '--seed', '5', '--held-out', '0.25', '--out', at('out-vit'))];
    const { code, events, stderr } = await lowrank(args);
    expect(code, stderr).toBe(0);
    const [done] = ofKind(events, 'done') as [Json];
    expect(done.accuracy).toBeGreaterThan(0.8);
    const [, look] = ofKind(events, 'insights') as { worst: Json[] }[];
    expect(look!.worst[0]).toMatchObject({ wanted: expect.any(String), given: expect.any(String), name: expect.stringMatching(/^(above|below)\/\d+\.png$/) });
    expect(ofKind(events, 'step')[0]).toHaveProperty('pictures_per_s');
    expect(json(at('out-vit', 'adapter_config.json')).modules_to_save).toEqual(['classifier']);
    const scored = await lowrank(['eval', ...read('--adapter', at('out-vit'), '--held-out', '0.25', '--seed', '5')]);
    expect(scored.code, scored.stderr).toBe(0);
    expect(scored.events[0]!.accuracy).toBe(done.accuracy);
    expect(Math.abs((scored.events[0]!.loss as number) - (done.val_loss as number))).toBeLessThan(1e-5);

    const again = await lowrank([...args, '--resume', at('out-vit')]);
    expect(again.code, again.stderr).toBe(0);
    expect(ofKind(again.events, 'done')[0]).toMatchObject({ steps: 12, loss: null, val_loss: done.val_loss });
    const words = await lowrank([...args.filter((arg) => arg !== '--json'), '--resume', at('out-vit')]);
    expect(words.lines.join(' ')).not.toMatch(/NaN|null|undefined/);
  }, LONG);

  test.each<[string, string[], RegExp]>([
    ['a file that is no picture data', ['data', '--model', at('tiny-vit'), '--data', at('data.txt')], /pictures are not read from this kind of file.*\.zip/],
    ['a folder for a model of texts', ['data', '--model', MODEL, '--data', at('half-lit')], /a folder: its files are read one at a time/],
    ['a task of another kind of model', ['data', '--model', at('tiny-vit'), '--data', at('half-lit'), '--task', 'instruction'], /the task instruction is not for models of vit; They can learn: image-classification/],
    ['a method that is not for pictures', ['finetune', ...read('--method', 'adalora', '--steps', '1', '--out', at('none'))], /adapts models of kind .*; this one is a vit/],
  ])('%s is refused', async (_, args, message) => {
    const { code, errors } = await lowrank(args);
    expect(code).toBe(3);
    expect(errors.join()).toMatch(message);
  });
});

describe('tasks of an encoder', () => {
  const GLOSS = join(root, 'public', 'models', 'gloss-1m');
  const KINDS = ['bird', 'fish', 'tree', 'coin', 'song', 'boat', 'bread', 'star'];
  const short = ['--batch', '8', '--seq', '16', '--held-out', '0.25', '--seed', '5', '--json'];
  const finetune = (task: string, data: string, ...more: string[]) => lowrank(['finetune', '--model', GLOSS, '--task', task, '--data', at(data), '--method', 'lora', '--set', 'rank=4', ...short, ...more]);

  test('pairs of texts are matched; eval reads scale and direction of the run and finds what it found', async () => {
    writeFileSync(at('pairs.csv'), `anchor,positive,score\n${Array.from({ length: 64 }, (_, i) => `${KINDS[i % 8]} of day ${i},the ${KINDS[(i + Math.floor(i / 48)) % 8]} ${i} again,${i < 48 ? 1 : 0}`).join('\n')}\n`);
    const { code, events, stderr } = await finetune('sentence-embedding', 'pairs.csv', '--steps', '30', '--lr', '3e-3', '--scale', '10', '--symmetric', '--out', at('out-pairs'));
    expect(code, stderr).toBe(0);
    expect(stderr).toContain('16 of 64 pairs score below 0.5');
    const [[first], [done]] = [ofKind(events, 'eval'), ofKind(events, 'done')] as [[Json], [Json]];
    expect(done.val_loss).toBeLessThan(0.8 * (first.loss as number));
    expect((done.receipt as Json).max_logit_difference).toBeLessThan(1e-4);
    expect(json(at('out-pairs', 'run.json')).task).toEqual({ kind: 'sentence-embedding', scale: 10, symmetric: true });
    const args = ['eval', '--model', GLOSS, '--adapter', at('out-pairs'), '--data', at('pairs.csv'), ...short];
    const { events: [scored], stderr: told } = await lowrank(args);
    expect(scored, told).toMatchObject({ recall_1: done.recall_1, recall_5: done.recall_5, rows: expect.any(Number) });
    expect(scored!.spearman).toBeCloseTo(done.spearman as number, 5);
    expect(scored!.loss).toBeCloseTo(done.val_loss as number, 5);
    expect((await lowrank([...args, '--scale', '20'])).events[0]!.loss).not.toBeCloseTo(done.val_loss as number, 2);

    // Pairs as tokens: the first texts, then the second ones. The last pair is none, and its texts are wrong answers all the same.
    const texts = [[2, 50, 60, 3], [2, 51, 61, 3], [2, 52, 3, 0], [2, 50, 70, 3], [2, 51, 71, 3], [2, 53, 3, 0]];
    writeFileSync(at('pairs.json'), JSON.stringify({ input_ids: texts, attention_mask: texts.map((row) => row.map((id) => Number(id > 0))), labels: [[0], [1], [-100]] }));
    const given = ['--model', GLOSS, '--adapter', at('out-pairs'), '--tokens', at('pairs.json'), '--json'];
    const { events: [judged], stderr: why } = await lowrank(['eval', ...given, '--logits', at('pair-logits.safetensors')]);
    const { events: [graded], stderr: whyNot } = await lowrank(['grads', ...given, '--out', at('pair-grads.safetensors')]);
    expect(judged, why).toMatchObject({ rows: 2 });
    const logits = await openSafetensors(await fileSource(at('pair-logits.safetensors')));
    expect(logits.byName.get('logits')!.shape).toEqual([3, 3]);
    const values = await logits.f32('logits');
    const nll = (of: (j: number) => number, own: number) => Math.log([0, 1, 2].reduce((sum, j) => sum + Math.exp(of(j)), 0)) - of(own);
    const want = [0, 1].reduce((sum, i) => sum + (nll((j) => values[3 * i + j]!, i) + nll((j) => values[3 * j + i]!, i)) / 4, 0);
    expect(judged!.loss).toBeCloseTo(want, 5);
    expect(graded!.loss, whyNot).toBeCloseTo(want, 5);
    const gradients = await openSafetensors(await fileSource(at('pair-grads.safetensors')));
    expect(gradients.entries.length - 1).toBe(graded!.tensors);
    expect(Math.max(...(await gradients.f32(gradients.entries.find(({ name }) => name.includes('lora_B'))!.name)).map(Math.abs))).toBeGreaterThan(1e-4);
  }, LONG);

  test('words are tagged; the head goes with the adapter, eval finds what the run found, and a merged model knows its tags', async () => {
    const row = (i: number) => ({ tokens: ['on', 'day', String(i), 'old', KINDS[i % 8], 'met', KINDS[(i * 3) % 8]], tags: ['O', 'O', 'O', 'B-THING', 'I-THING', 'O', 'B-THING'] });
    writeFileSync(at('words.jsonl'), Array.from({ length: 48 }, (_, i) => JSON.stringify(row(i))).join('\n'));
    const { code, events, stderr } = await finetune('token-classification', 'words.jsonl', '--steps', '25', '--lr', '3e-3', '--out', at('out-words'));
    expect(code, stderr).toBe(0);
    const [done] = ofKind(events, 'done') as [Json];
    expect(done.accuracy).toBeGreaterThan(0.9);
    expect(done.entity_f1).toBeGreaterThan(0.8);
    expect(json(at('out-words', 'adapter_config.json'))).toMatchObject({ task_type: 'TOKEN_CLS', modules_to_save: ['classifier'] });
    const { events: [scored], stderr: told } = await lowrank(['eval', '--model', GLOSS, '--adapter', at('out-words'), '--data', at('words.jsonl'), ...short]);
    expect(scored, told).toMatchObject({ accuracy: done.accuracy, macro_f1: done.macro_f1, entity_f1: done.entity_f1, tokens: expect.any(Number) });
    expect(scored!.loss).toBeCloseTo(done.val_loss as number, 5);
    // A run's record apart, the PEFT files say what the adapter is of.
    rmSync(at('out-words', 'run.json'));
    expect((await lowrank(['merge', '--model', GLOSS, '--adapter', at('out-words'), '--out', at('merged-words')])).code).toBe(0);
    expect(json(at('merged-words', 'config.json'))).toMatchObject({ architectures: ['BertForTokenClassification'], id2label: { 0: 'LABEL_0', 1: 'LABEL_1', 2: 'LABEL_2' } });
    writeFileSync(at('words.json'), JSON.stringify({ input_ids: [[2, 50, 60, 3]], labels: [[-100, 0, 2, -100]] }));
    const [merged, adapted] = await Promise.all([[at('merged-words')], [GLOSS, '--adapter', at('out-words')]].map((model) => lowrank(['eval', '--model', ...model, '--tokens', at('words.json'), '--json'])));
    expect(merged!.code, merged!.stderr).toBe(0);
    expect(merged!.events[0]).toMatchObject({ tokens: 2 });
    expect(merged!.events[0]!.loss).toBeCloseTo(adapted!.events[0]!.loss as number, 4);
  }, LONG);

  test.each<[string, string[], RegExp]>([
    ['tags that are no list', ['data', '--model', GLOSS, '--task', 'token-classification', '--data', at('pairs.csv'), '--columns', 'tokens=anchor,tags=score'], /pairs\.csv: row 1: "anchor" must be a list, a word for each word: got a string; Write/],
    ['a scale of nothing', ['finetune', '--model', GLOSS, '--task', 'sentence-embedding', '--data', at('pairs.csv'), '--method', 'lora', '--scale', '0', '--out', at('none')], /scale: .*got 0/],
    ['one column of texts', ['data', '--model', GLOSS, '--task', 'sentence-embedding', '--data', at('pairs.csv'), '--columns', 'text=anchor'], /"second" is missing: the columns are "anchor", "positive", "score"/],
    ['tokens of half a pair', ['grads', '--model', GLOSS, '--adapter', at('out-pairs'), '--tokens', at('half.json'), '--out', at('none')], /half\.json: input_ids has 3 rows, and pairs of texts want an even number; Write all first texts/],
  ])('%s is refused', async (_, args, message) => {
    writeFileSync(at('half.json'), JSON.stringify({ input_ids: [[2, 3], [2, 3], [2, 3]] }));
    const { code, errors } = await lowrank(args);
    expect(code).toBe(3);
    expect(errors.join()).toMatch(message);
  });
});

describe('script', () => {
  const command = (out: string, lr: string) => ['finetune', '--model', MODEL, '--data', at('script.txt'), '--method', 'lora', '--set', 'rank=2', '--steps', '3', '--batch', '2', '--seq', '16', '--lr', lr, '--seed', '3', '--out', at(out), '--json'];

  test('many commands in one process give the bytes of processes of their own; a wrong one is named and the next still runs', async () => {
    writeFileSync(at('script.txt'), 'The sun rose over the hills and the valley woke. '.repeat(60));
    const commands = [command('script-a', '1e-3'), command('script-wrong', 'much'), ['eval', '--model', MODEL, '--adapter', at('script-a'), '--data', at('script.txt'), '--json'], command('script-b', '1e-3')];
    writeFileSync(at('commands'), commands.map((line) => JSON.stringify(line)).join('\n'));
    const { code, lines: told } = await lowrank(['script', at('commands')]);
    const events = told.map((line) => JSON.parse(line) as Json);
    expect(code).toBe(2);
    expect(ofKind(events, 'script').map(({ line, code: ended }) => [line, ended])).toEqual([[1, 0], [2, 2], [3, 0], [4, 0]]);
    expect(ofKind(events, 'eval').at(-1)?.loss).toBeGreaterThan(0);
    expect((await lowrank(command('script-alone', '1e-3'))).code).toBe(0);
    for (const file of ['adapter_model.safetensors', 'checkpoint.safetensors']) {
      const alone = readFileSync(at('script-alone', file));
      for (const out of ['script-a', 'script-b']) expect(readFileSync(at(out, file)).equals(alone), `${out}/${file}`).toBe(true);
    }
    // A run takes 9 MB beside the model. Of one that ended no more may be left than a table or two: 1 KiB was seen.
    const [first, second] = ofKind(events, 'done').map(({ peak_bytes }) => peak_bytes as number) as [number, number];
    expect(second - first).toBeLessThan(64 * 1024);
  }, LONG);

  test.each([
    ['a line that is no JSON', 'eval --model x', 3, /line 1: not valid JSON/],
    ['a line that is no list of texts', '{"verb":"eval"}', 3, /line 1: wanted a list of texts/],
    ['a script in a script', '["script","-"]', 3, /line 1: a script runs no script/],
  ])('%s is refused', async (_, text, wanted, message) => {
    writeFileSync(at('wrong-commands'), text);
    const { code, errors } = await lowrank(['script', at('wrong-commands')]);
    expect(code).toBe(wanted);
    expect(errors.join()).toMatch(message);
  });
});
