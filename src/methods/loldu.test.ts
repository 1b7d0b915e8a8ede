// LoLDU against its specification: the factors are those of a pivoted LU, only the diagonal trains, and each entry moves the weight along
// its own rank-1 matrix.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { lu } from '../engine/linalg/host/lu';
import { type HostMatrix, combine, frobenius, hostMatrix, multiply, scaleRows, transpose } from '../engine/linalg/host/matrix';
import type { LinearSite } from '../engine/nn/site';
import { noAdapters } from '../engine/nn/site';
import { readF32, write } from '../engine/tensor/memory';
import { testDevice } from '../engine/testing/device';
import { countTrainable } from '../training/attach';
import { bind } from '../training/contract';
import { baseGradients } from '../training/gradients';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { StoppedError } from '../util/errors';
import { loldu } from './loldu';
import { logitsOf, share, weightOf } from './testing/logits';
import { preparation } from './testing/prepared';
import { type RunSetup, SHAPE, createRun, numbersOf, randomBatch, startOf, trained } from './testing/runs';
import { loadTiny } from './testing/tiny';

const [K, DOWN] = ['model.layers.0.self_attn.k_proj', 'model.layers.1.mlp.down_proj'];

let device: Device;
let loaded: LoadedModel;
let sites: LinearSite[];
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
  // Flat, 16 × 32, and 32 × 48.
  sites = [K, DOWN].map((name) => loaded.network.sites.get(name)!);
});
afterAll(() => freeWeights(device, loaded));

type Settings = Record<string, number | boolean | string>;
const setup = (fields: Settings = {}, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'loldu', targets: `${K}|${DOWN}`, ...more, fields: { rank: 8, ...fields } });

async function numbers(at: RunSetup) {
  const { run } = await createRun(at);
  const all = await numbersOf(await run.checkpoint());
  run.dispose();
  return (site: LinearSite, part: string) => all.get(`param.${site.name}.${part}`)!;
}
const relative = (got: HostMatrix, want: HostMatrix) => frobenius(combine(got, want, 1, -1)) / frobenius(want);

describe('the factors', () => {
  test('P L diag(d) U is W at full rank; L is unit lower with entries of at most 1, U unit upper', async () => {
    const get = await numbers(setup({ rank: 64 }));
    for (const site of sites) {
      const [out, inn] = site.shape;
      const k = Math.min(out, inn);
      const [M, V, d] = [hostMatrix(out, k, get(site, 'lower')), hostMatrix(k, inn, get(site, 'upper')), get(site, 'z0')];
      expect(d).toHaveLength(k);
      expect(relative(multiply(M, scaleRows(V, d)), hostMatrix(out, inn, await readF32(device, site.weight)))).toBeLessThan(1e-5);
      expect(Math.max(...M.data.map(Math.abs))).toBeLessThanOrEqual(1 + 1e-6);
      // Rows of P L put back in the order of the pivots are L.
      const order = get(site, 'permutation');
      expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: out }, (_, i) => i));
      for (let i = 0; i < k; i++) {
        expect(M.data[order[i]! * k + i]).toBe(1);
        expect(V.data[i * inn + i]).toBe(1);
        for (let j = i + 1; j < k; j++) expect(Math.abs(M.data[order[i]! * k + j]!)).toBe(0);
        for (let j = 0; j < i; j++) expect(Math.abs(V.data[i * inn + j]!)).toBe(0);
      }
      // An LU diagonal has both signs and no order: a spectrum has neither.
      expect(d.some((x) => x < 0) && d.some((x) => x > 0)).toBe(true);
    }
  });

  test('r steps give the first r columns, entries and rows of the whole factorisation', async () => {
    const some = await numbers(setup({ rank: 8 }));
    for (const site of sites) {
      const [out, inn] = site.shape;
      const whole = lu(hostMatrix(out, inn, await readF32(device, site.weight)));
      const k = Math.min(out, inn);
      const order = whole.permutation;
      const [M, V, d] = [some(site, 'lower'), some(site, 'upper'), some(site, 'z0')];
      for (let i = 0; i < 8; i++) {
        expect(d[i]! / whole.d[i]!).toBeCloseTo(1, 4);
        // Rows that no pivot of the first eight has moved may stand elsewhere after eight steps; the numbers of each row are the same.
        for (let row = 0; row < out; row++) expect(M[order[row]! * 8 + i]).toBeCloseTo(whole.L.data[row * k + i]!, 4);
        for (let c = 0; c < inn; c++) expect(V[i * inn + c]! * d[i]!).toBeCloseTo(whole.U.data[i * inn + c]!, 4);
      }
    }
  });

  test('a tiny entry in the corner does no harm: rows are exchanged', async () => {
    const other = await loadTiny(device, undefined, 3);
    const site = other.network.sites.get(K)!;
    const weight = await readF32(device, site.weight);
    weight[0] = 1e-9;
    write(device, site.weight, weight);
    const { run } = await createRun(setup({ rank: 16 }, { loaded: other, targets: K }));
    const all = await numbersOf(await run.checkpoint());
    const growth = all.get(`param.${K}.growth`)![0]!;
    expect(all.get(`param.${K}.permutation`)![0]).not.toBe(0);
    expect(growth).toBeLessThan(16);
    const [M, V] = [hostMatrix(16, 16, all.get(`param.${K}.lower`)!), hostMatrix(16, 32, all.get(`param.${K}.upper`)!)];
    expect(relative(multiply(M, scaleRows(V, all.get(`param.${K}.z0`)!)), hostMatrix(16, 32, weight))).toBeLessThan(1e-5);
    run.dispose();
    freeWeights(device, other);
  });

  test('as a control, random ones of the same lengths', async () => {
    const [own, other] = [await numbers(setup()), await numbers(setup({ directions: 'random' }))];
    for (const site of sites) {
      const [out, inn] = site.shape;
      for (const [part, rows, columns, along] of [['lower', out, 8, 1], ['upper', 8, inn, 0]] as const) {
        const lengths = (x: Float32Array) => Array.from({ length: 8 }, (_, i) => Math.hypot(...x.filter((__, at) => (along ? at % columns : Math.floor(at / columns)) === i)));
        expect(own(site, part)).toHaveLength(rows * columns);
        lengths(other(site, part)).forEach((length, i) => expect(length / lengths(own(site, part))[i]!).toBeCloseTo(1, 5));
        expect(share(other(site, part), own(site, part))).toBeGreaterThan(0.1);
      }
      expect(other(site, 'z0')).toEqual(own(site, 'z0'));
    }
  });
});

