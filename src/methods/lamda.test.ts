// LaMDA against its specification: starts from the spectrum, what is frozen when, and the ranks of LaMDA++.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { singularValues } from '../engine/linalg/host/svd';
import { readsOf, writesOf } from '../engine/tensor/graph';
import { readF32, write } from '../engine/tensor/memory';
import { testDevice } from '../engine/testing/device';
import { attach } from '../training/attach';
import { bind } from '../training/contract';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { recordTraining } from '../training/step';
import type { ConfigError } from '../util/errors';
import { frozenColumns, lamda, ranksFor } from './lamda';
import { methodFor } from './registry';
import { checks } from './testing/conformance';
import { share } from './testing/logits';
import { type RunSetup, createRun, numbersOf, plain, startOf, trained } from './testing/runs';
import { LLAMA, loadTiny } from './testing/tiny';

const RANK = 4;
const Q0 = 'model.layers.0.self_attn.q_proj';
const SIDE = 32;

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

type Settings = Record<string, number | boolean | string>;
const setup = (fields: Settings = {}, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'lamda', targets: 'q_proj', ...more, fields: { rank: RANK, alpha: 8, ...fields } });
const startNumbers = async (fields: Settings) => numbersOf(await startOf(setup(fields), (_, was) => was));

describe('the start', () => {
  test('spectral: A has orthonormal rows, the core the leading singular values / s, and the layer gives up just what they make', async () => {
    const numbers = await startNumbers({});
    const A = numbers.get(`param.${Q0}.lamda_A`)!;
    for (let i = 0; i < RANK; i++) for (let j = 0; j < RANK; j++) {
      let dot = 0;
      for (let c = 0; c < SIDE; c++) dot += A[i * SIDE + c]! * A[j * SIDE + c]!;
      expect(Math.abs(dot - Number(i === j))).toBeLessThan(1e-5);
    }
    const values = singularValues(await readF32(device, loaded.network.sites.get(Q0)!.weight), SIDE, SIDE);
    const S = numbers.get(`param.${Q0}.lamda_S`)!;
    S.forEach((x, at) => expect(Math.abs(x - (at % (RANK + 1) === 0 ? values[at % RANK]! / 2 : 0))).toBeLessThan(1e-5 * values[0]!));
    const [B, given] = [numbers.get(`param.${Q0}.lamda_B`)!, numbers.get(`param.${Q0}.lamda_start`)!];
    expect(share(given, B.map((x, at) => -x * values[at % RANK]!))).toBeLessThan(1e-5);
  });

  test.each([['spectral-zero', 'lamda_B', 'lamda_S'], ['repo', 'lamda_S', 'lamda_B']])('%s: the first step gives no gradient to one factor and some to the other', async (init, without, with_) => {
    await trained(setup({ init }, { training: { steps: 1 } }), async ({ checkpoint }) => {
      const numbers = await numbersOf(checkpoint);
      expect(numbers.get(`adam.m.${Q0}.${without}`)!.every((x) => x === 0)).toBe(true);
      expect(numbers.get(`adam.m.${Q0}.${with_}`)!.some((x) => x !== 0)).toBe(true);
      expect(numbers.has(`param.${Q0}.lamda_start`)).toBe(false);
    });
  });

  const promised = /^(at the start|apply|merged weights|the exported files)/;
  describe.each([{ init: 'spectral-zero' }, { init: 'repo' }, { plus: true }])('of every kind is the base’s output and leaves as an exact LoRA: %j', (fields) => {
    test.each(Object.entries(checks).filter(([what]) => promised.test(what)))('%s', (_, check) => check(
      { name: 'LaMDA’s tiny Llama', config: LLAMA, changed: /v_proj/, device, loaded, fresh: () => loadTiny(device) },
      { method: lamda as never, fields: { rank: RANK, alpha: 8, ...fields }, start: 'plus' in fields ? 'close' : 'bits' },
    ));
  });
});

