// LoRA's own promises: its scale, its start, and dropout in training only. What it shares with every method is in conformance.test.ts.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { Graph } from '../engine/tensor/graph';
import { free, readF32, upload } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { share } from './testing/logits';
import { normals } from './testing/random';
import { type RunSetup, createRun, numbersOf, randomBatch, startOf, trained } from './testing/runs';
import { loadTiny } from './testing/tiny';

const V0 = 'model.layers.0.self_attn.v_proj';
const [OUT, IN] = [16, 32];

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

const setup = (fields: Record<string, number | string>, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'lora', targets: 'v_proj', fields: { rank: 4, alpha: 8, ...fields }, ...more });
const withB = (at: RunSetup) => startOf(at, (name, was) => (name.endsWith('lora_B') ? normals(was.length, name, 0.3) : was));

test.each([
  { scaling: 'alpha/r', rank: 4, alpha: 8, scale: 2 },
  { scaling: 'alpha/r', rank: 16, alpha: 8, scale: 0.5 },
  { scaling: 'alpha/sqrt(r)', rank: 4, alpha: 8, scale: 4 },
  { scaling: 'alpha/sqrt(r)', rank: 16, alpha: 8, scale: 2 },
])('ΔW = $scale · B A for alpha $alpha, rank $rank, $scaling', async ({ scaling, rank, alpha, scale }) => {
  const at = setup({ scaling, rank, alpha });
  const resume = await withB(at);
  const { run } = await createRun({ ...at, resume });
  const numbers = await numbersOf(resume);
  const adapter = run.attachment.adapters.get(V0)!;
  const graph = new Graph();
  const weight = graph.record(() => adapter.weight());
  const step = await compile(device, graph, { keep: [weight] });
  step.run();
  const [got, base] = [await step.read(weight), await readF32(device, loaded.network.sites.get(V0)!.weight)];
  const [A, B] = [numbers.get(`param.${V0}.lora_A`)!, numbers.get(`param.${V0}.lora_B`)!];
  const want = base.map((w, i) => {
    let product = 0;
    for (let r = 0; r < rank; r++) product += B[Math.floor(i / IN) * rank + r]! * A[r * IN + (i % IN)]!;
    return w + scale * product;
  });
  // At most 17 terms of f32.
  expect(share(got, want)).toBeLessThan(2e-6);
  expect(share(want, base)).toBeGreaterThan(0.05);
  // And the exported factors say the same.
  const factors = adapter.lora!({ A, B });
  expect([factors.rank, factors.scale]).toEqual([rank, scale]);
  step.dispose();
  run.dispose();
});

test('A starts as torch’s kaiming_uniform(a = √5): uniform within ±1 / √in; B at zero', async () => {
  const { run } = await createRun(setup({ rank: 32 }, { targets: 'q_proj|o_proj|mlp' }));
  for (const inn of [32, 48]) {
    const sites = run.attachment.sites.filter((site) => site.shape[1] === inn);
    const values = (await Promise.all(sites.map((site) => readF32(device, run.attachment.adapters.get(site.name)!.params.A!.tensor)))).flatMap((x) => [...x]);
    const bound = 1 / Math.sqrt(inn);
    expect(Math.max(...values.map(Math.abs))).toBeLessThanOrEqual(bound);
    // 3,072 draws and more, always the same: of 20 seeds 19 have one within a thousandth of the bound.
    expect(Math.max(...values.map(Math.abs))).toBeGreaterThan(0.999 * bound);
    const mean = values.reduce((a, b) => a + b, 0) / values.length;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
    // The variance is bound² / 3, with a standard error of 0.9 / √n; mean's is bound / √(3n). Five of each.
    expect(Math.abs(variance / (bound ** 2 / 3) - 1)).toBeLessThan((5 * 0.9) / Math.sqrt(values.length));
    expect(Math.abs(mean)).toBeLessThan((5 * bound) / Math.sqrt(3 * values.length));
  }
  for (const { params } of run.attachment.adapters.values()) expect((await readF32(device, params.B!.tensor)).every((x) => x === 0)).toBe(true);
  // No two layers draw the same numbers.
  const firsts = await Promise.all([...run.attachment.adapters.values()].map(async ({ params }) => (await readF32(device, params.A!.tensor))[0]));
  expect(new Set(firsts).size).toBe(firsts.length);
  run.dispose();
});

test('dropout acts on the adapter’s input in training, and only there', async () => {
  const p = 0.4;
  const { run } = await createRun(setup({ dropout: p }, { resume: await withB(setup({})) }));
  const site = loaded.network.sites.get(V0)!;
  const adapter = run.attachment.adapters.get(V0)!;
  // A row a basis vector: the branch shows which inputs were dropped, and what the others were scaled by.
  const rows = 512;
  const x = upload(device, tensor('x', [1, rows, IN], 'input'), Float32Array.from({ length: rows * IN }, (_, i) => Number(i % IN === Math.floor(i / IN) % IN)));
  const graph = new Graph();
  const [still, noisy, base] = graph.record(() => [adapter.apply!(x, { training: false }), adapter.apply!(x, { training: true }), site.base(x)] as const);
  const step = await compile(device, graph, { keep: [still, noisy, base] });
  const read = async (at: number, seed: number) => {
    step.run(null, { step: at, seed });
    const [a, b, c] = [await step.read(still), await step.read(noisy), await step.read(base)];
    // The first output of each row alone says whether its input is there.
    return Array.from({ length: rows }, (_, row) => [a[row * OUT]! - c[row * OUT]!, b[row * OUT]! - c[row * OUT]!] as const);
  };
  const first = await read(1, 7);
  const dropped = first.filter(([, on]) => on === 0).length;
  // Binomial with a standard deviation of 11; five of them.
  expect(Math.abs(dropped - p * rows)).toBeLessThan(55);
  // A difference of two outputs about 1 in size is exact to some 1e-7.
  for (const [off, on] of first) if (on !== 0) expect(Math.abs(on * (1 - p) - off)).toBeLessThan(1e-6);

  const mask = (values: readonly (readonly [number, number])[]) => values.map(([, on]) => on !== 0);
  expect(mask(await read(1, 7))).toEqual(mask(first));
  expect(mask(await read(2, 7))).not.toEqual(mask(first));
  expect(mask(await read(1, 8))).not.toEqual(mask(first));
  // Evaluation is untouched by step and seed.
  expect((await read(2, 8)).map(([off]) => off)).toEqual(first.map(([off]) => off));
  step.dispose();
  free(device, x);
  run.dispose();
});

test('a run with dropout trains through it and evaluates without', async () => {
  const still = { lr: 0, steps: 3, evalEvery: 1 };
  const data = { batch: () => randomBatch('one'), validation: () => [randomBatch('one')] };
  const at = (dropout: number) => setup({ dropout }, { data, training: still });
  const start = await withB(at(0));
  const of = (dropout: number) => trained({ ...at(dropout), resume: start }, ({ series, events }) => ({ losses: series.loss!, evals: events.flatMap((event) => (event.kind === 'eval' ? [event.loss] : [])) }));
  const [without, with_] = [await of(0), await of(0.5)];
  // At rate 0 only the draws differ from step to step.
  expect(new Set(without.losses).size).toBe(1);
  expect(new Set(with_.losses).size).toBe(3);
  expect(new Set([...without.evals, ...with_.evals]).size).toBe(1);
});