describe('what trains', () => {
  test('r numbers a layer and nothing else; a layer that has fewer trains all it has', async () => {
    const { run } = await createRun(setup({ rank: 24 }));
    expect(countTrainable(run.attachment.params)).toBe(16 + 24);
    expect(run.attachment.params.filter((p) => p.trainable).map((p) => p.name)).toEqual([K, DOWN].map((name) => `${name}.vector_z`));
    run.dispose();
  });

  test('z_i + ε moves the weight by exactly σ ε M_i V_i', async () => {
    const [sigma, step, entry] = [0.5, 0.25, 3];
    const at = setup({ sigma });
    const get = await numbers(at);
    const resume = await startOf(at, (name, was) => (name.endsWith('vector_z') ? was.map((x, i) => x + (i === entry ? step : 0)) : was));
    const { run } = await createRun({ ...at, resume });
    for (const site of sites) {
      const [, inn] = site.shape;
      const [now, base] = [await weightOf(device, run.attachment.adapters.get(site.name)!), await readF32(device, site.weight)];
      // z + ε rounds; what was added is the difference.
      const added = Math.fround(get(site, 'vector_z')[entry]! + step) - get(site, 'vector_z')[entry]!;
      const want = base.map((w, i) => w + sigma * added * get(site, 'lower')[Math.floor(i / inn) * 8 + entry]! * get(site, 'upper')[entry * inn + (i % inn)]!);
      expect(share(now, want)).toBeLessThan(1e-6);
      expect(share(now, base)).toBeGreaterThan(1e-2);
    }
    run.dispose();
  });

  test('at full rank with z = 0 and σ = 1 nothing is left of the weight', async () => {
    const at = setup({ rank: 64 });
    const resume = await startOf(at, (name, was) => (name.endsWith('vector_z') ? was.map(() => 0) : was));
    const { run } = await createRun({ ...at, resume });
    for (const site of sites) {
      const [left, base] = [await weightOf(device, run.attachment.adapters.get(site.name)!), await readF32(device, site.weight)];
      expect(Math.hypot(...left) / Math.hypot(...base)).toBeLessThan(1e-5);
    }
    run.dispose();
  });

  test('decay of weights leaves the diagonal alone; its learning rate is its own', async () => {
    const begun = await numbers(setup({ zLr: 0 }));
    await trained(setup({ zLr: 0 }, { training: { steps: 3, weightDecay: 0.5 } }), async ({ checkpoint }) => {
      const after = await numbersOf(checkpoint);
      for (const site of sites) expect(after.get(`param.${site.name}.vector_z`)).toEqual(begun(site, 'vector_z'));
    });
    // Adam's first step is the learning rate, whatever the gradient.
    await trained(setup({ zLr: 3 }, { training: { steps: 1, lr: 1e-2 } }), async ({ checkpoint }) => {
      const after = await numbersOf(checkpoint);
      for (const site of sites) after.get(`param.${site.name}.vector_z`)!.forEach((z, i) => expect(Math.abs(z - begun(site, 'vector_z')[i]!)).toBeCloseTo(0.03, 4));
    });
  });
});

