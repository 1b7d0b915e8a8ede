// MoS against its specification: how lists are drawn, how vectors are built from shards, what a shard reaches, and where it is LoRA.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { testDevice } from '../engine/testing/device';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { exportValues } from '../training/export';
import type { ConfigError } from '../util/errors';
import { mos, picks } from './mos';
import { share } from './testing/logits';
import { normals } from './testing/random';
import { type RunSetup, createRun, edited, numbersOf, startOf, trained } from './testing/runs';
import { LLAMA, loadTiny } from './testing/tiny';

const LAYERS = 4;
const q = (layer: number) => `model.layers.${layer}.self_attn.q_proj`;
const SIDE = 32;

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device, { ...LLAMA, num_hidden_layers: LAYERS });
});
afterAll(() => freeWeights(device, loaded));

type Settings = Record<string, number | boolean | string>;
const [E, P, L_, R] = [2, 1, 4, 4];
const setup = (fields: Settings = {}, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'mos', targets: 'q_proj', ...more, fields: { equivalentRank: E, privateRank: P, shards: L_, rank: R, ...fields } });
/** Pools away from zero. */
const generic = (at: RunSetup) => startOf(at, (name, was) => (name.endsWith('pool_B') ? normals(was.length, name, 0.3) : was));
const POOL = 'param.mos.q_proj.32x32';
/** A of each layer, as it is exported. */
async function built(at: RunSetup, resume: Uint8Array) {
  const { run } = await createRun({ ...at, resume });
  const all = (await exportValues(device, run.attachment)).map(({ site, values }) => run.attachment.adapters.get(site.name)!.lora!(values));
  run.dispose();
  return all;
}

test('lists: public picks without repeats, apart for A and B; private shards of each layer its own, all used', async () => {
  const numbers = await numbersOf(await startOf(setup(), (_, was) => was));
  const open = (E - P) * LAYERS * L_;
  const own = new Set<number>();
  for (let k = 0; k < LAYERS; k++) {
    const [a, b] = ['A', 'B'].map((which) => [...numbers.get(`param.${q(k)}.index_${which}`)!]) as [number[], number[]];
    for (const list of [a, b]) {
      expect(list).toHaveLength(R * L_);
      expect(new Set(list).size).toBe(R * L_);
      expect(list.slice(0, (R - P) * L_).every((id) => id < open)).toBe(true);
      expect(list.slice((R - P) * L_)).toEqual(Array.from({ length: P * L_ }, (_, i) => open + k * P * L_ + i));
    }
    for (const id of a.slice((R - P) * L_)) own.add(id);
    expect(a).not.toEqual(b);
    if (k > 0) expect(a.slice(0, L_)).not.toEqual([...numbers.get(`param.${q(0)}.index_A`)!].slice(0, L_));
  }
  expect([...own].sort((x, y) => x - y)).toEqual(Array.from({ length: E * LAYERS * L_ - open }, (_, i) => open + i));
  // Differences that can be switched off.
  const same = await numbersOf(await startOf(setup({ ownPicks: false, apart: false }), (_, was) => was));
  expect([...same.get(`param.${q(1)}.index_A`)!].slice(0, 12)).toEqual([...same.get(`param.${q(0)}.index_A`)!].slice(0, 12));
  expect(same.get(`param.${q(1)}.index_B`)).toEqual(same.get(`param.${q(1)}.index_A`));
  // Lists of a seed of their own do not follow the run's.
  const listOf = async (seed: number) => (await numbersOf(await startOf(setup({ indexSeed: 5 }, { training: { seed } }), (_, was) => was))).get(`param.${q(0)}.index_A`);
  expect(await listOf(1)).toEqual(await listOf(2));
  expect([...picks({ equivalentRank: 2, privateRank: 2, rank: 2, shards: 2 }, { layers: 3, at: 1, rank: 2 }, () => new Uint32Array())]).toEqual([4, 5, 6, 7]);
});

