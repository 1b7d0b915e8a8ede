// The explorer against the way around it: every cut's loss is the loss of the file that `lowrank convert` or the export writes of it.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { folderSources } from '../cli/files';
import { convert } from '../cli/verbs/convert';
import type { Device } from '../engine/gpu/device';
import { testDevice } from '../engine/testing/device';
import { singularValues } from '../engine/linalg/host/svd';
import { readF32 } from '../engine/tensor/memory';
import { type LoraModule, readPeft, writePeft } from '../formats/peft';
import { bytesSource } from '../formats/safetensors';
import { letters } from '../methods/testing/letters';
import { normals } from '../methods/testing/random';
import { SHAPE, randomBatch } from '../methods/testing/runs';
import { LLAMA, loadTiny } from '../methods/testing/tiny';
import { attachFiles, detach } from './attach';
import { type Cut, keepEnergy, keepRank } from './cut';
import { Evaluator, type TokenBatch } from './evaluate';
import { Explorer } from './explore';
import type { TrainedModule } from './export';
import { type LoadedModel, freeWeights } from './loaded';

const work = mkdtempSync(join(tmpdir(), 'lowrank-explore-'));
let device: Device;
let loaded: LoadedModel;
let explorer: Explorer;

const NAMES = ['model.layers.0.self_attn.q_proj', 'model.layers.0.mlp.down_proj', 'model.layers.1.self_attn.k_proj', 'model.layers.1.mlp.up_proj'];
const RANKS = [6, 4, 5, 1];
const modules: TrainedModule[] = [];
/** The second has padding, so that rows and batches weigh differently. */
const batches: TokenBatch[] = [randomBatch('held 1'), { ...randomBatch('held 2'), labels: randomBatch('held 2').labels.map((label, i) => (i % SHAPE[1] > 4 && i < SHAPE[1] ? -100 : label)) }];
const sample = { maxTokens: 6, temperature: 0, seed: 3 };

beforeAll(async () => {
  device = await testDevice();
  loaded = { ...(await loadTiny(device, LLAMA)), tokenizer: letters() };
  NAMES.forEach((name, i) => {
    const [out, inn] = loaded.network.sites.get(name)!.shape;
    const rank = RANKS[i]!;
    // Columns of falling length, so that every cut matters.
    const B = normals(out * rank, `${name} B`, 0.4).map((x, at) => x * 0.7 ** (at % rank));
    const module: LoraModule = { name, rank, scale: 0.5 + 0.25 * i, out, inn, A: normals(rank * inn, `${name} A`, 0.4), B };
    modules.push({ module, ...(i === 0 ? { gates: Float32Array.of(0.1, -3, 0.2, 2, -0.4, 1) } : {}) });
  });
  mkdirSync(join(work, 'adapter'));
  for (const { name, bytes } of writePeft({ modules: modules.map((m) => m.module), baseModel: 'tiny', taskType: 'CAUSAL_LM' }).files) writeFileSync(join(work, 'adapter', name), bytes);
  explorer = await open();
});
afterAll(async () => {
  await explorer.dispose();
  freeWeights(device, loaded);
  rmSync(work, { recursive: true, force: true });
});

const open = (given: readonly TrainedModule[] = modules) => Explorer.open({ device, loaded, modules: given, batches, shape: SHAPE, chat: false, sample });
const cut = (keep: readonly number[], strength = 1, basis: Cut['basis'] = 'svd'): Cut => ({ basis, keep, strength });
const lossOf = async (c: Cut) => (await explorer.evaluate(c))!.loss;

/** Mean loss of an adapter file attached as `lowrank eval` attaches it. */
async function lossOfFiles(files: Parameters<typeof readPeft>[0] | null): Promise<number> {
  const attachment = attachFiles(device, loaded.network, files ? [await readPeft(files)] : []);
  const evaluator = await Evaluator.create(device, loaded, attachment.adapters, SHAPE);
  const { loss } = await evaluator.mean(batches);
  evaluator.dispose();
  detach(device, attachment);
  return loss;
}
async function converted(...args: string[]): Promise<number> {
  const out = join(work, args.join(''));
  vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  await convert(['--adapter', join(work, 'adapter'), '--to', 'peft', '--out', out, ...args]);
  vi.restoreAllMocks();
  return lossOfFiles(await folderSources(out));
}
function exported(c: Cut): Promise<number> {
  const { files } = writePeft({ modules: explorer.modulesOf(c), baseModel: 'tiny', taskType: 'CAUSAL_LM' });
  return lossOfFiles(new Map(files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])));
}

