// LoRA-Pro against its specification: the adjusted pair is the best one for the weight, whatever X; X solves its equation; and two steps of
// the AdamW form are those of a double-precision version.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { eigh, sylvester } from '../engine/linalg/host/eigen';
import { type HostMatrix, combine, dot, frobenius, hostMatrix, identity, multiply, scaleRows, transpose } from '../engine/linalg/host/matrix';
import { qr } from '../engine/linalg/host/qr';
import { pinv } from '../engine/linalg/host/svd';
import type { LinearSite } from '../engine/nn/site';
import { Graph, writesOf } from '../engine/tensor/graph';
import { free, readF32, upload } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { type Tensor, elements, tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { attach } from '../training/attach';
import { type Method, bind } from '../training/contract';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { recordTraining } from '../training/step';
import type { ConfigError } from '../util/errors';
import type { Matrices, Place } from '../engine/joint/products';
import { adjusted, gramsOf, loraPro } from './lora-pro';
import { type Subject, checks } from './testing/conformance';
import { normals } from './testing/random';
import { type RunSetup, createRun, numbersOf, plain, randomBatch, startOf, trained } from './testing/runs';
import { LLAMA, loadTiny } from './testing/tiny';

const RANK = 4;
const [K, DOWN] = ['model.layers.0.self_attn.k_proj', 'model.layers.1.mlp.down_proj'];
const SCALE = 2;

let device: Device;
let loaded: LoadedModel;
let sites: LinearSite[];
let subject: Subject;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
  sites = [K, DOWN].map((name) => loaded.network.sites.get(name)!);
  subject = { name: 'LoRA-Pro’s tiny Llama', config: LLAMA, changed: /(v|o|down)_proj/, device, loaded, fresh: () => loadTiny(device) };
});
afterAll(() => freeWeights(device, loaded));

const random = (rows: number, columns: number, name: string, std = 1) => hostMatrix(rows, columns, normals(rows * columns, name, std));
const minus = (a: HostMatrix, b: HostMatrix) => combine(a, b, 1, -1);
const scaled = (a: HostMatrix, by: number) => combine(a, a, by, 0);
const relative = (got: HostMatrix, want: HostMatrix) => frobenius(minus(got, want)) / frobenius(want);

interface HostPair { A: HostMatrix; B: HostMatrix }
/** What autograd gives for the gradient G of the weight. */
const autograd = ({ A, B }: HostPair, G: HostMatrix): HostPair => ({ A: scaled(multiply(transpose(B), G), SCALE), B: scaled(multiply(G, transpose(A)), SCALE) });
/** s (B g_A + g_B A), what a step along the pair adds to the weight. */
const implied = ({ A, B }: HostPair, g: HostPair) => scaled(combine(multiply(B, g.A), multiply(g.B, A)), SCALE);
const onto = (basis: HostMatrix) => multiply(basis, pinv(basis, 1e-10));
/** G − (I − P_B) G (I − P_A): the projection of G on what rank-r matrices at B A can do. */
function best({ A, B }: HostPair, G: HostMatrix): HostMatrix {
  const [left, right] = [minus(identity(G.rows), onto(B)), minus(identity(G.columns), onto(transpose(A)))];
  return minus(G, multiply(multiply(left, G), right));
}

