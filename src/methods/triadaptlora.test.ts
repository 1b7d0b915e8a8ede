// TriAdaptLoRA against its specification: the core and its strips, what grows when and by how much, and what growth leaves alone.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { type HostMatrix, combine, diagonal, frobenius, hostMatrix, multiply, transpose } from '../engine/linalg/host/matrix';
import { stripsSize } from '../engine/ops';
import { Graph } from '../engine/tensor/graph';
import { free, readF32 } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import type { Tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { bytesSource, openSafetensors } from '../formats/safetensors';
import { type Method, bind } from '../training/contract';
import { type LoadedModel, freeWeights } from '../training/loaded';
import type { Run } from '../training/run';
import { recordLoss } from '../training/step';
import { batchTensors, hostInputs } from '../training/task';
import { assembled, growingLayers, overThreshold, triadaptlora } from './triadaptlora';
import { logitsOf, share, weightOf } from './testing/logits';
import { type RunSetup, SHAPE, createRun, liveOf, numbersOf, randomBatch, startOf, trained, unlabelled } from './testing/runs';
import { loadTiny } from './testing/tiny';

const SITE = 'model.layers.0.self_attn.q_proj';
const SIDE = 32;

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

type Settings = Record<string, number | boolean | string>;
/** Every fourth step of sixteen is an event; the last step is none. */
const setup = (fields: Settings = {}, more: Partial<RunSetup> = {}): RunSetup => ({
  device, loaded, slug: 'triadaptlora', ...more,
  fields: { reference: 4, initRank: 1, step: 2, maxRank: 7, alpha: 4, events: 4, warmup: 0, ...fields },
  training: { steps: 16, saveEvery: 1, ...more.training },
});
const LAYERS = 14;
const most = 7;

interface Growth { step: number; k: number; threshold: number; scores: Record<string, number>; ranks: Record<string, number> }
interface Whole { saved: Map<number, ReadonlyMap<string, Float32Array>>; log: Growth[]; series: number[]; notes: string[]; receiptRanks: Record<string, number> }

async function logOf(checkpoint: Uint8Array): Promise<Growth[]> {
  const { metadata } = await openSafetensors(bytesSource('checkpoint.safetensors', checkpoint));
  return (JSON.parse(metadata.state ?? '{}') as { log?: Growth[] }).log ?? [];
}

/** A run with the numbers of every step. */
async function whole(fields: Settings = {}, more: Partial<RunSetup> = {}): Promise<Whole> {
  const bytes = new Map<number, Uint8Array>();
  return trained(setup(fields, { ...more, save: (b, step) => { bytes.set(step, b); } }), async ({ run, series, checkpoint, events }) => {
    bytes.set(16, checkpoint);
    const saved = new Map<number, ReadonlyMap<string, Float32Array>>();
    for (const [step, b] of bytes) saved.set(step, await numbersOf(b));
    return {
      saved, series: [...series.ranks!], log: await logOf(checkpoint),
      notes: events.flatMap((event) => (event.kind === 'note' ? [event.text] : [])), receiptRanks: (await run.exportPeft('tiny')).receipt.ranks,
    };
  });
}
const total = (ranks: Record<string, number>) => Object.values(ranks).reduce((a, b) => a + b, 0);

test('a core is the sum of its strips, which hold n² and the squares of their widths; a prefix is the smaller core', () => {
  const form = { n: 8, first: 2, step: 3 };
  expect(stripsSize(form)).toBe(64 + 4 + 9 + 9);
  const numbers = Float32Array.from({ length: stripsSize(form) }, (_, i) => i + 1);
  const core = assembled(numbers, form);
  // First block: rows 1 2 / 3 4 and columns 5 6 / 7 8 in the same place.
  expect([core[0], core[1], core[8], core[9]]).toEqual([1 + 5, 2 + 6, 3 + 7, 4 + 8]);
  // Second block: its rows [3, 5] begin with 9, its columns [5, 3] with 24; on the diagonal both add up.
  expect([core[2 * 8], core[2], core[2 * 8 + 2]]).toEqual([9, 24, 11 + 30]);
  // The first strips alone are the core of side 2, in the same numbers.
  expect([...assembled(numbers, { n: 2, first: 2, step: 3 })]).toEqual([6, 8, 10, 12]);
});

test('k and the threshold of a table worked out by hand; ties all grow', () => {
  expect(growingLayers('linear', 64 - 24, 0.5, 24)).toBe(20);
  expect(growingLayers('exponential', 64 - 24, 0.5, 24)).toBe(6);
  expect([growingLayers('linear', 40, 0, 24), growingLayers('linear', 40, 1, 24), growingLayers('exponential', 1, 1, 24)]).toEqual([1, 24, 1]);
  const scores = { a: 0.1, b: 0.5, c: 0.5, d: -0.2, e: 0.4 };
  expect(overThreshold(Object.keys(scores), 1, scores)).toEqual({ growing: ['b', 'c'], threshold: 0.5 });
  expect(overThreshold(Object.keys(scores), 3, scores)).toEqual({ growing: ['b', 'c', 'e'], threshold: 0.4 });
  expect(overThreshold(['a', 'd'], 2, scores)).toEqual({ growing: ['a', 'd'], threshold: -0.2 });
});

describe('a run that grows', () => {
  let run: Whole;
  beforeAll(async () => { run = await whole({ orthogonality: 0.1 }); });

  test('starts as the base with gradients at once, in the strips of the first block alone', async () => {
    const start = await numbersOf(await startOf(setup(), (_, was) => was));
    const [A, B, C] = ['A', 'B', 'C'].map((part) => start.get(`param.${SITE}.lora_${part}`)!) as [Float32Array, Float32Array, Float32Array];
    expect(C.every((x) => x === 0)).toBe(true);
    expect(A.subarray(0, SIDE).every((x) => x !== 0) && A.subarray(SIDE).every((x) => x === 0)).toBe(true);
    expect(B.every((x, at) => (at % most === 0) === (x !== 0))).toBe(true);
    const deviation = Math.sqrt(A.reduce((sum, x) => sum + x * x, 0) / SIDE);
    expect(Math.abs(deviation - 0.02)).toBeLessThan(0.008);
    const after = run.saved.get(1)!;
    const moment = after.get(`adam.m.${SITE}.lora_C`)!;
    // n² + a² = 2 numbers of a core of side 1.
    expect([...moment].map((x) => x !== 0)).toEqual(Array.from(moment, (_, i) => i < 2));
  });

  test('grows the layers at or above the k-th largest score, and no others', () => {
    expect(run.log.map(({ step }) => step)).toEqual(run.log.map((_, i) => 4 * (i + 1)));
    let ranks: Record<string, number> = Object.fromEntries(Object.keys(run.log[0]!.ranks).map((name) => [name, 1]));
    expect(Object.keys(ranks)).toHaveLength(LAYERS);
    let varied = false;
    for (const { step, k, threshold, scores, ranks: now } of run.log) {
      const able = Object.keys(ranks).filter((name) => ranks[name]! + 2 <= most);
      expect(k).toBe(growingLayers('linear', 4 * LAYERS - total(ranks), step / 16, able.length));
      expect(threshold).toBe(able.map((name) => scores[name]!).sort((a, b) => b - a)[k - 1]);
      for (const name of able) expect(now[name]! - ranks[name]!, `${name} at ${step}`).toBe(scores[name]! >= threshold ? 2 : 0);
      ranks = now;
      varied ||= new Set(Object.values(now)).size > 1;
    }
    expect(varied).toBe(true);
  });

  test('scores are increases of ‖C‖ / blocks, from the numbers of the cores', () => {
    const before = new Map<string, number>();
    let ranks: Record<string, number> = {};
    for (const { step, scores, ranks: now } of run.log) {
      for (const [name, score] of Object.entries(scores)) {
        const n = ranks[name] ?? 1;
        const strips = run.saved.get(step)!.get(`param.${name}.lora_C`)!;
        const q = Math.hypot(...assembled(strips, { n, first: 1, step: 2 })) / (1 + (n - 1) / 2);
        // The saved numbers are those after the event, which leaves old strips as they are and new ones at zero.
        expect(Math.abs(score - (q - (before.get(name) ?? 0)))).toBeLessThan(1e-6);
        before.set(name, q);
      }
      ranks = now;
    }
  });

  test('ranks in use never fall, growth ends at the first sum that reaches the budget, and what is exported is what is logged', () => {
    const sums = [LAYERS, ...run.log.map(({ ranks }) => total(ranks))];
    expect(sums.every((x, i) => i === 0 || x > sums[i - 1]!)).toBe(true);
    expect(sums.slice(0, -1).every((x) => x < 4 * LAYERS)).toBe(true);
    // The third event of the run finds nothing left to spend.
    expect([sums.at(-1)! >= 4 * LAYERS, run.log.length]).toEqual([true, 2]);
    expect(run.series[0]).toBe(LAYERS);
    expect(run.series.at(-1)).toBe(sums.at(-1));
    expect(run.receiptRanks).toEqual(run.log.at(-1)!.ranks);
    expect(run.notes.filter((text) => / layers grow by 2: /.test(text))).toHaveLength(run.log.length);
  });

  test('an event leaves what is there bit for bit, numbers, moments and counts of steps', async () => {
    // The same steps without growth.
    const still = await whole({ orthogonality: 0.1, warmup: 0.3 });
    const [now, same] = [run.saved.get(4)!, still.saved.get(4)!];
    expect([run.log[0]!.step, still.log.some(({ step }) => step <= 4)]).toEqual([4, false]);
    for (const name of Object.keys(run.log[0]!.ranks)) {
      for (const kind of ['param', 'adam.m', 'adam.v']) for (const part of ['A', 'B', 'C']) {
        const [a, b] = [now.get(`${kind}.${name}.lora_${part}`)!, same.get(`${kind}.${name}.lora_${part}`)!];
        const width = part === 'A' ? a.length / most : most;
        const old = (x: Float32Array) => x.filter((_, i) => (part === 'A' ? i < width : part === 'B' ? i % width === 0 : i < 2));
        expect(old(a), `${kind} ${name} ${part}`).toEqual(old(b));
        expect(old(a).some((x) => x !== 0)).toBe(true);
      }
      for (const mask of ['ranks', 'core']) {
        const [a, b] = [now, same].map((saved) => saved.get(`mask.${mask} of ${name}`)!) as [Float32Array, Float32Array];
        expect(a.subarray(a.length / 2)).toEqual(b.subarray(b.length / 2));
      }
    }
  });

  test('at every event, what is new is drawn in A and B and zero in C, and trains in the next step', () => {
    let before: Record<string, number> = {};
    for (const { step, ranks } of run.log) {
      const [now, next] = [run.saved.get(step)!, run.saved.get(step + 1)!];
      expect(Object.keys(ranks).some((name) => ranks[name] !== (before[name] ?? 1))).toBe(true);
      for (const [name, n] of Object.entries(ranks)) {
        const [from, strips] = [before[name] ?? 1, (side: number) => stripsSize({ n: side, first: 1, step: 2 })];
        const [C, later] = [now.get(`param.${name}.lora_C`)!, next.get(`param.${name}.lora_C`)!];
        expect(C.subarray(strips(from)).every((x) => x === 0)).toBe(true);
        expect(later.subarray(strips(from), strips(n)).every((x) => x !== 0)).toBe(true);
        expect(later.subarray(strips(n)).every((x) => x === 0)).toBe(true);
        const [A, B] = [now.get(`param.${name}.lora_A`)!, now.get(`param.${name}.lora_B`)!];
        const width = A.length / most;
        expect(A.every((x, i) => (x !== 0) === (i < n * width))).toBe(true);
        expect(B.every((x, i) => (x !== 0) === (i % most < n))).toBe(true);
        expect(now.get(`adam.m.${name}.lora_A`)!.subarray(from * width).every((x) => x === 0)).toBe(true);
      }
      before = ranks;
    }
  });

  test('a new block has its own count of steps', () => {
    const { step, ranks } = run.log[0]!;
    const name = Object.keys(ranks).find((site) => ranks[site] === 3)!;
    const mask = run.saved.get(step + 1)!.get(`mask.core of ${name}`)!;
    const half = mask.length / 2;
    // (may move; steps taken): old strips have all steps, new ones the one since.
    expect([mask[half], mask[half + 2], mask[half + 14]]).toEqual([step + 1, 1, 0]);
  });
});

describe('what growth does to the model', () => {
  /** A run as it stands after its first event, if it has one there. */
  async function pastEvent<T>(fields: Settings, more: Partial<RunSetup>, look: (run: Run, grown: Set<string>) => Promise<T>): Promise<T> {
    const given = setup({ orthogonality: 0, ...fields }, more);
    let bytes = new Uint8Array();
    await trained({ ...given, save: (b, step) => { if (step === 4) bytes = b as Uint8Array<ArrayBuffer>; } }, () => {});
    const { run } = await createRun({ ...given, resume: bytes });
    const grown = new Set((await logOf(bytes)).flatMap(({ ranks }) => Object.keys(ranks).filter((name) => ranks[name] === 3)));
    const seen = await look(run, grown);
    run.dispose();
    return seen;
  }
  const nothing = { warmup: 0.3 };

  test('the logits stay where the update keeps its size, and move where it does not', async () => {
    const at = (fields: Settings) => pastEvent(fields, {}, (run) => logitsOf(device, loaded, run.attachment.adapters, randomBatch('any')));
    const before = await at(nothing);
    expect(share(await at({ preserve: true }), before)).toBeLessThan(1e-6);
    expect(share(await at({ preserve: false }), before)).toBeGreaterThan(1e-5);
  });

  test('ΔW stays, or shrinks by (n + 10⁻⁵)/(n + a + 10⁻⁵) in the layers that grew', async () => {
    // A change as large as the weights, so that it is not lost in their rounding.
    const resume = await startOf(setup({ orthogonality: 0 }), (name, was) => (name.endsWith('lora_C') ? was.map((_, i) => Number(i < 2)) : was.map((x) => 20 * x)));
    const at = (fields: Settings) => pastEvent(fields, { resume }, async (run, grown) => {
      const changes = new Map<string, Float32Array>();
      for (const { name, weight } of run.attachment.sites) {
        const base = await readF32(device, weight);
        changes.set(name, (await weightOf(device, run.attachment.adapters.get(name)!)).map((x, i) => x - base[i]!));
      }
      return { changes, grown };
    });
    const [before, kept, shrunk] = [await at(nothing), await at({ preserve: true }), await at({ preserve: false })];
    expect([before.grown.size, kept.grown.size]).toEqual([0, shrunk.grown.size]);
    expect(shrunk.grown.size).toBeGreaterThan(0);
    for (const [name, was] of before.changes) {
      const factor = shrunk.grown.has(name) ? (1 + 1e-5) / (3 + 1e-5) : 1;
      expect(share(kept.changes.get(name)!, was), name).toBeLessThan(1e-6);
      expect(share(shrunk.changes.get(name)!, was.map((x) => factor * x)), name).toBeLessThan(1e-6);
    }
  });
});

test('old strips are scaled by (n + a + 10⁻⁵)/(n + 10⁻⁵) where the size is kept', async () => {
  const [off, on] = [await whole({ orthogonality: 0 }), await whole({ orthogonality: 0, preserve: true })];
  const name = Object.entries(off.log[0]!.ranks).find(([, n]) => n === 3)![0];
  const core = ({ saved }: Whole, step: number) => saved.get(step)!.get(`param.${name}.lora_C`)!.slice(0, 2);
  expect(core(on, 3)).toEqual(core(off, 3));
  expect(share(core(on, 4), core(off, 4).map((x) => (x * (3 + 1e-5)) / (1 + 1e-5)))).toBeLessThan(1e-6);
});

test('by lot, as many layers grow, and others', async () => {
  const grown = async (fields: Settings) => Object.entries((await whole({ step: 1, ...fields })).log[0]!.ranks).flatMap(([name, n]) => (n > 1 ? [name] : []));
  const [score, lot] = [await grown({}), await grown({ choice: 'lot' })];
  expect(lot).toHaveLength(score.length);
  expect(lot).not.toEqual(score);
});

test.each(['blocks', 'rank'])('without any gradient the scores are those of the cores as they stand, over %s', async (norm) => {
  const at = setup({ norm, orthogonality: 0 }, { data: unlabelled });
  // Cores of side 1 hold two numbers that add up; layer i's is i + 1 off its start.
  const order: string[] = [];
  const resume = await startOf(at, (name, was) => (name.endsWith('lora_C') ? was.map((_, i) => (i < 2 ? order.push(name) / 4 : 0)) : was));
  await trained({ ...at, resume }, async ({ checkpoint, series }) => {
    expect(series.grad_norm!.every((x) => x === 0)).toBe(true);
    const log = await logOf(checkpoint);
    const [first, second] = log as [Growth, Growth];
    const q = Object.fromEntries(Object.keys(first.scores).map((name) => [name, order.flatMap((owner, i) => (owner === `${name}.lora_C` ? [(i + 1) / 4] : [])).reduce((a, b) => a + b)]));
    expect(first.scores).toEqual(q);
    const best = Object.keys(q).sort((a, b) => q[b]! - q[a]!).slice(0, first.k);
    expect(new Set(Object.keys(q).filter((name) => first.ranks[name] === 3))).toEqual(new Set(best));
    // What grew has the same norm over two blocks, or over three ranks.
    for (const name of Object.keys(q)) expect(second.scores[name]).toBeCloseTo(first.ranks[name] === 3 ? q[name]! / (norm === 'rank' ? 3 : 2) - q[name]! : 0, 6);
  });
});

test('the loss has w · mean of ‖A Aᵀ − I‖ and ‖BᵀB − I‖ over what has grown so far, and none of it where w is 0', async () => {
  const total = async (orthogonality: number) => {
    const at = setup({ orthogonality, initRank: 3 }, { data: unlabelled, training: { steps: 1, lr: 0 } });
    const { run } = await createRun(at);
    const inputs = batchTensors(loaded, SHAPE);
    const graph = new Graph();
    const sum = graph.record(() => recordLoss(loaded, bind(triadaptlora as unknown as Method, at.fields!), run.attachment, inputs, liveOf(run).adamw).total);
    const step = await compile(device, graph, { keep: [sum] });
    step.run(hostInputs(inputs, unlabelled.batch(0)));
    const [value] = await step.read(sum);
    const all = await numbersOf(await run.checkpoint());
    step.dispose();
    for (const t of Object.values(inputs) as Tensor[]) free(device, t);
    const sites = run.attachment.sites.map(({ name, shape: [out, inn] }) => ({ A: hostMatrix(most, inn, all.get(`param.${name}.lora_A`)!), B: hostMatrix(out, most, all.get(`param.${name}.lora_B`)!) }));
    run.dispose();
    return { value: value!, sites };
  };
  expect((await total(0)).value).toBe(0);
  const { value, sites } = await total(0.7);
  // Ranks 4 to 7 are not there yet and count for nothing.
  const there = diagonal(Float64Array.from({ length: most }, (_, i) => Number(i < 3)));
  const off = (gram: HostMatrix) => frobenius(combine(gram, there, 1, -1));
  const terms = sites.flatMap(({ A, B }) => [off(multiply(A, transpose(A))), off(multiply(transpose(B), B))]);
  expect(value).toBeCloseTo((0.7 * terms.reduce((a, b) => a + b)) / terms.length, 5);
});

test('a run resumed after growth is the whole one, bit for bit', async () => {
  let half = new Uint8Array();
  const sha = (more: Partial<RunSetup>) => trained(setup({}, { training: { steps: 16, saveEvery: 9 }, ...more }), async ({ run }) => (await run.exportPeft('tiny')).receipt.sha256);
  const uninterrupted = await sha({ save: (bytes, step) => { if (step === 9) half = bytes as Uint8Array<ArrayBuffer>; } });
  expect(await sha({ resume: half })).toBe(uninterrupted);
});

test('what cannot be: a start above the reference, a budget that no layer can spend, a rank above the matrix, one event, which would be after the last step', async () => {
  await expect(createRun(setup({ initRank: 5 }))).rejects.toThrow(/initRank: 5 is above the reference rank, 4/);
  await expect(createRun(setup({ maxRank: 2 }))).rejects.toThrow(/maxRank: from 1 in steps of 2 a layer gets to 1 at most, and the budget is 4 a layer/);
  await expect(createRun(setup({ maxRank: 64 }))).rejects.toThrow(/maxRank: 64 is above the rank/);
  await expect(createRun(setup({ reference: 40, initRank: 40 }))).rejects.toThrow(/maxRank: 7 is below the rank at the start, 40/);
  await expect(createRun(setup({ events: 1 }))).rejects.toThrow(/events: 1 is out of range/);
});
