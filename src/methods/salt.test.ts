// SALT against its specification: what scale, shift and block do to the weight, what the rectifier lets through, and what is exported.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { type HostMatrix, combine, diagonal, frobenius, hostMatrix, multiply, transpose } from '../engine/linalg/host/matrix';
import type { LinearSite } from '../engine/nn/site';
import { Graph } from '../engine/tensor/graph';
import { readF32, write } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { testDevice } from '../engine/testing/device';
import { countTrainable } from '../training/attach';
import type { HeatmapData } from '../training/card';
import { type Method, bind } from '../training/contract';
import { baseGradients } from '../training/gradients';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { StoppedError } from '../util/errors';
import { salt } from './salt';
import { type Subject, checks } from './testing/conformance';
import { weightOf } from './testing/logits';
import { preparation } from './testing/prepared';
import { normals } from './testing/random';
import { type RunSetup, SHAPE, createRun, numbersOf, randomBatch, startOf, trained, unlabelled } from './testing/runs';
import { LLAMA, loadTiny } from './testing/tiny';

const [K, DOWN] = ['model.layers.0.self_attn.k_proj', 'model.layers.1.mlp.down_proj'];
const WIDTH = 4;

let device: Device;
let loaded: LoadedModel;
let sites: LinearSite[];
let subject: Subject;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
  sites = [K, DOWN].map((name) => loaded.network.sites.get(name)!);
  subject = { name: 'SALT’s tiny Llama', config: LLAMA, changed: /(v|o|down)_proj/, device, loaded, fresh: () => loadTiny(device) };
});
afterAll(() => freeWeights(device, loaded));

type Settings = Record<string, number | boolean | string>;
const setup = (fields: Settings = {}, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'salt', targets: `${K}|${DOWN}`, ...more, fields: { top: 0.5, width: WIDTH, lambda: 0, ...fields } });
const sizes = ({ shape }: LinearSite) => ({ r: Math.min(...shape) / 2, q: Math.min(...shape) / 2 });

interface Seen { U: [top: HostMatrix, rest: HostMatrix]; Vt: [HostMatrix, HostMatrix]; S: [Float32Array, Float32Array]; base: HostMatrix; now: HostMatrix; lora: { rank: number; product: HostMatrix }; numbers: (part: string) => Float32Array }

/** Each site with its parameters as `numbers` says: the effective weight, and what would be exported. */
async function standing(fields: Settings, numbers: (part: string, was: Float32Array, S: Float32Array) => Float32Array): Promise<Map<string, Seen>> {
  const at = setup(fields);
  const { run: fresh } = await createRun(at);
  const before = await numbersOf(await fresh.checkpoint());
  fresh.dispose();
  const resume = await startOf(at, (name, was) => numbers(name.split('.').at(-1)!, was, before.get(`param.${name.slice(0, name.lastIndexOf('.'))}.S_top`)!));
  const { run } = await createRun({ ...at, resume });
  const all = await numbersOf(resume);
  const graph = new Graph();
  const weights = graph.record(() => sites.map((site) => run.attachment.adapters.get(site.name)!.weight()));
  const step = await compile(device, graph, { keep: weights });
  step.run();
  const seen = new Map<string, Seen>();
  for (const [i, site] of sites.entries()) {
    const [out, inn] = site.shape;
    const { r, q } = sizes(site);
    const get = (part: string) => all.get(`param.${site.name}.${part}`)!;
    const { params, lora } = run.attachment.adapters.get(site.name)!;
    const { rank, scale, A, B } = lora!(Object.fromEntries(Object.entries(params).map(([part, p]) => [part, all.get(`param.${p.name}`)!])));
    expect(scale).toBe(1);
    seen.set(site.name, {
      U: [hostMatrix(out, r, get('U_top')), hostMatrix(out, q, get('U_rest'))], Vt: [hostMatrix(r, inn, get('Vt').slice(0, r * inn)), hostMatrix(q, inn, get('Vt').slice(r * inn))], S: [get('S_top'), get('S_rest')],
      base: hostMatrix(out, inn, await readF32(device, site.weight)), now: hostMatrix(out, inn, await step.read(weights[i]!)), lora: { rank, product: multiply(hostMatrix(out, rank, B), hostMatrix(rank, inn, A)) }, numbers: get,
    });
  }
  step.dispose();
  run.dispose();
  return seen;
}
const minus = (a: HostMatrix, b: HostMatrix) => combine(a, b, 1, -1);
const plus = (a: HostMatrix, b: HostMatrix) => combine(a, b);
const rebuilt = ({ U, Vt }: Seen, which: 0 | 1, middle: HostMatrix) => multiply(multiply(U[which], middle), Vt[which]);
const restOf = (s: Seen) => rebuilt(s, 1, diagonal(s.S[1]));
const moved = (part: string, was: Float32Array) => (part === 'X' || part === 'Y' ? normals(was.length, part, 0.5) : was);