/** The adjusted pairs of many sites on the device. */
async function onDevice(factors: readonly HostPair[], own: readonly HostPair[], joined: boolean, damping = 1e-8): Promise<{ pairs: HostPair[]; X: HostMatrix[] }> {
  const tables = new Map<string, Tensor>();
  const table = (name: string, words: () => Uint32Array) => {
    const made = words();
    const t = tables.get(name) ?? upload(device, tensor(name, [made.length], 'param', 'u32'), made);
    tables.set(name, t);
    return t;
  };
  const up = (matrices: readonly HostMatrix[], name: string): Matrices => {
    const all = matrices.flatMap((m) => [...m.data]);
    let at = 0;
    const places = matrices.map(({ rows, columns }) => {
      at += rows * columns;
      return { at: at - rows * columns, rows, columns };
    });
    return { flat: upload(device, tensor(name, [all.length], 'input'), Float32Array.from(all)), places };
  };
  const pairOf = (pairs: readonly HostPair[], name: string) => ({ A: up(pairs.map(({ A }) => A), `${name} A`), B: up(pairs.map(({ B }) => B), `${name} B`) });
  const [f, g] = [pairOf(factors, 'factors'), pairOf(own, 'own')];
  const graph = new Graph();
  const { pair, X } = graph.record(() => adjusted({ table }, 'tried', f, gramsOf({ table }, f, damping), g, SCALE, joined));
  const step = await compile(device, graph, { keep: [pair.A.flat, pair.B.flat, ...(X ? [X] : [])] });
  step.run();
  const [A, B] = [await step.read(pair.A.flat), await step.read(pair.B.flat)];
  const host = (flat: Float32Array, { at, rows, columns }: Place) => hostMatrix(rows, columns, flat.slice(at, at + rows * columns));
  const pairs = factors.map((_, i) => ({ A: host(A, pair.A.places[i]!), B: host(B, pair.B.places[i]!) }));
  const r = factors[0]!.A.rows;
  const flat = X ? await step.read(X) : new Float32Array();
  step.dispose();
  for (const t of [...[f, g].flatMap(({ A, B }) => [A.flat, B.flat]), ...tables.values()]) free(device, t);
  return { pairs, X: X ? factors.map((_, i) => hostMatrix(r, r, flat.slice(i * r * r, (i + 1) * r * r))) : [] };
}

const SHAPES = [[16, 32], [32, 48], [48, 32], [4, 20]] as const;
const factors = () => SHAPES.map(([out, inn], i) => ({ A: random(RANK, inn, `A ${i}`, 0.3), B: random(out, RANK, `B ${i}`, 0.2) }));
const dense = () => SHAPES.map(([out, inn], i) => random(out, inn, `G ${i}`));

