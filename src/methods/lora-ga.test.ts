// LoRA-GA against its specification: what its start is made of, and that the first step of the factors is the best one of rank 2r along
// the gradient. Gradients are computed beside the method, and decomposed in double precision.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { type HostMatrix, combine, frobenius, hostMatrix, identity, multiply, scaleRows, topRows, transpose } from '../engine/linalg/host/matrix';
import { qr } from '../engine/linalg/host/qr';
import { singularValues, svd, truncate } from '../engine/linalg/host/svd';
import type { LinearSite } from '../engine/nn/site';
import { readF32 } from '../engine/tensor/memory';
import { testDevice } from '../engine/testing/device';
import { bind } from '../training/contract';
import { baseGradients } from '../training/gradients';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { type ConfigError, DataError, StoppedError } from '../util/errors';
import { agreementOf, loraGa } from './lora-ga';
import { preparation } from './testing/prepared';
import { normals } from './testing/random';
import { type RunSetup, SHAPE, createRun, numbersOf, randomBatch, trained, unlabelled } from './testing/runs';
import { loadTiny } from './testing/tiny';

const RANK = 4;
const [Q, DOWN] = ['model.layers.0.self_attn.q_proj', 'model.layers.1.mlp.down_proj'];

let device: Device;
let loaded: LoadedModel;
let sites: LinearSite[];
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
  sites = [Q, DOWN].map((name) => loaded.network.sites.get(name)!);
});
afterAll(() => freeWeights(device, loaded));

type Settings = Record<string, number | boolean | string>;
const one = { batch: () => randomBatch('one') };
const setup = (fields: Settings = {}, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'lora-ga', targets: `${Q}|${DOWN}`, data: one, ...more, fields: { rank: RANK, alpha: 8, batches: 2, ...fields } });
const S = 8 / Math.sqrt(RANK);

/** A₀ [r, in] and B₀ [out, r] of a fresh run. */
async function startOf(fields: Settings = {}, more: Partial<RunSetup> = {}) {
  const { run } = await createRun(setup(fields, more));
  const numbers = await numbersOf(await run.checkpoint());
  run.dispose();
  return new Map(sites.map((site) => {
    const [out, inn] = site.shape;
    const get = (part: string) => numbers.get(`param.${site.name}.${part}`)!;
    expect(get('start_A')).toEqual(get('lora_A'));
    expect(get('start_B')).toEqual(get('lora_B'));
    return [site.name, { A: hostMatrix(RANK, inn, get('lora_A')), B: hostMatrix(out, RANK, get('lora_B')), spectrum: get('spectrum') }] as const;
  }));
}

/** The mean gradients of the base for the two layers. */
async function gradients(batches = [randomBatch('one')]): Promise<Map<string, HostMatrix>> {
  const found = new Map<string, HostMatrix>();
  for await (const { site, gradient } of baseGradients(device, loaded, sites, batches, SHAPE)) found.set(site.name, hostMatrix(site.shape[0], site.shape[1], gradient));
  return found;
}

const relative = (got: HostMatrix, want: HostMatrix) => frobenius(combine(got, want, 1, -1)) / frobenius(want);
const scaled = (a: HostMatrix, by: number) => combine(a, a, by, 0);
const bestOfRank = (g: HostMatrix, rank: number) => {
  const { U, S: values, Vt } = truncate(svd(g), rank);
  return multiply(U, scaleRows(Vt, values));
};
const stableSquare = (out: number, gamma = 16) => Math.sqrt(out) / gamma;