test('what a token leaves for the backward pass is r numbers, not the layer’s input', () => {
  const DOWN = 'model.layers.1.mlp.down_proj';
  /** Whether the backward pass reads x [tokens, in], and x Aᵀ [tokens, r]. */
  const kept = (slug: string, fields: Settings) => {
    const bound = bind(methodFor(slug), { rank: RANK, ...fields });
    const attachment = attach(loaded.network, bound, DOWN);
    const { graph } = recordTraining(loaded, bound, attachment, { ...plain, batch: 2, seq: 10 });
    const A = attachment.adapters.get(DOWN)!.params.A!.tensor;
    const down = graph.commands.find((command) => !command.backward && readsOf(command).some((t) => t.id === A.id))!;
    const [x] = readsOf(down).filter((t) => t.id !== A.id);
    const [low] = writesOf(down);
    const read = new Set(graph.commands.filter(({ backward }) => backward).flatMap((command) => readsOf(command).map((t) => t.id)));
    return [read.has(x!.id), read.has(low!.id)];
  };
  expect(kept('lamda', {})).toEqual([false, true]);
  expect(kept('lora', {})).toEqual([true, true]);
});

test('columns freeze one after another, the largest singular value first, and hold bit for bit through momentum and decay; then B’s moments are gone', async () => {
  // Twenty steps, freezing over ten: c = ⌊4 t / 10⌋.
  const steps = 20;
  const saved = new Map<number, Uint8Array>();
  const at = setup({ freezeShare: 0.5 }, { training: { steps, weightDecay: 0.1, saveEvery: 1 }, save: (bytes, step) => { saved.set(step, bytes); } });
  await trained(at, async ({ run, series, checkpoint, events }) => {
    saved.set(steps, checkpoint);
    let before = await startNumbers({ freezeShare: 0.5 });
    for (let step = 1; step <= steps; step++) {
      const now = await numbersOf(saved.get(step)!);
      const c = Math.min(RANK, Math.floor((RANK * (step - 1)) / 10));
      const column = (name: string, from: ReadonlyMap<string, Float32Array>, i: number) => [...(from.get(name) ?? [])].filter((_, index) => index % RANK === i);
      for (let i = 0; i < RANK; i++) {
        const name = `param.${Q0}.lamda_B`;
        expect(JSON.stringify(column(name, now, i)) === JSON.stringify(column(name, before, i)), `step ${step}, column ${i}`).toBe(i < c);
      }
      expect(now.get(`param.${Q0}.lamda_A`)).toEqual(before.get(`param.${Q0}.lamda_A`));
      expect(now.get(`param.${Q0}.lamda_S`)).not.toEqual(before.get(`param.${Q0}.lamda_S`));
      expect(series.open![step - 1], `step ${step}`).toBeCloseTo(1 - c / RANK, 6);
      before = now;
    }
    expect(run.attachment.params.filter((p) => p.trainable).map((p) => p.name.replace(/.*\./, ''))).toEqual(['lamda_S', 'lamda_S']);
    expect([...before.keys()].filter((name) => /^adam.*lamda_B/.test(name))).toEqual([]);
    expect(events.filter((event) => event.kind === 'note' && event.text.startsWith('All columns of B are frozen'))).toHaveLength(1);
  });
  expect([0, 0.25, 0.5, 0.99, 1, 2].map((done) => frozenColumns(16, done))).toEqual([0, 4, 8, 15, 16, 16]);
});

test('a share of 0 never trains B, a share of 1 never stops', async () => {
  const moved = (freezeShare: number) => trained(setup({ freezeShare }, { training: { steps: 3 } }), async ({ checkpoint }) => {
    const [start, now] = [await startNumbers({ freezeShare }), await numbersOf(checkpoint)];
    return now.get(`param.${Q0}.lamda_B`)!.some((x, i) => x !== start.get(`param.${Q0}.lamda_B`)![i]);
  });
  expect([await moved(0), await moved(1)]).toEqual([false, true]);
});

