// What the device panel measures leaves nothing behind, and works for a method that sets numbers of its own before each step.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { testDevice } from '../engine/testing/device';
import { configOf, datasetOf, randomData } from '../methods/testing/runs';
import { loadTiny } from '../methods/testing/tiny';
import { methodFor } from '../methods/registry';
import { checkKernels, timeStep } from './bench';
import { bind } from './contract';
import { type LoadedModel, freeWeights } from './loaded';

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

test.each(['lora', 'sora'])('a timed step of %s frees all that it took, and tells every kernel once', async (slug) => {
  const data = datasetOf(randomData);
  const config = configOf({ slug, targets: 'q_proj|v_proj', training: { batch: 2, seq: 12 } });
  // The first step on a model also makes the tables that stay with it.
  const bound = bind(methodFor(slug), config.method.fields);
  await timeStep({ device, loaded, data, bound, config });
  const before = device.bytes;
  const progress: number[] = [];
  const times = await timeStep({ device, loaded, data, bound, config, progress: (done) => progress.push(done) });
  expect(device.bytes).toBe(before);
  expect(progress.slice(0, 9)).toEqual(Array.from({ length: 9 }, (_, i) => i + 1));
  expect(times.ms).toBeGreaterThanOrEqual(times.msLeast);
  expect(times.tokensPerSecond).toBeCloseTo((1000 * 2 * 12) / times.ms);
  expect(times.kernels.reduce((sum, kernel) => sum + kernel.count, 0)).toBe(times.dispatches);
  expect(new Set(times.kernels.map(({ kernel }) => kernel)).size).toBe(times.kernels.length);
  for (const { kernel, ms, roofline } of times.kernels) {
    expect(ms, kernel).toBeGreaterThan(0);
    // Lookups have no limit that is known; all else has a share of one that was measured.
    expect(roofline === undefined, kernel).toBe(/embedding|slice_columns/.test(kernel));
    if (roofline) expect(roofline.share, kernel).toBeGreaterThan(0);
  }
  expect([...device.choices.values()].some(({ family }) => family === 'matmul')).toBe(true);
});

test('every kernel that the device may use agrees with double precision', async () => {
  const before = device.bytes;
  const { products, gates } = await checkKernels(device);
  expect(products.length).toBeGreaterThan(1);
  expect(products.filter((row) => !row.passed)).toEqual([]);
  expect(new Set(gates.map(({ family }) => family)).size).toBeGreaterThan(1);
  expect(gates.filter(({ outcome }) => outcome === 'passed').length).toBeGreaterThan(0);
  expect(gates.filter(({ outcome }) => outcome === 'failed')).toEqual([]);
  expect(device.bytes).toBe(before);
});