test.each([1, 2, 3, 4, 9])('rank %i: the loss of `convert --rank` followed by eval, to 1e-5', async (rank) => {
  const want = await converted('--rank', String(rank));
  expect(Math.abs((await lossOf(cut(explorer.card.modules.map(({ sigma }) => keepRank(sigma, rank))))) - want)).toBeLessThan(1e-5);
});

test.each([0.5, 0.9, 1])('energy %d: the loss of `convert --energy` followed by eval, to 1e-5', async (share) => {
  const want = await converted('--energy', String(share));
  expect(Math.abs((await lossOf(cut(explorer.card.modules.map(({ sigma }) => keepEnergy(sigma, share))))) - want)).toBeLessThan(1e-5);
});

test('the cuts differ by far more than that: the comparison can fail', async () => {
  const losses = [];
  for (const rank of [0, 1, 2, 3, 4, 6]) losses.push(await lossOf(cut(RANKS.map((r) => Math.min(r, rank)))));
  for (let i = 1; i < losses.length; i++) expect(Math.abs(losses[i]! - losses[i - 1]!)).toBeGreaterThan(1e-3);
});

test('nothing kept and strength 0 are the base model; the whole is the file as it was trained', async () => {
  const base = await lossOfFiles(null);
  expect(Math.abs((await lossOf(cut([0, 0, 0, 0]))) - base)).toBeLessThan(1e-6);
  expect(Math.abs((await lossOf(cut(RANKS, 0))) - base)).toBeLessThan(1e-6);
  const whole = await lossOfFiles(await folderSources(join(work, 'adapter')));
  for (const basis of ['svd', 'trained'] as const) expect(Math.abs((await lossOf(cut(RANKS, 1, basis))) - whole)).toBeLessThan(1e-5);
});

test.each([
  cut([6, 4, 5, 1], -1), cut([6, 4, 5, 1], 2), cut([3, 0, 5, 1], 0.5), cut([2, 4, 0, 0], 1.5), cut([3, 1, 2, 1], 1, 'trained'), cut([0, 4, 0, 1], -0.75, 'trained'),
])('what is exported is what was measured: $basis $keep at $strength', async (c) => {
  expect(Math.abs((await lossOf(c)) - (await exported(c)))).toBeLessThan(1e-5);
});

test('trained ranks go by their gates where there are any, else by their size', async () => {
  const [gated, plain] = [explorer.card.modules[0]!, explorer.card.modules[1]!];
  expect([...gated.gates!].map((g) => Number(g.toFixed(6)))).toEqual([3, 2, 1, 0.4, 0.2, 0.1]);
  expect(plain.gates).toBeUndefined();
  expect([...plain.sizes]).toEqual([...plain.sizes].sort((a, b) => b - a));
  // The one rank that stays is the one with the largest gate, number 1 of the factors.
  const { A, inn } = modules[0]!.module;
  expect([...explorer.modulesOf(cut([1, 0, 0, 0], 1, 'trained'))[0]!.A]).toEqual([...A.slice(inn, 2 * inn)]);
});

test('a look allocates nothing and compiles nothing', async () => {
  await lossOf(cut(RANKS));
  const [bytes, peak, pipelines] = [device.bytes, device.peakBytes, device.pipelineCount];
  const createBuffer = vi.spyOn(device.gpu, 'createBuffer');
  const createBindGroup = vi.spyOn(device.gpu, 'createBindGroup');
  for (const basis of ['svd', 'trained'] as const) for (let k = 0; k <= 6; k++) await lossOf(cut(RANKS.map((r) => Math.min(r, k)), 1, basis));
  expect([device.bytes, device.peakBytes, device.pipelineCount]).toEqual([bytes, peak, pipelines]);
  // Reading back takes a staging buffer of a few bytes; nothing else is made.
  expect(createBuffer.mock.calls.every(([{ usage }]) => (usage & GPUBufferUsage.MAP_READ) !== 0)).toBe(true);
  expect(createBindGroup).not.toHaveBeenCalled();
  vi.restoreAllMocks();
});