describe('the weight', () => {
  test('U diag(σ) Vᵀ is W, largest values on top; the start is W itself, bit for bit', async () => {
    for (const s of (await standing({}, (_, was) => was)).values()) {
      expect(frobenius(minus(plus(rebuilt(s, 0, diagonal(s.S[0])), restOf(s)), s.base)) / frobenius(s.base)).toBeLessThan(1e-5);
      const values = [...s.S[0], ...s.S[1]];
      expect(values).toEqual([...values].sort((a, b) => b - a));
      expect(s.now.data).toEqual(s.base.data);
      expect([...s.numbers('alpha')].every((x) => x === 1) && [...s.numbers('beta'), ...s.numbers('Y')].every((x) => x === 0)).toBe(true);
      // torch's kaiming_uniform with a ReLU's gain: within √(6 / width).
      const bound = Math.sqrt(6 / WIDTH);
      const largest = Math.max(...s.numbers('X').map(Math.abs));
      expect(largest).toBeLessThanOrEqual(bound);
      expect(largest).toBeGreaterThan(0.85 * bound);
    }
  });

  test('β = c alone moves it by |c| √r', async () => {
    for (const s of (await standing({}, (part, was) => (part === 'beta' ? was.map(() => 0.3) : was))).values()) {
      expect(frobenius(minus(s.now, s.base)) / (0.3 * Math.sqrt(s.S[0].length))).toBeCloseTo(1, 5);
    }
  });

  test.each([
    ['α = 0', (part: string, was: Float32Array) => (part === 'alpha' ? was.map(() => 0) : was)],
    // Not −σ: the rectifier clips.
    ['β = −2σ', (part: string, was: Float32Array, S: Float32Array) => (part === 'beta' ? was.map((_, i) => -2 * S[i]!) : was)],
  ] as const)('%s leaves the block of the smaller values alone', async (_, numbers) => {
    for (const s of (await standing({}, numbers)).values()) {
      expect(frobenius(minus(s.now, restOf(s))) / frobenius(s.base)).toBeLessThan(1e-5);
    }
  });

  test('X and Y change nothing along the large directions; negative entries are clipped, or with signs only on the diagonal', async () => {
    for (const signed of [false, true]) {
      for (const [name, s] of await standing({ signed }, moved)) {
        const change = minus(s.now, s.base);
        expect(frobenius(multiply(transpose(s.U[0]), change)) / frobenius(change)).toBeLessThan(1e-5);
        expect(frobenius(multiply(change, transpose(s.Vt[0]))) / frobenius(change)).toBeLessThan(1e-5);
        const { q } = sizes(loaded.network.sites.get(name)!);
        const M = plus(diagonal(s.S[1]), multiply(hostMatrix(q, WIDTH, s.numbers('X')), hostMatrix(WIDTH, q, s.numbers('Y'))));
        const rectified = hostMatrix(q, q, M.data.map((x, at) => (signed && at % (q + 1) !== 0 ? x : Math.max(x, 0))));
        expect(frobenius(minus(s.now, plus(minus(s.base, restOf(s)), rebuilt(s, 1, rectified)))) / frobenius(change)).toBeLessThan(1e-5);
      }
    }
  });
});