describe('LaMDA++', () => {
  test('ranks add up to the mean, are halves of it, and grow with what lies beyond the leading values', () => {
    for (const [seed, count] of [[1, 14], [2, 42], [3, 5]] as const) {
      const concentration = Array.from({ length: count }, (_, i) => 0.05 + 0.9 * Math.abs(Math.sin(seed * 12.9898 + i * 78.233)));
      const ranks = ranksFor(concentration, 8);
      expect(ranks.reduce((a, b) => a + b)).toBe(8 * count);
      expect(ranks.every((r) => [4, 8, 12, 16].includes(r))).toBe(true);
      expect(new Set(ranks).size).toBeGreaterThan(1);
      for (const [i, a] of concentration.entries()) for (const [j, b] of concentration.entries()) if (a < b) expect(ranks[i]!).toBeGreaterThanOrEqual(ranks[j]!);
    }
    expect(ranksFor([0.3, 0.3, 0.3], 8)).toEqual([8, 8, 8]);
    expect(ranksFor([1, 1], 8)).toEqual([8, 8]);
  });

  test('a run has them by its weights, from the first step to the file, and a resumed one keeps them', async () => {
    // Random weights have one spectrum; here one layer of the model has little beyond its first two values.
    const other = await loadTiny(device, LLAMA, 2);
    const steep = Float32Array.from({ length: SIDE * SIDE }, (_, at) => Math.sin(Math.floor(at / SIDE)) * Math.cos(at % SIDE) + 0.01 * Math.sin(at * at));
    write(device, other.network.sites.get(Q0)!.weight, steep);
    const at = setup({ plus: true }, { loaded: other, targets: '', training: { steps: 4, saveEvery: 2 } });
    const { receipt, ranks } = await trained(at, async ({ run }) => ({
      receipt: (await run.exportPeft('tiny')).receipt,
      ranks: Object.fromEntries(run.attachment.sites.map(({ name }) => [name, run.attachment.adapters.get(name)!.params.S!.tensor.shape[0]!])),
    }));
    expect(receipt.ranks).toEqual(ranks);
    expect(Object.values(ranks).reduce((a, b) => a + b)).toBe(14 * RANK);
    expect(ranks[Q0]).toBe(RANK / 2);
    const energy = await Promise.all(Object.keys(ranks).map(async (name) => {
      const { weight, shape: [out, inn] } = other.network.sites.get(name)!;
      const squares = [...singularValues(await readF32(device, weight), out, inn)].map((x) => x * x);
      const sum = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0);
      return sum(squares.slice(0, RANK)) / sum(squares);
    }));
    expect(Object.values(ranks)).toEqual(ranksFor(energy, RANK));
    expect(new Set(energy.map((e) => e.toFixed(3))).size).toBeGreaterThan(3);
    let half = new Uint8Array();
    await trained({ ...at, save: (bytes, step) => { if (step === 2) half = bytes as Uint8Array<ArrayBuffer>; } }, () => {});
    await trained({ ...at, resume: half }, async ({ run }) => expect((await run.exportPeft('tiny')).receipt.sha256).toBe(receipt.sha256));
    freeWeights(device, other);
  });

  test('an odd mean is refused, and one of which twice is more than a layer has', async () => {
    const refusal = async (fields: Settings) => createRun(setup(fields)).then(() => null, (error: ConfigError) => [error.name, error.message, error.hint]);
    expect(await refusal({ plus: true, rank: 3 })).toEqual(['ConfigError', 'rank: LaMDA++ gives layers halves of the mean rank, and 3 is odd', 'Give 4.']);
    expect(await refusal({ plus: true, rank: 18 })).toEqual(['ConfigError', `rank: LaMDA++ may give a layer twice the mean rank, 36, and ${Q0} [32, 32] has 32`, 'Give an even value from 2 to 16, or leave that layer out of the targets.']);
    expect(await refusal({ rank: 33 })).toEqual(['ConfigError', `rank: 33 is above the rank that ${Q0} [32, 32] can have`, 'Give a value from 1 to 32, or leave that layer out of the targets.']);
  });
});
