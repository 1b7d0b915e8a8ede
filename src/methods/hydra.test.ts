// Hydra against its specification: what the sequential head reads, what flows down through it, and how both heads merge and leave.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { reshape, matmul } from '../engine/ops';
import { Graph } from '../engine/tensor/graph';
import { free, readF32, upload } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { qr } from '../engine/linalg/host/qr';
import { hostMatrix, multiply, transpose } from '../engine/linalg/host/matrix';
import { singularValues } from '../engine/linalg/host/svd';
import { bytesSource } from '../formats/safetensors';
import { detach } from '../training/attach';
import { exportValues, mergedWeights } from '../training/export';
import { attachFolder } from '../training/import';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { ConfigError } from '../util/errors';
import { hydra } from './hydra';
import { logitsOf, share } from './testing/logits';
import { normals } from './testing/random';
import { type RunSetup, createRun, numbersOf, randomBatch, sameBytes, startOf, trained } from './testing/runs';
import { GPT2, folderOf, loadFolder, loadTiny } from './testing/tiny';

const DOWN = 'model.layers.0.mlp.down_proj';
const [OUT, IN] = [32, 48];

let device: Device;
let loaded: LoadedModel;
let gpt2: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  [loaded, gpt2] = [await loadTiny(device), await loadTiny(device, GPT2)];
});
afterAll(() => { for (const model of [loaded, gpt2]) freeWeights(device, model); });

type Settings = Record<string, number | boolean | string>;
const setup = (fields: Settings, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'hydra', ...more, fields: { dropout: 0, ...fields } });
/** Every factor and bias away from zero. */
const generic = (at: RunSetup) => startOf(at, (name, was) => (/_B$|bias$/.test(name) ? normals(was.length, name, 0.3) : was));