test('dz_i = σ M_i · G V_i, G the gradient of the weight', async () => {
  const [sigma, batch] = [0.5, randomBatch('one')];
  // Adam's first moment with β₁ = 0 is the gradient.
  const found = await trained(setup({ sigma }, { data: { batch: () => batch }, training: { steps: 1, beta1: 0 } }), ({ checkpoint }) => numbersOf(checkpoint));
  for await (const { site, gradient } of baseGradients(device, loaded, sites, [batch], SHAPE)) {
    const [out, inn] = site.shape;
    const [M, V] = [hostMatrix(out, 8, found.get(`param.${site.name}.lower`)!), hostMatrix(8, inn, found.get(`param.${site.name}.upper`)!)];
    const all = multiply(multiply(transpose(M), hostMatrix(out, inn, gradient)), transpose(V));
    expect(share(found.get(`adam.m.${site.name}.vector_z`)!, Array.from({ length: 8 }, (_, i) => sigma * all.data[i * 9]!))).toBeLessThan(1e-4);
  }
});

test('a layer of zeros, with nothing to factorise, stays the base and finite', async () => {
  const other = await loadTiny(device);
  const { weight, shape: [out, inn] } = other.network.sites.get(K)!;
  write(device, weight, new Float32Array(out * inn));
  await trained(setup({}, { loaded: other, training: { steps: 2 } }), async ({ reason, checkpoint, run }) => {
    expect(reason).toBe('finished');
    for (const [name, values] of await numbersOf(checkpoint)) expect(values.every(Number.isFinite), name).toBe(true);
    expect((await weightOf(device, run.attachment.adapters.get(K)!)).every((x) => x === 0)).toBe(true);
  });
  freeWeights(device, other);
});

test('a rank or a scale of nothing is refused', async () => {
  await expect(createRun(setup({ rank: 0 }))).rejects.toThrow(/rank: 0 is out of range/);
  await expect(createRun(setup({ sigma: 0 }))).rejects.toThrow(/sigma: 0 is out of range/);
});

describe('starts', () => {
  const STARTS = ['lu', 'constant', 'normal', 'uniform', 'ones', 'zeros', 's_normal', 's_uniform'];
  test.each(STARTS)('%s: the model starts as the base, bit for bit', async (start) => {
    const { run } = await createRun(setup({ start }));
    const all = await numbersOf(await run.checkpoint());
    const z = all.get(`param.${DOWN}.vector_z`)!;
    expect(all.get(`param.${DOWN}.z0`)).toEqual(z);
    if (start === 'ones' || start === 'zeros') expect(new Set(z)).toEqual(new Set([start === 'ones' ? 1 : 0]));
    if (start === 'constant') expect(new Set(z).size).toBe(1);
    if (start === 's_uniform') expect(Math.max(...z.map(Math.abs))).toBeLessThanOrEqual(1);
    const batch = randomBatch('start');
    expect(await logitsOf(device, loaded, run.attachment.adapters, batch)).toEqual(await logitsOf(device, loaded, noAdapters, batch));
    run.dispose();
  });

  test('only when asked for does another start change the model', async () => {
    const batch = randomBatch('start');
    const base = await logitsOf(device, loaded, noAdapters, batch);
    for (const [start, changes] of [['zeros', true], ['lu', false]] as const) {
      const { run } = await createRun(setup({ start, exactStart: false }));
      expect(share(await logitsOf(device, loaded, run.attachment.adapters, batch), base) > 1e-3).toBe(changes);
      run.dispose();
    }
  });
});

test('stopping while the factors are made ends them, and nothing stays on the device', async () => {
  const before = device.bytes;
  for (const last of [0, 1]) {
    let calls = 0;
    const host = preparation({ device, sites, progress: async () => { if (calls++ >= last) throw new StoppedError('stopped'); } });
    await expect(loldu.prepare!(host, bind(loldu as never, { rank: 32 }).config as never)).rejects.toThrow(StoppedError);
    expect(device.bytes).toBe(before);
  }
});