describe('gradients', () => {
  /** Adam's first moment with β₁ = 0 is the gradient. */
  const gradientsOf = (at: RunSetup) => trained({ ...at, training: { steps: 1, beta1: 0, lr: 1e-9 } }, ({ checkpoint }) => numbersOf(checkpoint));
  const one = { batch: () => randomBatch('one') };

  test('dα = σ ⊙ dβ', async () => {
    const found = await gradientsOf(setup({}, { data: one }));
    for (const { name } of sites) {
      const [alpha, beta, S] = ['adam.m.%.alpha', 'adam.m.%.beta', 'param.%.S_top'].map((key) => found.get(key.replace('%', name))!);
      const largest = Math.max(...alpha!.map(Math.abs));
      expect(largest).toBeGreaterThan(0);
      alpha!.forEach((x, i) => expect(Math.abs(x - S![i]! * beta![i]!) / largest).toBeLessThan(1e-5));
    }
  });

  test('in the first step Y sees the diagonal of the block’s gradient only; with signs, all of it', async () => {
    for (const signed of [false, true]) {
      const found = await gradientsOf(setup({ signed }, { data: one }));
      for await (const { site, gradient } of baseGradients(device, loaded, sites, [randomBatch('one')], SHAPE)) {
        const [out, inn] = site.shape;
        const { q } = sizes(site);
        const get = (part: string) => found.get(`param.${site.name}.${part}`)!;
        const dM = multiply(multiply(transpose(hostMatrix(out, q, get('U_rest'))), hostMatrix(out, inn, gradient)), transpose(hostMatrix(q, inn, get('Vt').slice(-q * inn))));
        const seen = signed ? dM : diagonal(Float64Array.from({ length: q }, (_, i) => dM.data[i * q + i]!));
        const want = multiply(transpose(hostMatrix(q, WIDTH, get('X'))), seen);
        expect(frobenius(minus(hostMatrix(WIDTH, q, found.get(`adam.m.${site.name}.Y`)!), want)) / frobenius(want)).toBeLessThan(1e-4);
        expect(found.get(`adam.m.${site.name}.X`)!.every((x) => x === 0)).toBe(true);
      }
    }
  });

  test('the pull is λ (‖α σ + β − σ‖ + ‖X Y‖) of every layer, not squared; the loss that is shown is the task’s', async () => {
    const lambda = 0.7;
    const at = setup({ lambda }, { data: unlabelled, training: { steps: 1, beta1: 0, lr: 1e-9 } });
    const resume = await startOf(at, (name, was) => (/(beta|X|Y)$/.test(name) ? normals(was.length, name, 0.5) : was));
    await trained({ ...at, resume }, async ({ checkpoint, series }) => {
      const [before, found] = [await numbersOf(resume), await numbersOf(checkpoint)];
      expect(series.loss).toEqual([0]);
      for (const site of sites) {
        const { q } = sizes(site);
        const beta = before.get(`param.${site.name}.beta`)!;
        found.get(`adam.m.${site.name}.beta`)!.forEach((g, i) => expect(g).toBeCloseTo((lambda * beta[i]!) / Math.hypot(...beta), 4));
        const [X, Y] = [hostMatrix(q, WIDTH, before.get(`param.${site.name}.X`)!), hostMatrix(WIDTH, q, before.get(`param.${site.name}.Y`)!)];
        const XY = multiply(X, Y);
        const want = multiply(XY, transpose(Y));
        found.get(`adam.m.${site.name}.X`)!.forEach((g, i) => expect(g).toBeCloseTo((lambda * want.data[i]!) / frobenius(XY), 4));
      }
    });
  });

  test('decay leaves α where it is', async () => {
    await trained(setup({}, { data: unlabelled, training: { steps: 2, weightDecay: 0.5, lr: 0.1 } }), async ({ checkpoint }) => {
      const found = await numbersOf(checkpoint);
      const fresh = await standing({}, (_, was) => was);
      for (const { name } of sites) {
        expect(found.get(`param.${name}.alpha`)!.every((x) => x === 1)).toBe(true);
        expect(Math.hypot(...found.get(`param.${name}.X`)!) / Math.hypot(...fresh.get(name)!.numbers('X'))).toBeCloseTo(0.95 ** 2, 5);
      }
    });
  });
});