describe('one layer in double precision', () => {
  const [rp, rs, s, T] = [2, 3, 1.5, 5];
  /** Outputs and dL/dx of down_proj with its adapter, for L = Σ g·y, beside the numbers that it is made of. */
  async function layer(fields: Settings) {
    const at = setup({ parallelRank: rp, sequentialRank: rs, scale: s, ...fields }, { targets: 'down_proj' });
    const resume = await generic(at);
    const { run } = await createRun({ ...at, resume });
    const numbers = await numbersOf(resume);
    const of = (part: string, rows: number) => hostMatrix(rows, numbers.get(`param.${DOWN}.${part}`)!.length / rows, numbers.get(`param.${DOWN}.${part}`)!);
    const site = loaded.network.sites.get(DOWN)!;
    const [xs, gs] = [normals(T * IN, 'x'), normals(T * OUT, 'g')];
    const [x, g] = [upload(device, tensor('x', [1, T, IN], 'input'), xs), upload(device, tensor('g', [1, T * OUT], 'input'), gs)];
    const graph = new Graph();
    const [y, weight, dx] = graph.record(() => {
      const adapter = run.attachment.adapters.get(DOWN)!;
      const out = adapter.apply!(x, { training: true });
      const loss = reshape(matmul(reshape(out, [1, T * OUT]), g, { tb: true }), [1]);
      return [out, adapter.weight(), graph.grad(loss, [x])[0]!] as const;
    });
    const step = await compile(device, graph, { keep: [y, weight, dx] });
    step.run();
    const read = { y: await step.read(y), weight: await step.read(weight), dx: await step.read(dx) };
    const { values } = (await exportValues(device, run.attachment)).find((each) => each.site.name === DOWN)!;
    const lora = run.attachment.adapters.get(DOWN)!.lora!(values);
    step.dispose();
    for (const t of [x, g]) free(device, t);
    run.dispose();
    return { ...read, lora, W: hostMatrix(OUT, IN, await readF32(device, site.weight)), x: hostMatrix(T, IN, xs), g: hostMatrix(T, OUT, gs), of };
  }

  test('y, and what flows to the layer below: (G + s G Bₛ Aₛ) W + s G Bₚ Aₚ', async () => {
    const { y, dx, W, x, g, of } = await layer({});
    const [Ap, Bp, As, Bs] = [of('lora_A', rp), of('lora_B', OUT), of('sequential_A', rs), of('sequential_B', OUT)];
    const sum = (a: ArrayLike<number>, b: ArrayLike<number>, k = 1) => Float64Array.from(a, (v, i) => v + k * b[i]!);
    const y0 = multiply(x, transpose(W));
    const branch = (reads: typeof y0, A: typeof y0, B: typeof y0) => multiply(multiply(reads, transpose(A)), transpose(B)).data;
    expect(share(y, sum(sum(y0.data, branch(x, Ap, Bp), s), branch(y0, As, Bs), s))).toBeLessThan(1e-6);
    const through = hostMatrix(T, OUT, sum(g.data, multiply(multiply(g, Bs), As).data, s));
    const want = sum(multiply(through, W).data, multiply(multiply(g, Bp), Ap).data, s);
    expect(share(dx, want)).toBeLessThan(2e-6);
    // Stopping at the frozen output, or reading the adapted one, is far outside that.
    expect(share(sum(multiply(g, W).data, multiply(multiply(g, Bp), Ap).data, s), want)).toBeGreaterThan(0.05);
    const adapted = hostMatrix(T, OUT, sum(y0.data, branch(x, Ap, Bp), s));
    expect(share(sum(adapted.data, branch(adapted, As, Bs), s), y)).toBeGreaterThan(0.05);
  });

  test('W + scale · B A of the exported factors is W + s (Bₚ Aₚ + Bₛ Aₛ W)', async () => {
    const { lora: { rank, scale, A, B }, weight, W, of } = await layer({});
    expect([rank, scale]).toEqual([rp + rs, s]);
    const sum = (a: ArrayLike<number>, b: ArrayLike<number>, k: number) => Float64Array.from(a, (v, i) => v + k * b[i]!);
    const merged = sum(sum(W.data, multiply(of('lora_B', OUT), of('lora_A', rp)).data, s), multiply(multiply(of('sequential_B', OUT), of('sequential_A', rs)), W).data, s);
    expect(share(sum(W.data, multiply(hostMatrix(OUT, rank, B), hostMatrix(rank, IN, A)).data, scale), merged)).toBeLessThan(1e-6);
    expect(share(weight, merged)).toBeLessThan(1e-6);
  });

  test('the sequential head alone changes W within its own rows’ space, by at most its rank', async () => {
    const { weight, W, lora } = await layer({ parallelRank: 0 });
    const delta = hostMatrix(OUT, IN, weight.map((w, i) => w - W.data[i]!));
    // W [32, 48] has 32 independent rows in 48 dimensions.
    const { Q } = qr(transpose(W));
    const inside = multiply(multiply(delta, Q), transpose(Q));
    expect(share(inside.data, delta.data)).toBeLessThan(2e-6);
    // Of the factors alone, without the rounding of W + ΔW − W.
    const product = multiply(hostMatrix(OUT, rs, lora.B), hostMatrix(rs, IN, lora.A));
    expect(share(multiply(multiply(product, Q), transpose(Q)).data, product.data)).toBeLessThan(1e-6);
    const values = singularValues(delta.data, OUT, IN);
    expect(values[rs - 1]!).toBeGreaterThan(1e-3);
    expect(values[rs]! / values[0]!).toBeLessThan(1e-5);
    // A second parallel head would leave that space.
    const { weight: other } = await layer({ sequentialRank: 0 });
    const free_ = hostMatrix(OUT, IN, other.map((w, i) => w - W.data[i]!));
    expect(share(multiply(multiply(free_, Q), transpose(Q)).data, free_.data)).toBeGreaterThan(0.1);
  });
});

