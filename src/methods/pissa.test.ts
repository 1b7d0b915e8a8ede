// PiSSA's own promises: the start is the best approximation of its rank, split evenly; the base stays whole; the file is for the base
// as it was. Conformance has the rest, golden.test.ts holds start, training and export to PEFT.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { singularValues } from '../engine/linalg/host/svd';
import { readF32 } from '../engine/tensor/memory';
import { testDevice } from '../engine/testing/device';
import type { Method } from '../training/contract';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { StoppedError } from '../util/errors';
import { pissa } from './pissa';
import { share } from './testing/logits';
import { type RunSetup, createRun, numbersOf, parametersOf, trained } from './testing/runs';
import { loadTiny } from './testing/tiny';

const method = pissa as unknown as Method;
const RANK = 4;

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

const setup = (more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, method, fields: { rank: RANK, alpha: 8 }, ...more });

/** Of every site at the start: ‖W − s B A‖² and the least that any rank-4 matrix leaves, and how evenly the factors share. */
async function starts(at: RunSetup) {
  const { run } = await createRun(at);
  const numbers = await numbersOf(await run.checkpoint());
  const found = await Promise.all(run.attachment.sites.map(async ({ name, weight, shape: [out, inn] }) => {
    const [W, A, B] = [await readF32(device, weight), numbers.get(`param.${name}.lora_A`)!, numbers.get(`param.${name}.lora_B`)!];
    const left = W.reduce((sum, w, at) => {
      const [o, i] = [Math.floor(at / inn), at % inn];
      let v = w;
      for (let j = 0; j < RANK; j++) v -= 2 * B[o * RANK + j]! * A[j * inn + i]!;
      return sum + v * v;
    }, 0);
    const least = singularValues(W, out, inn).slice(RANK).reduce((sum, s) => sum + s * s, 0);
    const norms = Array.from({ length: RANK }, (_, j) => [Math.hypot(...A.subarray(j * inn, (j + 1) * inn)), Math.hypot(...Array.from({ length: out }, (_, o) => B[o * RANK + j]!))] as const);
    return { name, left: left / least, norms };
  }));
  run.dispose();
  return found;
}

test('s B₀ A₀ leaves no more of W than the best matrix of its rank, and both factors carry √σ of each direction', async () => {
  for (const iterations of [0, 8]) {
    for (const { name, left, norms } of await starts(setup({ fields: { rank: RANK, alpha: 8, iterations } }))) {
      // The sketch of a flat random spectrum comes close; the exact one is exact to f32.
      expect(left, name).toBeLessThan(iterations === 0 ? 1 + 1e-5 : 1.02);
      for (const [i, [a, b]] of norms.entries()) {
        expect(a / b, name).toBeCloseTo(1, 4);
        if (i > 0) expect(a).toBeLessThanOrEqual(norms[i - 1]![0] * (1 + 1e-5));
      }
    }
  }
});

test('a start that forgets the scale, or takes the weakest directions, would be seen', async () => {
  const faulty = (change: (A: Float32Array) => Float32Array): Method => ({
    ...method,
    prepare: async (...args) => new Map([...(await method.prepare!(...args)) as Map<string, { A: Float32Array; B: Float32Array }>].map(([name, { A, B }]) => [name, { A: change(A), B }])),
  });
  const worst = async (change: (A: Float32Array) => Float32Array) => Math.min(...(await starts(setup({ method: faulty(change), fields: { rank: RANK, alpha: 8, iterations: 0 } }))).map(({ left }) => left));
  expect(await worst((A) => A)).toBeLessThan(1 + 1e-5);
  expect(await worst((A) => A.map((a) => 2 * a))).toBeGreaterThan(1.1);
  expect(await worst((A) => A.slice().reverse())).toBeGreaterThan(1.1);
});

test('the same seed starts from the same bits; a stop in between is heard', async () => {
  const once = () => trained(setup({ training: { steps: 1 } }), ({ checkpoint }) => parametersOf(checkpoint));
  const [first, again] = [await once(), await once()];
  expect(first === again).toBe(true);
  const bound = { sites: [...loaded.network.sites.values()].filter(({ depth }) => depth >= 0) };
  const stopped = method.prepare!({ device, ...bound, state: {}, random: { uniform: () => 0, normal: () => 0, shuffle: () => new Uint32Array() }, weight: (site) => readF32(device, site.weight), gradients: async function* () {}, progress: async () => { throw new StoppedError('stopped'); } }, { rank: RANK, alpha: 8, scaling: 'alpha/r', iterations: 8, dropout: 0 } as never);
  await expect(stopped).rejects.toThrow(StoppedError);
});

test('what trains moves away from the start that is taken away', async () => {
  await trained(setup({ training: { steps: 3 } }), async ({ checkpoint }) => {
    const numbers = await numbersOf(checkpoint);
    for (const [name, now] of numbers) {
      if (name.startsWith('param.') && name.endsWith('.lora_A')) expect(share(now, numbers.get(name.replace('lora_A', 'start_A'))!), name).toBeGreaterThan(1e-3);
    }
  });
});