describe('the adjusted pair', () => {
  test.each([true, false])('moves the weight by the projection of G, whether X is solved for or 0 (%s)', async (joined) => {
    const [f, G] = [factors(), dense()];
    const { pairs } = await onDevice(f, f.map((pair, i) => autograd(pair, G[i]!)), joined);
    pairs.forEach((pair, i) => {
      expect(relative(implied(f[i]!, pair), best(f[i]!, G[i]!))).toBeLessThan(1e-5);
      // Closer than any multiple of LoRA's own step.
      const own = implied(f[i]!, autograd(f[i]!, G[i]!));
      const t = dot(own.data, G[i]!.data) / dot(own.data, own.data);
      expect(frobenius(minus(implied(f[i]!, pair), G[i]!))).toBeLessThanOrEqual(frobenius(minus(scaled(own, t), G[i]!)) + 1e-4);
    });
    // A square B reaches everything.
    expect(relative(implied(f[3]!, pairs[3]!), G[3]!)).toBeLessThan(1e-4);
  });

  test('goes down: ⟨g_Aᴸ, g_A⟩ + ⟨g_Bᴸ, g_B⟩ = ‖P_B G‖² + ‖(I − P_B) G P_A‖²', async () => {
    const [f, G] = [factors(), dense()];
    const own = f.map((pair, i) => autograd(pair, G[i]!));
    const { pairs } = await onDevice(f, own, true);
    pairs.forEach((pair, i) => {
      const along = dot(own[i]!.A.data, pair.A.data) + dot(own[i]!.B.data, pair.B.data);
      const left = multiply(onto(f[i]!.B), G[i]!);
      const right = multiply(minus(G[i]!, left), onto(transpose(f[i]!.A)));
      expect(along / (frobenius(left) ** 2 + frobenius(right) ** 2)).toBeCloseTo(1, 4);
    });
  });

  test('X solves its Sylvester equation, and is where both gradients are nearest to their own', async () => {
    const [f, G] = [factors(), dense()];
    const own = f.map((pair, i) => autograd(pair, G[i]!));
    const { pairs, X } = await onDevice(f, own, true);
    const { pairs: apart } = await onDevice(f, own, false);
    X.forEach((x, i) => {
      const { A, B } = f[i]!;
      const C = scaled(multiply(apart[i]!.A, transpose(A)), -1);
      const [BB, AA] = [multiply(transpose(B), B), multiply(A, transpose(A))];
      expect(frobenius(minus(combine(multiply(BB, x), multiply(x, AA)), C)) / frobenius(C)).toBeLessThan(1e-4);
      // d/dX (‖g_A − g_Aᴸ‖² + ‖g_B − g_Bᴸ‖²) / 2.
      const [a, b] = [multiply(minus(pairs[i]!.A, own[i]!.A), transpose(A)), multiply(transpose(B), minus(pairs[i]!.B, own[i]!.B))];
      expect(frobenius(minus(a, b)) / (frobenius(a) + frobenius(b))).toBeLessThan(1e-4);
      expect(frobenius(x)).toBeGreaterThan(0.01);
    });
  });

  test('the weight’s step does not depend on how B A is split into factors', async () => {
    const [f, G] = [factors(), dense()];
    const turned = f.map(({ A, B }, i) => {
      const Q = combine(identity(RANK), random(RANK, RANK, `Q ${i}`, 0.2));
      return { A: multiply(Q, A), B: multiply(B, pinv(Q, 1e-12)) };
    });
    const of = async (which: HostPair[]) => (await onDevice(which, which.map((pair, i) => autograd(pair, G[i]!)), true)).pairs.map((pair, i) => implied(which[i]!, pair));
    const [straight, other] = [await of(f), await of(turned)];
    straight.forEach((step, i) => expect(relative(other[i]!, step)).toBeLessThan(2e-5));
  });

  test.each([1e-8, 0.05])('is the one with δ = %d on the diagonals of BᵀB and A Aᵀ', async (damping) => {
    const [f, G] = [factors(), dense()];
    const own = f.map((pair, i) => autograd(pair, G[i]!));
    const { pairs } = await onDevice(f, own, true, damping);
    pairs.forEach((pair, i) => {
      const want = reference(f[i]!, own[i]!, true, damping);
      for (const part of ['A', 'B'] as const) expect(relative(pair[part], want[part])).toBeLessThan(1e-4);
      const other = reference(f[i]!, own[i]!, true, damping === 0.05 ? 1e-8 : 0.05);
      for (const part of ['A', 'B'] as const) expect(relative(other[part], want[part])).toBeGreaterThan(1e-2);
    });
  });

  test('with B at 0, A stays, and B moves by g_B (A Aᵀ)⁻¹ / s²; with a B of lower rank the projection is the one onto what it spans', async () => {
    const G = dense();
    const zero = factors().map(({ A, B }) => ({ A, B: scaled(B, 0) }));
    const first = await onDevice(zero, zero.map((pair, i) => autograd(pair, G[i]!)), true);
    first.pairs.forEach((pair, i) => {
      const { A } = zero[i]!;
      expect(pair.A.data.every((x) => x === 0)).toBe(true);
      expect(first.X[i]!.data.every((x) => x === 0)).toBe(true);
      expect(relative(pair.B, scaled(multiply(G[i]!, pinv(A, 1e-12)), 1 / SCALE))).toBeLessThan(1e-5);
    });
    const lower = factors().map(({ A, B }) => ({ A, B: hostMatrix(B.rows, RANK, B.data.map((x, at) => (at % RANK === RANK - 1 ? B.data[at - 1]! : x))) }));
    const { pairs } = await onDevice(lower, lower.map((pair, i) => autograd(pair, G[i]!)), true);
    pairs.forEach((pair, i) => expect(relative(implied(lower[i]!, pair), best(lower[i]!, G[i]!))).toBeLessThan(1e-4));
  });
});

type Settings = Record<string, number | boolean | string>;
const one = { batch: () => randomBatch('one') };
const setup = (fields: Settings = {}, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'lora-pro', targets: `${K}|${DOWN}`, data: one, ...more, fields: { rank: RANK, alpha: SCALE * RANK, ...fields } });