test('a newer look takes the place of an older one', async () => {
  const cuts = [cut([1, 1, 1, 1]), cut([2, 2, 2, 1]), cut([3, 3, 3, 1])];
  const results = await Promise.all(cuts.map((c) => explorer.evaluate(c)));
  expect(results.slice(0, 2)).toEqual([null, null]);
  expect(results[2]!.loss).toBe(await lossOf(cuts[2]!));
});

test('rows: their own means, weighed by their tokens, are the loss; each is named by its words', async () => {
  const { loss, rows } = (await explorer.evaluate(cut([2, 2, 2, 1])))!;
  const tokens = batches.flatMap(({ labels }) => [0, 1].map((row) => labels.subarray(row * SHAPE[1] + 1, (row + 1) * SHAPE[1]).filter((label) => label >= 0).length));
  expect(rows.length).toBe(4);
  expect(explorer.card.tokens).toBe(tokens.reduce((a, b) => a + b));
  expect(rows.reduce((sum, row, i) => sum + row * tokens[i]!, 0) / explorer.card.tokens).toBeCloseTo(loss, 5);
  expect(explorer.card.rows.length).toBe(4);
  expect(explorer.card.rows.every((text) => text.length >= 4)).toBe(true);
});

test('importance is the rise without each module; other looks go between, and it can be ended', async () => {
  const whole = await lossOf(cut(RANKS));
  const asked = explorer.importance();
  const between = await lossOf(cut([1, 1, 1, 1]));
  const rises = (await asked)!;
  for (let m = 0; m < RANKS.length; m++) expect(rises[m]).toBeCloseTo((await lossOf(cut(RANKS.map((r, i) => (i === m ? 0 : r))))) - whole, 6);
  expect(between).toBe(await lossOf(cut([1, 1, 1, 1])));
  const ended = explorer.importance();
  explorer.cancel();
  expect(await ended).toBeNull();
});

test('texts: without, whole and cut; the whole kept is the whole, nothing kept is the base', async () => {
  const all = (await explorer.textsOf(cut(RANKS), 'abc'))!;
  expect(all.cut).toEqual(all.whole);
  expect(all.whole).not.toEqual(all.off);
  expect((await explorer.textsOf(cut([0, 0, 0, 0]), 'abc'))!.cut).toEqual(all.off);
  const [older, newer] = await Promise.all([explorer.textsOf(cut(RANKS), 'xyz'), explorer.textsOf(cut([1, 0, 0, 0]), 'xyz')]);
  expect(older).toBeNull();
  expect(newer!.cut.length).toBe(sample.maxTokens);
});

test('a module closely: sampled entries of ΔW, ‖W‖, and the singular values of W', async () => {
  const { left, right, rows, columns, weightNorm } = await explorer.detail(2);
  const { module } = modules[2]!;
  expect([rows, columns]).toEqual([16, 32]);
  const { sigma } = explorer.card.modules[2]!;
  for (const [i, j] of [[0, 0], [7, 19], [15, 31]] as const) {
    let [want, got] = [0, 0];
    for (let k = 0; k < module.rank; k++) {
      want += module.scale * module.B[i * module.rank + k]! * module.A[k * module.inn + j]!;
      got += left[i * module.rank + k]! * sigma[k]! * right[k * columns + j]!;
    }
    expect(got).toBeCloseTo(want, 5);
  }
  const weights = await readF32(device, loaded.network.sites.get(NAMES[2]!)!.weight);
  expect(weightNorm).toBeCloseTo(Math.hypot(...weights), 4);
  const values = await explorer.weights(2);
  singularValues(weights, 16, 32).forEach((x, i) => expect(values[i]).toBeCloseTo(x, 5));
});

test('wrong cuts are refused; closing frees everything and ends what waits', async () => {
  expect(() => explorer.evaluate(cut([7, 0, 0, 0]))).toThrow(/q_proj cannot keep 7/);
  expect(() => explorer.evaluate(cut([1]))).toThrow(/1 numbers for 4 modules/);
  expect(() => explorer.modulesOf(cut([0, 0, 0, 0]))).toThrow(/nothing is left/);
  const before = device.bytes;
  const other = await open();
  expect(other.card.bytes).toBe(device.bytes - before);
  const waiting = [other.evaluate(cut(RANKS)), other.importance()];
  await other.dispose();
  expect(await Promise.all(waiting)).toEqual([null, null]);
  expect(device.bytes).toBe(before);
  await expect(open([])).rejects.toThrow(/no module with a rank above 0/);
  expect(device.bytes).toBe(before);
});
