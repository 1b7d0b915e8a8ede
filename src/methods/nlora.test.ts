// NLoRA, SLoRA and IntTune against their specification: what each starts from, what trains, and what that start does to the model.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { type HostMatrix, combine, frobenius, hostMatrix, multiply, transpose } from '../engine/linalg/host/matrix';
import { type LinearSite, noAdapters } from '../engine/nn/site';
import { Graph } from '../engine/tensor/graph';
import { readF32 } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { testDevice } from '../engine/testing/device';
import { countTrainable } from '../training/attach';
import { type Method, bind } from '../training/contract';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { StoppedError } from '../util/errors';
import { nlora } from './nlora';
import { type Subject, checks } from './testing/conformance';
import { logitsOf, share, weightOf } from './testing/logits';
import { preparation } from './testing/prepared';
import { normals } from './testing/random';
import { type RunSetup, createRun, numbersOf, randomBatch, startOf, trained } from './testing/runs';
import { LLAMA, loadTiny } from './testing/tiny';

const RANK = 4;
const [K, DOWN] = ['model.layers.0.self_attn.k_proj', 'model.layers.1.mlp.down_proj'];

let device: Device;
let loaded: LoadedModel;
let sites: LinearSite[];
let subject: Subject;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
  sites = [K, DOWN].map((name) => loaded.network.sites.get(name)!);
  subject = { name: 'NLoRA’s tiny Llama', config: LLAMA, changed: /(v|o|down)_proj/, device, loaded, fresh: () => loadTiny(device) };
});
afterAll(() => freeWeights(device, loaded));

type Settings = Record<string, number | boolean | string>;
const setup = (fields: Settings = {}, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'nlora', targets: `${K}|${DOWN}`, ...more, fields: { rank: RANK, alpha: 2 * RANK, ...fields } });

/** Factors of a fresh run, and the effective weight of each site. */
async function fresh(fields: Settings) {
  const { run } = await createRun(setup(fields));
  const all = await numbersOf(await run.checkpoint());
  const graph = new Graph();
  const weights = graph.record(() => sites.map((site) => run.attachment.adapters.get(site.name)!.weight()));
  const step = await compile(device, graph, { keep: weights });
  step.run();
  const found = new Map<string, { A: HostMatrix; N: HostMatrix; B: HostMatrix; base: HostMatrix; effective: HostMatrix; jump: number | undefined }>();
  for (const [i, { name, shape: [out, inn], weight }] of sites.entries()) {
    const get = (part: string) => all.get(`param.${name}.${part}`)!;
    found.set(name, {
      A: hostMatrix(RANK, inn, get('lora_A')), N: hostMatrix(RANK, RANK, get('lora_N')), B: hostMatrix(out, RANK, get('lora_B')),
      base: hostMatrix(out, inn, await readF32(device, weight)), effective: hostMatrix(out, inn, await step.read(weights[i]!)), jump: all.get(`param.${name}.jump`)?.[0],
    });
  }
  step.dispose();
  run.dispose();
  return found;
}
const minus = (a: HostMatrix, b: HostMatrix) => combine(a, b, 1, -1);
const part = (a: HostMatrix, rows: number, columns: number) => Float32Array.from({ length: rows * columns }, (_, at) => a.data[Math.floor(at / columns) * a.columns + (at % columns)]!);

describe('SLoRA', () => {
  test('starts as the base; in the first step only B has a gradient', async () => {
    await trained(setup({ variant: 'slora' }, { training: { steps: 1 } }), async ({ checkpoint }) => {
      const all = await numbersOf(checkpoint);
      for (const { name } of sites) {
        expect(all.get(`adam.m.${name}.lora_A`)!.every((x) => x === 0)).toBe(true);
        expect(all.get(`adam.m.${name}.lora_N`)!.every((x) => x === 0)).toBe(true);
        expect(all.get(`adam.m.${name}.lora_B`)!.every((x) => x !== 0)).toBe(true);
      }
    });
    for (const { N, B, base, effective } of (await fresh({ variant: 'slora' })).values()) {
      expect(effective.data).toEqual(base.data);
      expect(B.data.every((x) => x === 0)).toBe(true);
      // Uniform within 1 / √r, neither zero nor the identity.
      expect(N.data.every((x) => x !== 0 && Math.abs(x) <= 1 / Math.sqrt(RANK))).toBe(true);
      expect(new Set(N.data).size).toBe(RANK * RANK);
    }
  });

  test('with N fixed at the identity it is LoRA, step for step', async () => {
    const training = { steps: 5, lr: 1e-2 };
    const identity = (name: string, was: Float32Array) => (name.endsWith('lora_N') ? was.map((_, i) => Number(i % (RANK + 1) === 0)) : was);
    const at = setup({ variant: 'slora', coreLr: 0 }, { training });
    const resume = await startOf(at, identity);
    const begun = await numbersOf(resume);
    const ours = await trained({ ...at, resume }, async ({ checkpoint, series }) => ({ numbers: await numbersOf(checkpoint), loss: series.loss! }));
    const plain = setup({}, { slug: 'lora', training });
    const start = await startOf(plain, (name, was) => begun.get(`param.${name}`) ?? was);
    const lora = await trained({ ...plain, resume: start }, async ({ checkpoint, series }) => ({ numbers: await numbersOf(checkpoint), loss: series.loss! }));
    // The same numbers through one more product: f32 rounding, carried over five steps of Adam.
    ours.loss.forEach((loss, i) => expect(loss).toBeCloseTo(lora.loss[i]!, 4));
    for (const { name } of sites) for (const factor of ['lora_A', 'lora_B']) expect(share(ours.numbers.get(`param.${name}.${factor}`)!, lora.numbers.get(`param.${name}.${factor}`)!)).toBeLessThan(1e-3);
  });
});