describe('a run', () => {
  test('keeps two moments in the shape of the weight in its AdamW form, none in its SGD form', async () => {
    await trained(setup({}, { training: { steps: 1 } }), async ({ checkpoint }) => {
      const lasting = [...(await numbersOf(checkpoint))].filter(([name]) => name.startsWith('lasting.'));
      const all = sites.reduce((sum, { shape: [out, inn] }) => sum + out * inn, 0);
      expect(lasting.map(([name, x]) => [name, x.length])).toEqual([['lasting.weights.m', all], ['lasting.weights.v', all]]);
    });
    await trained(setup({ form: 'sgd' }, { training: { steps: 1 } }), async ({ checkpoint }) => expect([...(await numbersOf(checkpoint)).keys()].some((name) => name.startsWith('lasting.'))).toBe(false));
  });

  test('three steps of the AdamW form are those of a double-precision version', async () => {
    const [lr, beta1, beta2] = [1e-2, 0.8, 0.95];
    const steps = 3;
    const each: Promise<Map<string, Float32Array>>[] = [];
    const at = setup({ beta1, beta2 }, { training: { steps, lr, saveEvery: 1, schedule: 'constant' }, save: (bytes) => { each.push(numbersOf(bytes)); } });
    const { run } = await createRun(setup({ beta1, beta2 }));
    const begun = await numbersOf(await run.checkpoint());
    run.dispose();
    await trained(at, ({ reason }) => expect(reason).toBe('finished'));
    const states = [begun, ...(await Promise.all(each)).slice(0, steps)];
    // The moments of all layers stand one behind the other.
    const before_ = (name: string) => sites.slice(0, sites.findIndex((site) => site.name === name)).reduce((sum, { shape: [out, inn] }) => sum + out * inn, 0);
    const moments = new Map(sites.map(({ name, shape: [out, inn] }) => [name, { M: hostMatrix(out, inn), V: hostMatrix(out, inn) }]));
    for (let t = 1; t <= steps; t++) {
      const before = states[t - 1]!;
      // LoRA's own gradients at these numbers: with β₁ = 0 Adam's first moment is the gradient.
      const lora = setup({}, { slug: 'lora', training: { steps: 1, lr: 1e-9, beta1: 0 } });
      const resume = await startOf(lora, (name, was) => before.get(`param.${name}`) ?? was);
      const gradients = await trained({ ...lora, resume }, ({ checkpoint }) => numbersOf(checkpoint));
      for (const { name, shape: [out, inn] } of sites) {
        const at_ = (all: ReadonlyMap<string, Float32Array>, kind: string): HostPair => ({ A: hostMatrix(RANK, inn, all.get(`${kind}.${name}.lora_A`)!), B: hostMatrix(out, RANK, all.get(`${kind}.${name}.lora_B`)!) });
        const pair = at_(before, 'param');
        const { M, V } = moments.get(name)!;
        const g = implied(pair, reference(pair, at_(gradients, 'adam.m'), false));
        g.data.forEach((x, i) => {
          M.data[i] = beta1 * M.data[i]! + (1 - beta1) * x;
          V.data[i] = beta2 * V.data[i]! + (1 - beta2) * x * x;
        });
        const d = hostMatrix(out, inn, M.data.map((m, i) => m / (1 - beta1 ** t) / (Math.sqrt(V.data[i]! / (1 - beta2 ** t)) + 1e-8)));
        const step = reference(pair, autograd(pair, d), true);
        const after = at_(states[t]!, 'param');
        // Normalised entries of a gradient near rounding may have either sign: some thousandths of the step in all.
        for (const part of ['A', 'B'] as const) {
          if (t === 1 && part === 'A') expect(after.A.data).toEqual(pair.A.data);
          else expect(relative(minus(pair[part], after[part]), scaled(step[part], lr)), `${name} ${part} step ${t}`).toBeLessThan(1e-2);
        }
        const kept = (which: string) => hostMatrix(out, inn, states[t]!.get(`lasting.weights.${which}`)!.slice(before_(name), before_(name) + out * inn));
        expect(relative(kept('m'), M)).toBeLessThan(1e-3);
        expect(relative(kept('v'), V)).toBeLessThan(1e-3);
      }
    }
  });

  test('of a rank that reaches the whole weight is full fine-tuning with AdamW, but for terms of η²', async () => {
    const [out, inn] = loaded.network.sites.get(K)!.shape;
    // Clipping is not to reach its steps.
    const training = { steps: 3, lr: 3e-4, clip: 0.01 };
    const whole = { rank: out, alpha: SCALE * out };
    const [A, B] = [random(out, inn, 'whole A', 0.3), qr(random(out, out, 'whole B')).Q];
    const at = (slug: string, fields: Settings): RunSetup => ({ device, loaded, slug, targets: K, data: one, fields, training });
    const product = (numbers: ReadonlyMap<string, Float32Array>) => scaled(multiply(hostMatrix(out, out, numbers.get(`param.${K}.lora_B`)!), hostMatrix(out, inn, numbers.get(`param.${K}.lora_A`)!)), SCALE);
    const moved = async (from: RunSetup, start: (name: string, was: Float32Array) => Float32Array, weight: (numbers: ReadonlyMap<string, Float32Array>) => HostMatrix) => {
      const resume = await startOf(from, start);
      return minus(weight(await trained({ ...from, resume }, ({ checkpoint }) => numbersOf(checkpoint))), weight(await numbersOf(resume)));
    };
    const factor = (name: string) => Float32Array.from((name.endsWith('lora_A') ? A : B).data);
    const pro = await moved(at('lora-pro', whole), factor, product);
    const base = await readF32(device, loaded.network.sites.get(K)!.weight);
    const merged = scaled(multiply(B, A), SCALE).data.map((x, i) => x + base[i]!);
    const full = await moved({ ...at('full', { norms: false, embeddings: false }), training: { ...training, clip: 0 } }, () => Float32Array.from(merged), (numbers) => hostMatrix(out, inn, numbers.get(`param.${K}.full_weight`)!));
    expect(relative(pro, full)).toBeLessThan(1e-2);
    // Adam on the two factors apart, which is LoRA, is another step.
    expect(relative(await moved(at('lora', whole), factor, product), full)).toBeGreaterThan(0.3);
  });

  test('refuses a rank above the matrix', async () => {
    expect(await createRun(setup({ rank: 17 })).then(() => null, (error: ConfigError) => [error.name, error.message, error.hint])).toEqual([
      'ConfigError', `rank: 17 is above the rank that ${K} [16, 32] can have`, 'Give a value from 1 to 16, or leave that layer out of the targets.',
    ]);
  });

  test('never makes a gradient of a frozen weight', () => {
    const bound = bind(loraPro as unknown as Method, { rank: RANK });
    const attachment = attach(loaded.network, bound, DOWN);
    const { graph } = recordTraining(loaded, bound, attachment, { ...plain, batch: 2, seq: 10 });
    // No activation of 20 tokens has as many elements.
    const size = 32 * 48;
    const wide = graph.commands.filter((command) => writesOf(command).some((t) => t.life === 'step' && elements(t) === size));
    expect(wide.some(({ backward }) => backward)).toBe(false);
    // The implied gradient, in two products, and Adam's direction are of that size, and of the site that is adapted alone.
    expect(wide).toHaveLength(3);
  });
});