describe('what is counted and exported', () => {
  test('2 r + 2 d q numbers a layer; with no block or no large values, what is left', async () => {
    for (const [top, want] of [[0.5, (k: number) => k + WIDTH * k], [1, (k: number) => 2 * k], [0, (k: number) => 2 * WIDTH * k]] as const) {
      const { run } = await createRun(setup({ top }));
      expect(countTrainable(run.attachment.params)).toBe(want(16) + want(32));
      run.dispose();
    }
  });

  test('the LoRA is the whole change: of rank r + d where nothing is clipped, of all k where something is', async () => {
    const both = (part: string, was: Float32Array) => (part === 'alpha' ? was.map((x, i) => x + 0.1 * (i % 3)) : moved(part, was));
    for (const [signed, size, rankOf] of [[false, 1, (k: number) => k], [true, 0.01, (k: number) => k / 2 + WIDTH]] as const) {
      const seen = await standing({ signed }, (part, was) => both(part, was).map((x) => (part === 'Y' ? size * x : x)));
      for (const [name, s] of seen) {
        expect(s.lora.rank).toBe(rankOf(Math.min(...loaded.network.sites.get(name)!.shape)));
        const change = minus(s.now, s.base);
        expect(frobenius(minus(s.lora.product, change)) / frobenius(change)).toBeLessThan(1e-5);
      }
    }
  });

  test('what is shown: the diagonal of relu(M) as shares of the largest value, how far α and β have moved, how much is clipped', async () => {
    const at = setup({});
    const start: Record<string, (i: number) => number> = { beta: (i) => (i === 0 ? -1e3 : 0.1), alpha: (i) => 1 - 0.25 * i };
    const resume = await startOf(at, (name, was) => (/(X|Y)$/.test(name) ? normals(was.length, name, 0.5) : was.map((x, i) => start[name.split('.').at(-1)!]?.(i) ?? x)));
    const { run } = await createRun({ ...at, resume });
    const numbers = await numbersOf(resume);
    const values = run.attachment.sites.map((site) => {
      const { params } = run.attachment.adapters.get(site.name)!;
      return { site, params, values: Object.fromEntries(Object.entries(params).map(([part, p]) => [part, numbers.get(`param.${p.name}`)!])) };
    });
    const shown = salt.views!(values, bind(salt as unknown as Method, { top: 0.5, width: WIDTH }).config as never, {}) as Record<string, HeatmapData>;
    expect(Object.keys(shown).sort()).toEqual(salt.info.views.map(({ id }) => id).sort());
    run.attachment.sites.forEach((site, row) => {
      const { r, q } = sizes(site);
      const get = (part: string) => numbers.get(`param.${site.name}.${part}`)!;
      const rowOf = (id: string, length: number) => [...shown[id]!.values.slice(row * shown[id]!.columns, (row + 1) * shown[id]!.columns)].slice(0, length);
      const [alpha, beta, Stop, Srest] = ['alpha', 'beta', 'S_top', 'S_rest'].map(get) as [Float32Array, Float32Array, Float32Array, Float32Array];
      const M = plus(diagonal(Srest), multiply(hostMatrix(q, WIDTH, get('X')), hostMatrix(WIDTH, q, get('Y'))));
      const now = [...Stop.map((s, i) => alpha[i]! * s + beta[i]!), ...Array.from({ length: q }, (_, i) => M.data[i * q + i]!)].map((x) => Math.max(0, x) / Stop[0]!);
      rowOf('now', r + q).forEach((x, i) => expect(x).toBeCloseTo(now[i]!, 5));
      expect(rowOf('now', 1)).toEqual([0]);
      expect(now.slice(r).some((x) => x > 0)).toBe(true);
      rowOf('alpha', r).forEach((x, i) => expect(x).toBeCloseTo(0.25 * i, 6));
      rowOf('beta', r).forEach((x, i) => expect(x).toBeCloseTo(i === 0 ? 1e3 : 0.1, 6));
      const [top, block] = rowOf('clipped', 2) as [number, number];
      expect(top).toBeCloseTo([...Stop].filter((s, i) => alpha[i]! * s + beta[i]! < 0).length / r, 6);
      expect(block).toBeCloseTo(M.data.filter((x) => x < 0).length / q ** 2, 6);
      expect(block).toBeGreaterThan(0.2);
    });
    run.dispose();
  });

  test('before the first step the diagonal of relu(M) is the spectrum, and nothing has moved', async () => {
    for (const [top, r] of [[0.5, 8], [0, 0], [1, 16]] as const) {
      const S = Float32Array.from({ length: 16 }, (_, i) => 4 / (i + 1));
      const q = 16 - r;
      const site = { site: { name: K, shape: [16, 16] }, params: {}, values: { ...(r ? { alpha: new Float32Array(r).fill(1), beta: new Float32Array(r), Stop: S.slice(0, r) } : {}), ...(q ? { Srest: S.slice(r), X: normals(q * WIDTH, 'x', 1), Y: new Float32Array(WIDTH * q) } : {}) } };
      const shown = salt.views!([site as never], bind(salt as unknown as Method, { top, width: WIDTH }).config as never, {}) as Record<string, HeatmapData>;
      expect(shown.now!.values).toEqual(shown.spectrum!.values);
      expect([...shown.alpha!.values, ...shown.beta!.values].every((x) => x === 0)).toBe(true);
    }
  });
});