describe('NLoRA', () => {
  test.each(['nlora', 'inttune'])('%s starts from slices of the weight, bit for bit; their corners are one', async (variant) => {
    for (const { A, N, B, base } of (await fresh({ variant })).values()) {
      expect(Float32Array.from(A.data)).toEqual(part(base, RANK, base.columns));
      expect(Float32Array.from(B.data)).toEqual(part(base, base.rows, RANK));
      for (const corner of [part(A, RANK, RANK), part(B, RANK, RANK), part(base, RANK, RANK)]) expect(Float32Array.from(N.data)).toEqual(corner);
    }
  });

  test('as published it adds its start to the weight, and shows by how much', async () => {
    for (const { A, N, B, base, effective, jump } of (await fresh({})).values()) {
      const start = combine(multiply(multiply(B, N), A), base, 2, 0);
      const added = minus(effective, base);
      expect(frobenius(minus(added, start)) / frobenius(base)).toBeLessThan(1e-6);
      expect(frobenius(start) / frobenius(base)).toBeGreaterThan(1e-3);
      expect(jump).toBeCloseTo(frobenius(start) / frobenius(base), 5);
    }
    const { run } = await createRun(setup());
    const batch = randomBatch('start');
    expect(share(await logitsOf(device, loaded, run.attachment.adapters, batch), await logitsOf(device, loaded, noAdapters, batch))).toBeGreaterThan(1e-3);
    run.dispose();
  });

  test('Nyström with the pseudo-inverse reproduces the first rows and columns, and always takes its start away', async () => {
    for (const { A, N, B, base, effective } of (await fresh({ start: 'pinv' })).values()) {
      const product = multiply(multiply(B, N), A);
      expect(share(part(product, RANK, base.columns), part(base, RANK, base.columns))).toBeLessThan(1e-3);
      expect(share(part(product, base.rows, RANK), part(base, base.rows, RANK))).toBeLessThan(1e-3);
      expect(frobenius(minus(effective, base)) / frobenius(base)).toBeLessThan(1e-5);
    }
  });
});

describe('what trains', () => {
  test('IntTune: N alone; A and B keep every bit', async () => {
    const { run } = await createRun(setup({ variant: 'inttune' }));
    expect(countTrainable(run.attachment.params)).toBe(2 * RANK ** 2);
    run.dispose();
    const config = (rank: number) => bind(nlora as unknown as Method, { variant: 'inttune', rank }).config as Parameters<typeof nlora.trainable>[1];
    // The paper's count: 224 matrices of a 7B model at rank 128.
    expect(224 * nlora.trainable([4096, 4096], config(128))).toBe(3_670_016);
    const before = await fresh({ variant: 'inttune' });
    await trained(setup({ variant: 'inttune' }, { training: { steps: 5, weightDecay: 0.1 } }), async ({ checkpoint }) => {
      const after = await numbersOf(checkpoint);
      for (const { name } of sites) {
        for (const which of ['A', 'B'] as const) expect(after.get(`param.${name}.lora_${which}`)).toEqual(Float32Array.from(before.get(name)![which].data));
        expect(after.get(`param.${name}.lora_N`)).not.toEqual(Float32Array.from(before.get(name)!.N.data));
      }
    });
  });

  test('NLoRA and SLoRA: three factors', async () => {
    for (const variant of ['nlora', 'slora']) {
      const { run } = await createRun(setup({ variant }));
      expect(countTrainable(run.attachment.params)).toBe(RANK * (16 + 32) + RANK * (32 + 48) + 2 * RANK ** 2);
      run.dispose();
    }
  });

  test('N has a learning rate of its own', async () => {
    const before = await fresh({});
    await trained(setup({ coreLr: 5 }, { training: { steps: 1, lr: 1e-3 } }), async ({ checkpoint }) => {
      const after = await numbersOf(checkpoint);
      for (const { name } of sites) {
        after.get(`param.${name}.lora_N`)!.forEach((x, i) => expect(Math.abs(x - before.get(name)!.N.data[i]!)).toBeCloseTo(5e-3, 4));
        after.get(`param.${name}.lora_A`)!.forEach((x, i) => expect(Math.abs(x - before.get(name)!.A.data[i]!)).toBeCloseTo(1e-3, 4));
      }
    });
  });
});