describe('the start', () => {
  test('both factors are orthogonal, of length out^¼ / √γ, and B has no direction that A already covers', async () => {
    const [start, all] = [await startOf(), await gradients()];
    for (const { name, shape: [out] } of sites) {
      const { A, B } = start.get(name)!;
      const square = stableSquare(out);
      // f32 singular vectors: some 1e-6 of orthogonality.
      expect(relative(multiply(A, transpose(A)), scaled(identity(RANK), square))).toBeLessThan(1e-5);
      expect(relative(multiply(transpose(B), B), scaled(identity(RANK), square))).toBeLessThan(1e-5);
      const covered = multiply(all.get(name)!, transpose(A));
      expect(frobenius(multiply(transpose(covered), B)) / (frobenius(covered) * frobenius(B))).toBeLessThan(1e-4);
    }
  });

  test('c² is √out / γ: doubling γ halves the start', async () => {
    const [at16, at32] = [await startOf({ gamma: 16 }), await startOf({ gamma: 32 })];
    for (const { name, shape: [out] } of sites) {
      const [a, b] = [at16, at32].map((start) => frobenius(multiply(start.get(name)!.B, start.get(name)!.A)));
      expect(a! / (stableSquare(out) * Math.sqrt(RANK))).toBeCloseTo(1, 5);
      expect(a! / b!).toBeCloseTo(2, 5);
    }
  });

  test('the gradient is the mean over the batches asked for', async () => {
    const data = { batch: (step: number) => randomBatch(`g ${step}`) };
    const [start, all] = [await startOf({ batches: 3, leastAgreement: 0 }, { data }), await gradients([0, 1, 2].map((i) => randomBatch(`g ${i}`)))];
    for (const { name } of sites) {
      const { A, spectrum } = start.get(name)!;
      const g = all.get(name)!;
      const exact = svd(g);
      spectrum.forEach((x, i) => expect(x).toBeCloseTo(exact.S[i]! / frobenius(g), 5));
      const along = multiply(A, transpose(topRows(exact.Vt, RANK)));
      // A spans the exact right singular vectors: nothing of its length lies elsewhere.
      expect(frobenius(along) / frobenius(A)).toBeCloseTo(1, 5);
    }
  });

  test('only directions count: a gradient ten times as large gives the same start', async () => {
    const of = async (factor: number) => {
      const g = (site: LinearSite) => normals(site.shape[0] * site.shape[1], `g ${site.name}`).map((x) => factor * x);
      return loraGa.prepare!(preparation({ device, sites, gradientOf: g }), bind(loraGa as never, { rank: RANK }).config as never);
    };
    const [plain, large] = [await of(1), await of(10)];
    for (const { name } of sites) {
      for (const part of ['A', 'B'] as const) {
        const [x, y] = [plain.get(name)![part], large.get(name)![part]];
        // Up to the sign of each pair, which a rounding may turn.
        expect(Math.max(...x.map((value, i) => Math.abs(Math.abs(value) - Math.abs(y[i]!))))).toBeLessThan(1e-4);
      }
    }
  });

  test('a randomised decomposition finds the first 2r directions where the spectrum falls by half again behind them', async () => {
    const [m, n, k] = [32, 32, 2 * RANK];
    const values = Float64Array.from({ length: m }, (_, i) => (i < k ? 3 - 0.1 * i : 1.5));
    const [U, V] = ['u', 'v'].map((name) => qr(hostMatrix(m, n, normals(m * n, name))).Q) as [HostMatrix, HostMatrix];
    const g = Float32Array.from(multiply(U, scaleRows(transpose(V), values)).data);
    const found = await loraGa.prepare!(preparation({ device, sites: [sites[0]!], gradientOf: () => g }), bind(loraGa as never, { rank: RANK, size: 'unit' }).config as never);
    const { A, B } = found.get(Q)!;
    // The sine of the angle between what was found and the exact directions.
    const outside = (x: HostMatrix, basis: HostMatrix) => frobenius(combine(x, multiply(multiply(x, transpose(basis)), basis), 1, -1)) / frobenius(x);
    expect(outside(hostMatrix(RANK, n, A), topRows(transpose(V), k))).toBeLessThan(1e-3);
    expect(outside(transpose(hostMatrix(m, RANK, B)), topRows(transpose(U), k))).toBeLessThan(1e-3);
  });

  test.each([
    ['ArB2r', [0, 1, 2, 3], [4, 5, 6, 7]], ['A2rBr', [4, 5, 6, 7], [0, 1, 2, 3]], ['ArBr', [1, 3, 5, 7], [0, 2, 4, 6]],
  ] as const)('%s: A has right vectors %j, B left vectors %j', async (direction, a, b) => {
    const [start, all] = [await startOf({ direction, size: 'unit' }), await gradients()];
    for (const { name } of sites) {
      const { U, Vt } = svd(all.get(name)!);
      const [alongA, alongB] = [multiply(start.get(name)!.A, transpose(Vt)), multiply(transpose(start.get(name)!.B), U)];
      a.forEach((index, row) => expect(Math.abs(alongA.data[row * Vt.rows + index]!)).toBeCloseTo(1, 3));
      b.forEach((index, row) => expect(Math.abs(alongB.data[row * U.columns + index]!)).toBeCloseTo(1, 3));
    }
  });

  test('at random, the two factors share the 2r directions out', async () => {
    const [start, all] = [await startOf({ direction: 'random', size: 'unit' }), await gradients()];
    for (const { name } of sites) {
      const { U, Vt } = truncate(svd(all.get(name)!), 2 * RANK);
      const taken = (along: HostMatrix) => Array.from({ length: RANK }, (_, row) => Array.from({ length: 2 * RANK }, (__, i) => i).find((i) => Math.abs(along.data[row * along.columns + i]!) > 0.99));
      const both = [...taken(multiply(start.get(name)!.A, transpose(Vt))), ...taken(multiply(transpose(start.get(name)!.B), U))];
      expect([...both].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
      expect(both).not.toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    }
  });

  test('sizes: 1, 1 / s, as the weight, as PEFT', async () => {
    const lengths = async (size: string) => (await startOf({ size })).get(DOWN)!;
    const rowsOf = (a: HostMatrix) => Array.from({ length: a.rows }, (_, r) => Math.hypot(...a.data.subarray(r * a.columns, (r + 1) * a.columns)));
    const [out, inn] = sites[1]!.shape;
    const weight = singularValues(await readF32(device, sites[1]!.weight), out, inn);
    const asWeight = weight.slice(0, RANK).reduce((sum, x) => sum + Math.sqrt(x / S), 0) / RANK;
    for (const [size, c] of [['unit', 1], ['gd', 1 / S], ['weightS', asWeight], ['stable', Math.sqrt(stableSquare(out))]] as const) {
      const { A, B } = await lengths(size);
      for (const length of [...rowsOf(A), ...rowsOf(transpose(B))]) expect(length / c, size).toBeCloseTo(1, 4);
    }
    const { A, B } = await lengths('peft');
    const { S: values } = svd((await gradients()).get(DOWN)!);
    for (const length of rowsOf(A)) expect(length).toBeCloseTo(1, 5);
    rowsOf(transpose(B)).forEach((length, i) => expect(length / (Math.sqrt(stableSquare(out)) * values[RANK + i]!)).toBeCloseTo(1, 3));
  });

  test('kept below the weight: both factors shrink alike until the largest entries meet, and a small start stays', async () => {
    const [wide, kept, small] = [await startOf({ size: 'unit', alpha: 1024 }), await startOf({ size: 'unit', alpha: 1024, clip: true }), await startOf({ clip: true, gamma: 1e6 })];
    const largest = (x: ArrayLike<number>) => Math.max(...Array.from(x, Math.abs));
    for (const site of sites) {
      const base = largest(await readF32(device, site.weight));
      const entry = ({ A, B }: { A: HostMatrix; B: HostMatrix }) => (1024 / Math.sqrt(RANK)) * largest(multiply(B, A).data);
      expect(entry(wide.get(site.name)!)).toBeGreaterThan(2 * base);
      expect(entry(kept.get(site.name)!) / base).toBeCloseTo(1, 4);
      expect(frobenius(kept.get(site.name)!.A) / frobenius(kept.get(site.name)!.B)).toBeCloseTo(1, 4);
      expect(frobenius(small.get(site.name)!.A) / Math.sqrt(RANK * stableSquare(site.shape[0], 1e6))).toBeCloseTo(1, 4);
    }
  });

  test('an export before the first step changes nothing', async () => {
    const { run } = await createRun(setup());
    const numbers = await numbersOf(await run.checkpoint());
    for (const { name, shape: [out, inn] } of sites) {
      const { params, lora } = run.attachment.adapters.get(name)!;
      const { rank, scale, A, B } = lora!(Object.fromEntries(Object.entries(params).map(([part, p]) => [part, numbers.get(`param.${p.name}`)!])));
      expect([rank, scale]).toEqual([2 * RANK, S]);
      expect(frobenius(multiply(hostMatrix(out, rank, B), hostMatrix(rank, inn, A)))).toBeLessThan(1e-6);
      expect(frobenius(hostMatrix(rank, inn, A))).toBeGreaterThan(1);
    }
    run.dispose();
  });
});

describe('the first step', () => {
  /** dW / η of one step of plain gradient descent on A and B, to first order, from the gradients of a real step. */
  async function firstStep(fields: Settings): Promise<Map<string, HostMatrix>> {
    // With β₁ = 0 Adam's first moment is the gradient itself.
    return trained(setup(fields, { training: { steps: 1, beta1: 0, lr: 1e-9 } }), async ({ checkpoint }) => {
      const numbers = await numbersOf(checkpoint);
      return new Map(sites.map(({ name, shape: [out, inn] }) => {
        const a = (kind: string) => hostMatrix(RANK, inn, numbers.get(kind === 'm' ? `adam.m.${name}.lora_A` : `param.${name}.start_A`)!);
        const b = (kind: string) => hostMatrix(out, RANK, numbers.get(kind === 'm' ? `adam.m.${name}.lora_B` : `param.${name}.start_B`)!);
        return [name, combine(multiply(b('m'), a('start')), multiply(b('start'), a('m')), -S, -S)] as const;
      }));
    });
  }

  test('is −s² c² [G]₂ᵣ, the best one of rank 2r along the gradient', async () => {
    const [step, all] = [await firstStep({}), await gradients()];
    for (const { name, shape: [out] } of sites) expect(relative(step.get(name)!, scaled(bestOfRank(all.get(name)!, 2 * RANK), -(S ** 2) * stableSquare(out)))).toBeLessThan(1e-3);
  });

  test('PEFT’s variant is another start: its step is no multiple of it', async () => {
    const [step, all] = [await firstStep({ size: 'peft' }), await gradients()];
    for (const { name } of sites) {
      const best = bestOfRank(all.get(name)!, 2 * RANK);
      const cosine = -step.get(name)!.data.reduce((sum, x, i) => sum + x * best.data[i]!, 0) / (frobenius(step.get(name)!) * frobenius(best));
      expect(cosine).toBeLessThan(0.99);
    }
  });

  test.each([{}, { size: 'peft' }, { direction: 'orthogonal' }])('its cosine with the gradient is shown, whatever the start: %j', async (fields) => {
    const [step, all] = [await firstStep(fields), await gradients()];
    await trained(setup(fields, { training: { steps: 1 } }), ({ events }) => {
      const view = events.flatMap((event) => (event.kind === 'view' && event.id === 'cosines' ? [event.data as { values: Float32Array; rows: string[] }] : []))[0]!;
      view.rows.forEach((name, i) => {
        const g = all.get(name)!;
        const cosine = -step.get(name)!.data.reduce((sum, x, j) => sum + x * g.data[j]!, 0) / (frobenius(step.get(name)!) * frobenius(g));
        expect(view.values[2 * i]!).toBeCloseTo(cosine, 4);
        if (fields.direction) expect(cosine).toBeLessThan(0.7);
        // The same batch twice agrees with itself.
        expect(view.values[2 * i + 1]!).toBeCloseTo(1, 5);
      });
    });
  });

  test('random orthogonal factors of the same lengths are there as a control', async () => {
    const start = await startOf({ direction: 'orthogonal' });
    for (const { name, shape: [out] } of sites) {
      const { A, B } = start.get(name)!;
      expect(relative(multiply(A, transpose(A)), scaled(identity(RANK), stableSquare(out)))).toBeLessThan(1e-5);
      expect(relative(multiply(transpose(B), B), scaled(identity(RANK), stableSquare(out)))).toBeLessThan(1e-5);
    }
  });
});

describe('what it refuses', () => {
  test('a rank of which twice is more than a layer has, by name', () => {
    const refusal = (rank: number) => {
      try {
        loraGa.check!(sites, bind(loraGa as never, { rank }).config as never, {} as never);
      } catch (error) {
        return [(error as Error).name, (error as Error).message, (error as ConfigError).hint];
      }
      return null;
    };
    expect(refusal(17)).toEqual(['ConfigError', `rank: the start takes 34 directions, but ${Q} [32, 32] has 32`, 'Give a value from 1 to 16, or leave that layer out of the targets.']);
    expect(refusal(16)).toBeNull();
  });

  test('batches without a gradient', async () => {
    await expect(createRun(setup({}, { data: unlabelled }))).rejects.toThrow(DataError);
    await expect(createRun(setup({}, { data: unlabelled }))).rejects.toThrow(`the gradient of ${Q} is zero`);
  });

  test('a gradient that is mostly noise; and the estimate of that is right', async () => {
    // Truth and noise of known sizes: a mean over n batches has a cosine of 1 / √(1 + σ² / n) with the truth.
    const size = 20_000;
    const truth = normals(size, 'truth');
    const meanOf = (batches: readonly number[], sigma: number) => {
      const noise = batches.map((i) => normals(size, `noise ${i}`, sigma));
      return truth.map((x, i) => x + noise.reduce((sum, n) => sum + n[i]!, 0) / batches.length);
    };
    for (const sigma of [0.5, 2, 4]) expect(agreementOf(meanOf([0, 1], sigma), meanOf([0, 1, 2, 3], sigma), 0.5)).toBeCloseTo(1 / Math.sqrt(1 + sigma ** 2 / 4), 1);
    // Halves that contradict each other: the second is −3 times the first.
    expect(agreementOf(truth, truth.map((x) => -x), 0.5)).toBe(0);

    const noisy = (site: LinearSite, batches: number) => {
      const count = site.shape[0] * site.shape[1];
      const [first, second] = [normals(count, `${site.name} 1`), normals(count, `${site.name} 2`)];
      return batches === 1 ? first : first.map((x, i) => (x + second[i]!) / 2);
    };
    const wanting = (leastAgreement: number) => loraGa.prepare!(preparation({ device, sites, gradientOf: noisy }), bind(loraGa as never, { rank: RANK, batches: 2, leastAgreement }).config as never);
    await expect(wanting(0.5)).rejects.toThrow(/agrees too little.*wanted 0.5/);
    expect((await wanting(0)).size).toBe(2);
  });

  test('to go on when the run is stopped meanwhile: the streams of gradients end, and nothing stays on the device', async () => {
    const before = device.bytes;
    for (const last of [0, 1, 2, 3]) {
      let calls = 0;
      const host = preparation({ device, sites, gradientOf: (site) => normals(site.shape[0] * site.shape[1], site.name), progress: async () => { if (calls++ >= last) throw new StoppedError('stopped'); } });
      await expect(loraGa.prepare!(host, bind(loraGa as never, { rank: RANK }).config as never)).rejects.toThrow(StoppedError);
      expect(host.open).toBe(0);
      expect(device.bytes).toBe(before);
    }
  });
});