test('row j, piece i of A is the listed shard, in its place; a public row reaches the layers that list it, a private one its own', async () => {
  const at = setup();
  const start = await generic(at);
  const numbers = await numbersOf(start);
  const pool = numbers.get(`${POOL}.pool_A`)!;
  const width = SIDE / L_;
  const factors = await built(at, start);
  factors.forEach(({ A, rank, scale }, k) => {
    expect([rank, scale]).toEqual([R, 16 / R]);
    const ids = numbers.get(`param.${q(k)}.index_A`)!;
    for (let j = 0; j < R; j++) for (let i = 0; i < L_; i++) {
      expect(A.subarray(j * SIDE + i * width, j * SIDE + (i + 1) * width)).toEqual(pool.subarray(ids[j * L_ + i]! * width, (ids[j * L_ + i]! + 1) * width));
    }
  });
  const lists = Array.from({ length: LAYERS }, (_, k) => new Set(numbers.get(`param.${q(k)}.index_A`)!));
  const privateRow = (E - P) * LAYERS * L_ + 2 * P * L_;
  for (const row of [0, 3, privateRow]) {
    const moved = await built(at, await edited(start, (name, was) => (name === `${POOL}.pool_A` ? was.map((x, i) => (Math.floor(i / width) === row ? x + 1 : x)) : was)));
    expect(moved.map(({ A }, k) => share(A, factors[k]!.A) > 0), `row ${row}`).toEqual(lists.map((list) => list.has(row)));
    if (row === privateRow) expect(lists.map((list) => list.has(row))).toEqual([false, false, true, false]);
  }
});

test('a pool’s gradient is the sum of its layers’, each where its list says; lists stand still; rows that no list names get none', async () => {
  const at = setup({}, { training: { steps: 1 } });
  const start = await generic(at);
  const after = () => trained({ ...at, resume: start }, ({ checkpoint }) => numbersOf(checkpoint));
  const numbers = await after();
  expect(await after()).toEqual(numbers);
  // The same layers with factors of their own: LoRA from what MoS built. First moments are a tenth of the gradients.
  const factors = await built(at, start);
  const lora: RunSetup = { device, loaded, slug: 'lora', targets: 'q_proj', fields: { rank: R, alpha: 16 }, training: { steps: 1 } };
  const own = await startOf(lora, (name) => factors[Number(/layers\.(\d)/.exec(name)![1])]![name.endsWith('lora_A') ? 'A' : 'B']);
  const theirs = await trained({ ...lora, resume: own }, ({ checkpoint }) => numbersOf(checkpoint));
  const width = SIDE / L_;
  for (const part of ['A', 'B'] as const) {
    const pool = numbers.get(`adam.m.mos.q_proj.32x32.pool_${part}`)!;
    const want = new Float64Array(pool.length);
    const named = new Set<number>();
    for (let k = 0; k < LAYERS; k++) {
      const ids = numbers.get(`param.${q(k)}.index_${part}`)!;
      const g = theirs.get(`adam.m.${q(k)}.lora_${part}`)!;
      ids.forEach((id, slot) => {
        named.add(id);
        for (let c = 0; c < width; c++) {
          const [j, i] = [Math.floor(slot / L_), (slot % L_) * width + c];
          want[id * width + c]! += part === 'A' ? g[j * SIDE + i]! : g[i * R + j]!;
        }
      });
      expect(ids).toEqual((await numbersOf(start)).get(`param.${q(k)}.index_${part}`));
    }
    expect(share(pool, want), part).toBeLessThan(1e-6);
    for (let row = 0; row < pool.length / width; row++) if (!named.has(row)) expect(pool.subarray(row * width, (row + 1) * width).every((x) => x === 0)).toBe(true);
  }
});