test.each([{}, { variant: 'inttune' }, { residual: true }])('the gradients of the three factors are s G Aᵀ Nᵀ, s Bᵀ G Aᵀ and s Nᵀ Bᵀ G, G that of the weight they make: %o', async (fields) => {
  const one: Partial<RunSetup> = { data: { batch: () => randomBatch('one') }, training: { steps: 1, beta1: 0 } };
  const at = setup({ ...fields }, one);
  // Away from the start, where the weight is not the base's.
  const resume = await startOf(at, (name, was) => (name.endsWith('lora_N') ? was.map((x, i) => x + 0.2 * normals(was.length, name)[i]!) : was));
  const before = await numbersOf(resume);
  const { found, weights } = await trained({ ...at, resume, training: { ...one.training, lr: 1e-30 } }, async ({ checkpoint, run }) => ({
    found: await numbersOf(checkpoint),
    weights: new Map(await Promise.all(sites.map(async ({ name }) => [name, await weightOf(device, run.attachment.adapters.get(name)!)] as const))),
  }));
  // The same model with the weights as they come out, each trained whole.
  const whole: RunSetup = { ...at, slug: 'full', fields: { norms: false, embeddings: false } };
  const start = await startOf(whole, (name, was) => weights.get(name.slice(0, -'.full_weight'.length)) ?? was);
  const full = await trained({ ...whole, resume: start }, ({ checkpoint }) => numbersOf(checkpoint));
  for (const { name, shape: [out, inn] } of sites) {
    const get = (part: string) => before.get(`param.${name}.${part}`)!;
    const [A, N, B] = [hostMatrix(RANK, inn, get('lora_A')), hostMatrix(RANK, RANK, get('lora_N')), hostMatrix(out, RANK, get('lora_B'))];
    const G = hostMatrix(out, inn, full.get(`adam.m.${name}.full_weight`)!);
    const want = {
      lora_B: multiply(multiply(G, transpose(A)), transpose(N)), lora_N: multiply(multiply(transpose(B), G), transpose(A)), lora_A: multiply(multiply(transpose(N), transpose(B)), G),
    };
    for (const [part, gradient] of Object.entries(want)) {
      const got = found.get(`adam.m.${name}.${part}`);
      if (got) expect(share(got, gradient.data.map((x) => 2 * x)), `${name}.${part}`).toBeLessThan(1e-4);
      else expect([fields.variant, part]).not.toEqual(['inttune', 'lora_N']);
    }
    expect(found.has(`adam.m.${name}.lora_A`)).toBe(fields.variant !== 'inttune');
  }
});

test('a rank above a layer’s shorter side has no such slices, and is refused before anything is made', async () => {
  const before = device.bytes;
  for (const variant of ['slora', 'nlora', 'inttune']) await expect(createRun(setup({ variant, rank: 20 }))).rejects.toThrow(/rank: 20 is above the rank that model\.layers\.0\.self_attn\.k_proj \[16, 32\] can have/);
  expect(device.bytes).toBe(before);
});

test('SLoRA refuses what only the other variants start from', async () => {
  for (const fields of [{ start: 'pinv' }, { residual: true }]) await expect(createRun(setup({ variant: 'slora', ...fields }))).rejects.toThrow(/(start: 'pinv'|residual: true) says how NLoRA and IntTune start, and SLoRA starts at zero/);
});

/** The other variants through the promises that their own factors bear on; the published one goes through all of them in conformance.test.ts. */
describe.each([
  ['SLoRA', { variant: 'slora' }, 'bits', false], ['IntTune', { variant: 'inttune' }, 'other', true], ['NLoRA, taken away', { residual: true }, 'close', true],
  ['IntTune, taken away', { variant: 'inttune', residual: true }, 'bits', true], ['NLoRA with the pseudo-inverse', { start: 'pinv' }, 'close', true],
] as const)('%s', (_, fields, start, unseeded) => {
  const wanted = /^(at the start|apply|merged|the exported|loss, gradient|trainable|a run paused)/;
  // The pseudo-inverse is so large that the loss bends within any step that f32 can tell; what is recorded is that of the case before.
  const bends = (what: string) => 'start' in fields && what.startsWith('loss, gradient');
  test.each(Object.entries(checks).filter(([what]) => wanted.test(what) && !bends(what)))('%s', (__, check) =>
    check(subject, { method: nlora as unknown as Method, fields: { rank: 4, alpha: 4, ...fields }, start, unseeded }));
});

test('stopping while weights are read ends it', async () => {
  for (const last of [0, 1, 2]) {
    let calls = 0;
    const host = preparation({ device, sites, progress: async () => { if (calls++ >= last) throw new StoppedError('stopped'); } });
    await expect(nlora.prepare!(host, bind(nlora as unknown as Method, { rank: RANK, start: 'pinv' }).config as never)).rejects.toThrow(StoppedError);
  }
});