describe.each([['as published', {}], ['the values alone', { top: 1 }], ['the block alone', { top: 0 }]] as const)('%s', (_, fields) => {
  const wanted = /^(at the start|apply|merged|the exported|loss, gradient|trainable|a run paused)/;
  // A block of all values, with what these two add to every number, is several times the weight: no bound of theirs is meant for that.
  const tooFar = (what: string) => 'top' in fields && fields.top === 0 && /^(merged|loss, gradient)/.test(what);
  test.each(Object.entries(checks).filter(([what]) => wanted.test(what) && !tooFar(what)))('%s', (__, check) => check(subject, { method: salt as unknown as Method, fields: { width: WIDTH, ...fields } }));
});

test('a layer of zeros, with no direction above another, stays finite and starts as it is', async () => {
  const other = await loadTiny(device);
  const { weight, shape: [out, inn] } = other.network.sites.get(K)!;
  write(device, weight, new Float32Array(out * inn));
  const at = setup({ lambda: 0.01 }, { loaded: other, training: { steps: 2 } });
  const { run } = await createRun(at);
  expect((await weightOf(device, run.attachment.adapters.get(K)!)).every((x) => x === 0)).toBe(true);
  run.dispose();
  await trained(at, async ({ reason, checkpoint }) => {
    expect(reason).toBe('finished');
    for (const [name, values] of await numbersOf(checkpoint)) expect(values.every(Number.isFinite), name).toBe(true);
  });
  freeWeights(device, other);
});

test('stopping while weights are decomposed ends it, and nothing stays on the device', async () => {
  const before = device.bytes;
  let calls = 0;
  const host = preparation({ device, sites, progress: async () => { if (calls++ >= 1) throw new StoppedError('stopped'); } });
  await expect(salt.prepare!(host, bind(salt as unknown as Method, {}).config as never)).rejects.toThrow(StoppedError);
  expect(device.bytes).toBe(before);
});