test('with everything private it is LoRA of the same start', async () => {
  const training = { steps: 4, weightDecay: 0.05 };
  const at = setup({ equivalentRank: 3, privateRank: 3, rank: 3 }, { training });
  const start = await startOf(at, (_, was) => was);
  const factors = await built(at, start);
  const lora: RunSetup = { device, loaded, slug: 'lora', targets: 'q_proj', fields: { rank: 3, alpha: 16 }, training };
  const own = await startOf(lora, (name) => factors[Number(/layers\.(\d)/.exec(name)![1])]![name.endsWith('lora_A') ? 'A' : 'B']);
  const end = (from: RunSetup) => trained(from, async ({ series, run }) => ({
    series, factors: (await exportValues(device, run.attachment)).map(({ site, values }) => run.attachment.adapters.get(site.name)!.lora!(values)),
  }));
  const [one, other] = [await end({ ...at, resume: start }), await end({ ...lora, resume: own })];
  for (const name of ['loss', 'grad_norm']) one.series[name]!.forEach((x, i) => expect(Math.abs(x / other.series[name]![i]! - 1), `${name}, step ${i + 1}`).toBeLessThan(1e-6));
  one.factors.forEach(({ A, B, scale }, k) => {
    expect(scale).toBe(other.factors[k]!.scale);
    expect(Math.max(share(A, other.factors[k]!.A), share(B, other.factors[k]!.B)), q(k)).toBeLessThan(1e-6);
    expect(B).not.toEqual(factors[k]!.B);
  });
});

test('A starts within ±1 / √in of the whole row, B at zero; parameters are those of a LoRA of rank e', async () => {
  const numbers = await numbersOf(await startOf(setup(), (_, was) => was));
  const largest = Math.max(...numbers.get(`${POOL}.pool_A`)!.map(Math.abs));
  expect(largest).toBeLessThanOrEqual(1 / Math.sqrt(SIDE));
  expect(largest).toBeGreaterThan(0.97 / Math.sqrt(SIDE));
  expect(numbers.get(`${POOL}.pool_B`)!.every((x) => x === 0)).toBe(true);
  // The shapes of LLaMA-2-7B at e = 2.
  const sites = Array.from({ length: 32 }, () => [[4096, 4096], [4096, 4096], [4096, 4096], [4096, 4096], [11008, 4096], [11008, 4096], [4096, 11008]]).flat().map((shape) => ({ shape }));
  expect(mos.shared!(sites as never, { equivalentRank: 2 } as never)).toBe(4_997_120);
});

test.each([
  [{ rank: 6 }, 'rank: 6 does not fit 4 layers of q_proj.32x32 at equivalent rank 2 and private rank 1', 'Give a value from 2 to 5, or 0.'],
  [{ rank: 1 }, 'rank: 1 does not fit 4 layers of q_proj.32x32 at equivalent rank 2 and private rank 1', 'Give a value from 2 to 5, or 0.'],
  [{ privateRank: 2, rank: 3 }, 'rank: 3 does not fit 4 layers of q_proj.32x32 at equivalent rank 2 and private rank 2', 'Give 2 (all is private, so that is LoRA), or 0.'],
  [{ equivalentRank: 16, rank: 40 }, 'rank: 40 does not fit 4 layers of q_proj.32x32 at equivalent rank 16 and private rank 1', 'Give a value from 16 to 32, or 0.'],
  [{ equivalentRank: 33, rank: 0 }, 'equivalentRank: 33 is above the rank that model.layers.0.self_attn.q_proj [32, 32] can have', 'Give a value from 1 to 32, or leave that layer out of the targets.'],
  [{ privateRank: 3 }, 'privateRank: 3 is above the equivalent rank, 2', 'Give a value from 0 to 2.'],
  [{ shards: 5 }, 'shards: 5 does not divide the sides of model.layers.0.self_attn.q_proj [32, 32]', 'Give one of 1, 2, 4, 8, 16, 32, or leave that layer out of the targets.'],
])('%j is refused', async (fields, message, hint) => {
  expect(await createRun(setup(fields)).then(() => null, (error: ConfigError) => [error.name, error.message, error.hint])).toEqual(['ConfigError', message, hint]);
});

test('rank 0 takes eight, or what the layers allow', async () => {
  const rankOf = async (fields: Settings) => (await built(setup({ rank: 0, ...fields }), await startOf(setup({ rank: 0, ...fields }), (_, was) => was)))[0]!.rank;
  expect([await rankOf({}), await rankOf({ equivalentRank: 4 }), await rankOf({ equivalentRank: 30 })]).toEqual([5, 8, 30]);
});
