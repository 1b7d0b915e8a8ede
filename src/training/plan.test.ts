// The plan against what a run takes in fact, and what it says where a run does not fit.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { testDevice } from '../engine/testing/device';
import { methods } from '../methods/registry';
import { configOf, createRun, randomBatch, trained } from '../methods/testing/runs';
import { GPT2, LLAMA, loadTiny } from '../methods/testing/tiny';
import { ConfigError, DeviceLimitError } from '../util/errors';
import { bind } from './contract';
import { type LoadedModel, freeWeights } from './loaded';
import { planRun, totalSteps, wantFits } from './plan';

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

const roomy = { largestBuffer: 2 ** 30 };
/** Defaults, where the tiny model has room for them. */
const fieldsOf = (slug: string): Record<string, number> => (slug === 'nlora' ? { rank: 8 } : {});
const planOf = (slug: string, training: { batch: number; seq: number }, largestBuffer = roomy.largestBuffer, on = loaded) => planRun(on, bind(methods.get(slug)!, fieldsOf(slug)), configOf({ slug, training, fields: fieldsOf(slug) }), { largestBuffer });
const part = (plan: ReturnType<typeof planRun>, name: string) => plan.bytes.find((p) => p.part === name)!.bytes;

test.each([...methods.keys()].flatMap((slug) => [{ slug, batch: 1, seq: 8 }, { slug, batch: 6, seq: 30 }]))('$slug, $batch rows of $seq: the parts add up to the peak, and a run takes just that', async ({ slug, batch, seq }) => {
  for (const config of [LLAMA, GPT2]) {
    const model = await loadTiny(device, config);
    const training = { batch, seq };
    const data = { batch: (step: number) => randomBatch(`batch ${step % 4}`, [batch, seq]) };
    const plan = planOf(slug, training, roomy.largestBuffer, model);
    expect(plan.bytes.reduce((sum, p) => sum + p.bytes, 0)).toBe(plan.peakBytes);
    expect(part(plan, 'Base weights')).toBe(4 * model.network.parameters);

    // Tables of positions outlive runs: the first run of a shape leaves them on the device.
    const bare = device.bytes;
    (await createRun({ device, loaded: model, slug, fields: fieldsOf(slug), training, data })).run.dispose();
    const tables = device.bytes - bare;
    const before = device.bytes;
    await trained({ device, loaded: model, slug, fields: fieldsOf(slug), data, training: { ...training, steps: 3 }, watch: (event) => { if (event.kind === 'metrics') expect(device.bytes - before).toBeLessThan(plan.peakBytes); } }, () => {});

    const { run } = await createRun({ device, loaded: model, slug, fields: fieldsOf(slug), training, data });
    const taken = device.bytes - before;
    const planned = plan.peakBytes - part(plan, 'Base weights');
    // Beyond the parts: the optimiser's control block and settings, a method's scalars, roundings to 16 bytes. Of the tables, those
    // that another model's run left there are missing in `tables`.
    expect(taken).toBeLessThan(planned + 1024);
    expect(taken).toBeGreaterThan(planned - part(plan, 'Tables and batch') - 1);
    expect(taken + tables).toBeLessThan(planned + 1024);
    expect(run.flopsPerStep).toBe(plan.flopsPerStep);
    expect(plan.largestBuffer).toBeLessThanOrEqual(plan.peakBytes);
    run.dispose();
    expect(device.bytes).toBe(before);
    freeWeights(device, model);
  }
});

test('the first run on a device takes what is planned within a kilobyte', async () => {
  // A shape and a model of this test alone, so that no table is there yet.
  const model = await loadTiny(device, { ...LLAMA, rope_theta: 500 });
  const before = device.bytes;
  const plan = planOf('sora', { batch: 3, seq: 11 }, roomy.largestBuffer, model);
  const { run } = await createRun({ device, loaded: model, slug: 'sora', training: { batch: 3, seq: 11 } });
  expect(Math.abs(device.bytes - before - (plan.peakBytes - part(plan, 'Base weights')))).toBeLessThan(1024);
  run.dispose();
  freeWeights(device, model);
});

test('planning allocates nothing, whether it fits or not', () => {
  const made = vi.spyOn(Object.getPrototypeOf(device.gpu) as GPUDevice, 'createBuffer');
  const before = device.bytes;
  planOf('sora', { batch: 4096, seq: 32 });
  planOf('sora', { batch: 4096, seq: 32 }, 1e6);
  expect(made).not.toHaveBeenCalled();
  expect(device.bytes).toBe(before);
  vi.restoreAllMocks();
});

test('a batch too large is told with one that fits', () => {
  const limit = 200_000;
  const plan = planOf('lora', { batch: 64, seq: 32 }, limit);
  expect(plan.problem?.message).toContain('in one buffer');
  const [, from, to] = /^Lower the batch from (\d+) to (\d+)\.$/.exec(plan.problem!.hint)!.map(Number);
  expect(from).toBe(64);
  expect(planOf('lora', { batch: to!, seq: 32 }, limit).problem).toBeUndefined();
  expect(planOf('lora', { batch: to! + 1, seq: 32 }, limit).problem).toBeDefined();
  expect(() => wantFits(plan)).toThrow(DeviceLimitError);
  expect(() => wantFits(planOf('lora', { batch: to!, seq: 32 }, limit))).not.toThrow();
});

test('rows too long for a batch of one are told with a length that fits', async () => {
  // A row of 128 tokens takes 32 KiB of logits; no weight of the tiny model takes more than 8.
  const model = await loadTiny(device, { ...LLAMA, max_position_embeddings: 128 });
  const limit = 10_000;
  const small = (seq: number, batch: number) => planRun(model, bind(methods.get('lora')!, { rank: 1 }), configOf({ slug: 'lora', targets: 'q_proj', training: { batch, seq } }), { largestBuffer: limit });
  const [, from, to] = /^Lower the sequence length from (\d+) to (\d+) and the batch to 1\.$/.exec(small(128, 3).problem!.hint)!.map(Number);
  expect(from).toBe(128);
  expect(small(to!, 1).problem).toBeUndefined();
  expect(small(to! + 1, 1).problem).toBeDefined();
  freeWeights(device, model);
});

test('where a weight alone is too large no batch is proposed', () => {
  const plan = planOf('lora', { batch: 4, seq: 8 }, 4096);
  expect(plan.problem!.hint).toContain('smaller model');
  expect(plan.problem!.hint).not.toContain('Lower the batch');
});

test('rows longer than the context are refused by name', () => {
  expect(() => planOf('lora', { batch: 1, seq: 33 })).toThrow(ConfigError);
  expect(() => planOf('lora', { batch: 1, seq: 33 })).toThrow(/training\.seq: 33 .*32/);
});

test('steps of all phases', () => {
  const steps = (slug: string, fields: Record<string, number>) => totalSteps(bind(methods.get(slug)!, fields), configOf({ slug, training: { steps: 10 } }));
  expect(steps('lora', {})).toBe(10);
  expect(steps('sora', { stages: 3, stageSteps: 4 })).toBe(18);
  // A third of the first stage where nothing is said.
  expect(steps('sora', { stages: 3 })).toBe(16);
});