test('without the sequential head it is LoRA of alpha = s·r, bit for bit; without the parallel one it is the sequential adapter', async () => {
  const training = { steps: 6, schedule: 'cosine', warmup: 2, weightDecay: 0.05, clip: 0.5 } as const;
  const left = (at: RunSetup) => trained({ ...at, training }, async ({ run, checkpoint, series }) => ({ numbers: await numbersOf(checkpoint), series, files: (await run.exportPeft('tiny')).folder.files.map((file) => file.bytes) }));
  const one = await left(setup({ parallelRank: 4, sequentialRank: 0, scale: 2 }));
  const lora = await left({ device, loaded, slug: 'lora', fields: { rank: 4, alpha: 8 } });
  for (const [name, numbers] of lora.numbers) expect(one.numbers.get(name), name).toEqual(numbers);
  expect([one.series.loss, one.series.grad_norm]).toEqual([lora.series.loss, lora.series.grad_norm]);
  expect(one.files.every((bytes, i) => sameBytes(bytes, lora.files[i]!))).toBe(true);
  const { numbers } = await left(setup({ parallelRank: 0, sequentialRank: 2 }));
  expect([...numbers.keys()].filter((name) => /^param/.test(name)).every((name) => /sequential_[AB]$/.test(name))).toBe(true);
});

test('A starts in ±1 / √in or by Xavier, of what its head reads; everything else at zero', async () => {
  for (const [init, bound] of [['kaiming', (reads: number) => 1 / Math.sqrt(reads)], ['xavier', (reads: number) => Math.sqrt(6 / (reads + 16))]] as const) {
    const { run } = await createRun(setup({ init, parallelRank: 16, sequentialRank: 16, biases: true }, { targets: 'down_proj' }));
    for (const { params } of run.attachment.adapters.values()) {
      for (const [name, p] of Object.entries(params)) {
        const largest = Math.max(...(await readF32(device, p.tensor)).map(Math.abs));
        const want = name === 'A' ? bound(IN) : name === 'As' ? bound(OUT) : 0;
        expect(largest, `${init} ${name}`).toBeLessThanOrEqual(want);
        // The largest of 512 draws and more.
        expect(largest, `${init} ${name}`).toBeGreaterThanOrEqual(0.98 * want);
      }
    }
    run.dispose();
  }
});

test.each([{ biases: true }, { biases: false }])('on layers with biases: merged and exported give the run’s logits, inner biases $biases', async ({ biases }) => {
  const at = setup({ biases, scale: 1.5 }, { loaded: gpt2 });
  const { run } = await createRun({ ...at, resume: await generic(at) });
  const batch = randomBatch('hydra');
  const live = await logitsOf(device, gpt2, run.attachment.adapters, batch);
  expect(share(live, await logitsOf(device, gpt2, noAdapters, batch))).toBeGreaterThan(0.1);
  const merged = await loadFolder(device, folderOf(GPT2, await mergedWeights(device, gpt2, run.attachment.adapters, 'F32')));
  expect(share(await logitsOf(device, merged, noAdapters, batch), live)).toBeLessThan(1e-5);
  freeWeights(device, merged);

  const { folder } = await run.exportPeft('tiny');
  const config = JSON.parse(new TextDecoder().decode(folder.files.find(({ name }) => name === 'adapter_config.json')!.bytes));
  // The sequential head carries the layer's own bias along, so even without inner ones there is something to add.
  expect(config).toMatchObject({ peft_type: 'LORA', r: 4, lora_alpha: 6, lora_bias: true });
  const files = await attachFolder(device, gpt2, new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])), [hydra as never]);
  expect(share(await logitsOf(device, gpt2, files.attachment.adapters, batch), live)).toBeLessThan(1e-5);
  // An export that forgot the bias would be told from this one.
  for (const { params } of files.attachment.adapters.values()) upload(device, params.bias0!.tensor, new Float32Array(params.bias0!.tensor.shape[0]!));
  expect(share(await logitsOf(device, gpt2, files.attachment.adapters, batch), live)).toBeGreaterThan(0.01);
  detach(device, files.attachment);
  run.dispose();
});