/** The adjusted pair in double precision. */
function reference({ A, B }: HostPair, own: HostPair, joined: boolean, damping = 1e-8): HostPair {
  const damped = (gram: HostMatrix) => {
    const { values, vectors } = eigh(gram);
    return multiply(transpose(vectors), scaleRows(vectors, values.map((v) => 1 / (v + damping))));
  };
  const [BB, AA] = [multiply(transpose(B), B), multiply(A, transpose(A))];
  const [left, right] = [damped(BB), damped(AA)];
  const gA = scaled(multiply(left, own.A), 1 / SCALE ** 2);
  const outer = scaled(multiply(own.B, right), 1 / SCALE ** 2);
  const gB = minus(outer, multiply(B, multiply(left, multiply(transpose(B), outer))));
  if (!joined) return { A: gA, B: gB };
  const X = sylvester(BB, AA, scaled(multiply(gA, transpose(A)), -1), 1e-12);
  return { A: combine(gA, multiply(X, A)), B: minus(gB, multiply(B, X)) };
}

describe('the SGD form', () => {
  const wanted = /^(at the start|twenty steps|the same seed|learns|a run paused|a step asks|a rate|a base|a run gives)/;
  test.each(Object.entries(checks).filter(([what]) => wanted.test(what)))('%s', (_, check) => check(subject, { method: loraPro as unknown as Method, fields: { rank: RANK, alpha: 8, form: 'sgd' }, lr: 0.1 }));
});