test('inner biases on layers without one: the adapter leaves with lora_bias, and a merge is refused by name', async () => {
  const at = setup({ biases: true });
  const { run } = await createRun({ ...at, resume: await generic(at) });
  const batch = randomBatch('hydra');
  const live = await logitsOf(device, loaded, run.attachment.adapters, batch);
  const { folder, receipt } = await run.exportPeft('tiny');
  expect(receipt.maxLogitDifference).toBeLessThan(1e-5 * Math.max(...live.map(Math.abs)));
  expect(new TextDecoder().decode(folder.files.find(({ name }) => name === 'adapter_config.json')!.bytes)).toContain('"lora_bias": true');
  await expect(mergedWeights(device, loaded, run.attachment.adapters, 'F32')).rejects.toThrow(ConfigError);
  run.dispose();
});

test('biases train, and are counted', async () => {
  const fields = { parallelRank: 2, sequentialRank: 3, biases: true };
  await trained(setup(fields, { targets: 'down_proj', training: { steps: 2 } }), async ({ checkpoint, run }) => {
    const numbers = await numbersOf(checkpoint);
    for (const part of ['lora_A_bias', 'lora_B_bias', 'sequential_A_bias', 'sequential_B_bias']) expect(numbers.get(`param.${DOWN}.${part}`)!.some((x) => x !== 0), part).toBe(true);
    const counted = run.attachment.params.reduce((sum, p) => sum + p.tensor.shape.reduce((a, b) => a * b, 1), 0);
    expect(counted).toBe(2 * (2 * (IN + OUT) + 3 * 2 * OUT + 2 + 3 + 2 * OUT));
  });
});

test('dropout acts on the rank-wide middle in training only', async () => {
  const at = setup({ dropout: 0.5 }, { targets: 'down_proj' });
  const { run } = await createRun({ ...at, resume: await generic(at) });
  const rows = 64;
  // The same row again and again: two units of each head, so sixteen ways at most to drop them.
  const x = upload(device, tensor('x', [1, rows, IN], 'input'), Float32Array.from({ length: rows * IN }, (_, i) => Math.sin(1 + (i % IN))));
  const graph = new Graph();
  const adapter = run.attachment.adapters.get(DOWN)!;
  const [still, noisy] = graph.record(() => [adapter.apply!(x, { training: false }), adapter.apply!(x, { training: true })] as const);
  const step = await compile(device, graph, { keep: [still, noisy] });
  step.run(null, { step: 1, seed: 7 });
  const different = (y: Float32Array) => new Set(Array.from({ length: rows }, (_, r) => y[r * OUT]!.toFixed(5))).size;
  expect(different(await step.read(still))).toBe(1);
  const ways = different(await step.read(noisy));
  expect(ways).toBeGreaterThan(8);
  expect(ways).toBeLessThanOrEqual(16);
  step.dispose();
  free(device, x);
  run.dispose();
});

test.each([
  [{ parallelRank: 0, sequentialRank: 0 }, 'parallelRank and sequentialRank are both 0, so there is nothing to train', 'Give one of them a value from 1 on.'],
  [{ parallelRank: 17 }, 'parallelRank: 17 is above the rank that model.layers.0.self_attn.k_proj [16, 32] can have', 'Give a value from 1 to 16, or leave that layer out of the targets.'],
  [{ sequentialRank: 17 }, 'sequentialRank: 17 is above the rank that model.layers.0.self_attn.k_proj [16, 32] can have', 'Give a value from 1 to 16, or leave that layer out of the targets.'],
])('%j is refused', async (fields, message, hint) => {
  expect(await createRun(setup(fields)).then(() => null, (error: ConfigError) => [error.name, error.message, error.hint])).toEqual(['ConfigError', message, hint]);
});

test.each(['Llama', 'GPT-2'])('with inner biases, too, the output at the start is the base’s bit for bit: %s', async (which) => {
  const model = which === 'Llama' ? loaded : gpt2;
  const { run } = await createRun(setup({ biases: true, scale: 1.5 }, { loaded: model }));
  const batch = randomBatch('hydra');
  expect(await logitsOf(device, model, run.attachment.adapters, batch)).toEqual(await logitsOf(device, model, noAdapters, batch));
  run.dispose();
});
