// SoRA against its specification: every invariant, and every shortcut that only looks like it. Numbers are read from checkpoints
// of real runs; where a test wants the gradient out of the way it trains on batches without a label, whose gradient is exactly zero.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { scheduleShare } from '../engine/optim/schedule';
import { Graph } from '../engine/tensor/graph';
import { readF32 } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { testDevice } from '../engine/testing/device';
import { readPeft } from '../formats/peft';
import { bytesSource, openSafetensors } from '../formats/safetensors';
import { attachFiles, detach } from '../training/attach';
import type { HeatmapData } from '../training/card';
import { type LoadedModel, freeWeights } from '../training/loaded';
import type { ConfigError } from '../util/errors';
import { sora } from './sora';
import { logitsOf, share } from './testing/logits';
import { normals } from './testing/random';
import { type RunSetup, createRun, numbersOf, randomBatch, sameBytes, startOf, trained, unlabelled } from './testing/runs';
import { loadTiny } from './testing/tiny';

const RANK = 8;
const Q0 = 'model.layers.0.self_attn.q_proj';
const Q1 = 'model.layers.1.self_attn.q_proj';

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

type Settings = Record<string, number | boolean | string>;

/** Two query projections, ξ per step and none unless given. */
const setup = (fields: Settings, more: Partial<RunSetup> = {}): RunSetup => ({
  device, loaded, slug: 'sora', targets: 'q_proj', ...more, fields: { rank: RANK, alpha: 16, xiUnit: 'step', xi: 0, ...fields },
});

/** Starts with these gates in each layer (by the name of its site, or the same in all) and no other factor zero. */
const standing = (at: RunSetup, gates: readonly number[] | ((site: string) => readonly number[]), size = 0.2) =>
  startOf(at, (name, was) => {
    const site = name.slice(0, name.lastIndexOf('.'));
    if (name.endsWith('lora_gate')) return Float32Array.from(typeof gates === 'function' ? gates(site) : gates);
    return name.endsWith('lora_B') ? normals(was.length, name, size) : was;
  });

/** Every gate of a checkpoint. */
const gatesIn = (numbers: ReadonlyMap<string, Float32Array>) => [...numbers].flatMap(([name, values]) => (/^param\..*gate$/.test(name) ? [...values] : []));

/** Gates of the first layer after each step, from 1 on. */
async function gatesByStep(at: RunSetup, gates: readonly number[], steps: number): Promise<number[][]> {
  const each: Promise<Map<string, Float32Array>>[] = [];
  const save = (bytes: Uint8Array) => { each.push(numbersOf(bytes)); };
  await trained({ ...at, training: { ...at.training, steps, saveEvery: 1 }, resume: await standing(at, gates), save }, ({ reason }) => expect(reason).toBe('finished'));
  return (await Promise.all(each)).map((numbers) => [...numbers.get(`param.${Q0}.lora_gate`)!]);
}

const oneStep = async (at: RunSetup, gates: readonly number[]) => (await gatesByStep(at, gates, 1))[0]!;
const close = (got: readonly number[], want: readonly number[], digits = 6) => want.forEach((x, i) => expect(got[i], `rank ${i}`).toBeCloseTo(x, digits));

describe('the start', () => {
  test('B is zero, so the output is the base’s whatever the gates are', async () => {
    const at = setup({});
    const resume = await startOf(at, (name, was) => (name.endsWith('lora_gate') ? normals(was.length, name, 100) : was));
    const { run } = await createRun({ ...at, resume });
    expect(await logitsOf(device, loaded, run.attachment.adapters, randomBatch('a'))).toEqual(await logitsOf(device, loaded, noAdapters, randomBatch('a')));
    run.dispose();
  });

  test('gates are drawn from N(0, 1), or stand at 1', async () => {
    const gatesOf = async (fields: Settings) => {
      const { run } = await createRun(setup({ rank: 16, ...fields }, { targets: '' }));
      const gates = gatesIn(await numbersOf(await run.checkpoint()));
      run.dispose();
      return gates;
    };
    const drawn = await gatesOf({});
    const moment = (power: number) => drawn.reduce((sum, x) => sum + x ** power, 0) / drawn.length;
    // 224 draws: standard errors of mean, variance and fourth moment are 0.067, 0.095 and 0.65; three of them are allowed.
    expect(drawn).toHaveLength(14 * 16);
    expect(Math.abs(moment(1))).toBeLessThan(0.2);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.28);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(1.95);
    expect(new Set(await gatesOf({ gateInit: 'ones' }))).toEqual(new Set([1]));
  });

  test('a dead rank would cost in + out + 1 parameters, in layers that are not square too', () => {
    const config = Object.fromEntries(Object.entries(sora.info.fields).map(([name, field]) => [name, field.default])) as Parameters<typeof sora.trainable>[1];
    expect(sora.trainable([48, 32], { ...config, rank: 8 })).toBe(8 * (48 + 32 + 1));
    expect(sora.trainable([48, 32], { ...config, rank: 7 })).toBe(7 * (48 + 32 + 1));
    expect(sora.trainable([48, 32], { ...config, rank: 8, trainGates: false })).toBe(8 * (48 + 32));
  });
});

describe('the proximal step', () => {
  const gates = [0.15, -0.35, 0.1, -0.1, 0.21, -0.21, 0, 1];

  test('is the soft threshold: T(0.15; 0.1) = 0.05, T(−0.35; 0.1) = −0.25, T(±0.1; 0.1) = 0 exactly', async () => {
    const got = await oneStep(setup({ xi: 0.1 }, { data: unlabelled }), gates);
    close(got, [0.05, -0.25, 0, 0, 0.11, -0.11, 0, 0.9]);
    expect([got[2], got[3], got[6]].every((g) => Math.abs(g!) === 0)).toBe(true);
  });

  test('with the dead zone of the authors’ code: 0.15 → 0, 0.21 → 0.11, and what is exactly ξ survives', async () => {
    const got = await oneStep(setup({ xi: 0.1, deadZone: true }, { data: unlabelled }), gates);
    close(got, [0, -0.25, 0.1, -0.1, 0.11, -0.11, 0, 0.9]);
    expect(got[0]).toBe(0);
    expect([got[2], got[3]]).toEqual([Math.fround(0.1), Math.fround(-0.1)]);
    // Just below ξ is not ξ.
    expect((await oneStep(setup({ xi: 0.1, deadZone: true }, { data: unlabelled }), [0.0999, 0, 0, 0, 0, 0, 0, 0]))[0]).toBe(0);
  });

  test('without a gradient a gate at g is zero after exactly ⌈|g| / ξ⌉ steps, and stays', async () => {
    // Multiples of 1/64 and ξ = 1/8: every difference is exact in f32.
    const start = [1, 63 / 64, 33 / 64, 1 / 8, 1 / 64, -1 / 2, -41 / 64, 0];
    const after = await gatesByStep(setup({ xi: 1 / 8 }, { data: unlabelled }), start, 10);
    start.forEach((g, rank) => {
      after.forEach((values, i) => expect(Math.abs(values[rank]!), `rank ${rank}, step ${i + 1}`).toBe(Math.max(0, Math.abs(g) - (i + 1) / 8)));
      expect(after.findIndex((values) => values[rank] === 0) + 1, `rank ${rank}`).toBe(Math.max(1, Math.ceil(Math.abs(g) * 8)));
    });
  });

  test('comes after the gradient step, on the gates alone; a closed gate with a gradient opens again', async () => {
    // With β₁ = β₂ = 0 Adam moves every number by its rate against the sign of its gradient.
    const at = setup({ xi: 0.02, gateLr: 2 }, { training: { steps: 1, lr: 0.05, beta1: 0, beta2: 0 } });
    const start = [0, 0, 0.01, -0.01, 0.5, -0.5, 0.11, -0.11];
    const resume = await standing(at, start);
    const [before, after] = [await numbersOf(resume), await trained({ ...at, resume }, ({ checkpoint }) => numbersOf(checkpoint))];
    const threshold = (v: number) => Math.sign(v) * Math.max(Math.abs(v) - 0.02, 0);
    let largest = 0;
    for (const site of [Q0, Q1]) {
      const slope = after.get(`adam.m.${site}.lora_gate`)!;
      // Adam's ε = 1e-8 shortens a step by ε / |gradient|: below 1e-4 of it here.
      expect(slope.every((g) => Math.abs(g) > 1e-4)).toBe(true);
      close([...after.get(`param.${site}.lora_gate`)!], start.map((g, i) => threshold(g - 0.1 * Math.sign(slope[i]!))), 4);
      largest = Math.max(largest, ...slope.map(Math.abs));
      for (const part of ['lora_A', 'lora_B']) {
        const [was, is, m] = [before.get(`param.${site}.${part}`)!, after.get(`param.${site}.${part}`)!, after.get(`adam.m.${site}.${part}`)!];
        m.forEach((g, i) => { if (Math.abs(g) > 1e-4) expect(is[i]! - was[i]!, `${part}[${i}]`).toBeCloseTo(-0.05 * Math.sign(g), 4); });
      }
    }
    // The two gates that stood at zero have left it.
    const revived = after.get(`param.${Q0}.lora_gate`)!.slice(0, 2);
    expect(revived.every((g) => Math.abs(Math.abs(g) - 0.08) < 1e-4)).toBe(true);
  });

  test('does not decay: with no gradient and ξ = 0 a gate does not move, while A and B decay', async () => {
    const at = setup({}, { data: unlabelled, training: { steps: 3, lr: 0.1, weightDecay: 0.5 } });
    const resume = await standing(at, [1, -1, 0.3, -0.3, 2, -2, 1e-3, 0]);
    const [before, after] = [await numbersOf(resume), await trained({ ...at, resume }, ({ checkpoint }) => numbersOf(checkpoint))];
    expect(after.get(`param.${Q0}.lora_gate`)).toEqual(before.get(`param.${Q0}.lora_gate`));
    for (const part of ['lora_A', 'lora_B']) {
      const [was, is] = [before.get(`param.${Q0}.${part}`)!, after.get(`param.${Q0}.${part}`)!];
      expect(share(is, was.map((x) => x * 0.95 ** 3))).toBeLessThan(1e-6);
    }
  });
});

describe('ξ over a run', () => {
  const linear = { steps: 5, schedule: 'linear', warmup: 2 } as const;
  const shares = Array.from({ length: 5 }, (_, i) => scheduleShare('linear', i + 1, 5, 2));

  test('is constant, or follows the learning rate', async () => {
    await trained(setup({ xi: 0.1 }, { data: unlabelled, training: linear }), ({ series }) => close(series.xi!, shares.map(() => 0.1)));
    const at = setup({ xi: 0.1, xiRule: 'lr' }, { data: unlabelled, training: linear });
    const after = await gatesByStep(at, Array<number>(RANK).fill(1), 5);
    const falling = shares.map((_, i) => 1 - 0.1 * shares.slice(0, i + 1).reduce((a, b) => a + b, 0));
    close(after.map((gates) => gates[0]!), falling);
    await trained(at, ({ series }) => close(series.xi!, shares.map((s) => 0.1 * s)));
  });

  test('given for 8,000 steps, it and the gates’ learning rate are stretched to the length of the run', async () => {
    await trained(setup({ xi: 1e-5, xiUnit: 'run' }, { data: unlabelled, training: { steps: 250 } }), ({ series }) => close(series.xi!, Array<number>(250).fill(3.2e-4)));
    // A run under 200 steps is stretched no further: 40 times.
    const training = { steps: 4, lr: 5e-4, beta1: 0, beta2: 0 };
    await trained(setup({ xi: 5e-4, xiUnit: 'run' }, { data: unlabelled, training }), ({ series }) => close(series.xi!, [0.02, 0.02, 0.02, 0.02]));
    const at = setup({ xi: 0, xiUnit: 'run' }, { training });
    const [first] = await gatesByStep(at, Array<number>(RANK).fill(1), 4);
    for (const gate of first!) expect(Math.abs(Math.abs(gate - 1) - 0.02)).toBeLessThan(1e-5);
  });

  const staged: Settings = { stages: 3, xi: 0.01, xiMax: 0.04, stageSteps: 3 };

  test('stages raise it, start the learning rate’s schedule again, and go on from the gates of the stage before', async () => {
    const at = setup(staged, { data: { ...unlabelled, validation: () => [randomBatch('held out')] }, training: { ...linear, weightDecay: 1 } });
    const resume = await standing(at, Array<number>(RANK).fill(1));
    const before = await numbersOf(resume);
    await trained({ ...at, resume }, async ({ run, series, events, checkpoint }) => {
      expect(run.totalSteps).toBe(11);
      const restart = [1, 2, 3].map((step) => scheduleShare('linear', step, 3, 2));
      close(series.lr!, [...shares, ...restart, ...restart].map((s) => 1e-2 * s), 9);
      const xi = [...Array<number>(5).fill(0.01), ...Array<number>(3).fill(0.025), ...Array<number>(3).fill(0.04)];
      close(series.xi!, xi);
      expect(events.flatMap((event) => (event.kind === 'phase' ? [[event.from, event.steps]] : []))).toEqual([[0, 5], [5, 3], [8, 3]]);
      // The curve of quality against sparsity: one evaluation at the start, and one at the end of each stage.
      expect(events.flatMap((event) => (event.kind === 'eval' ? [event.step] : []))).toEqual([0, 5, 8, 11]);
      const after = await numbersOf(checkpoint);
      expect(after.get(`param.${Q0}.lora_gate`)![0]).toBeCloseTo(1 - xi.reduce((a, b) => a + b, 0), 5);
      // The rate that was used, by what decays with it: eleven factors, each rounded once or twice.
      const decayed = series.lr!.reduce((left, lr) => left * (1 - lr), 1);
      expect(share(after.get(`param.${Q0}.lora_A`)!, before.get(`param.${Q0}.lora_A`)!.map((x) => x * decayed))).toBeLessThan(3e-6);
    });
    await trained(setup({ ...staged, xiSpacing: 'log' }, { data: unlabelled, training: linear }), ({ series }) => close([series.xi![0]!, series.xi![5]!, series.xi![8]!], [0.01, 0.02, 0.04]));
  });

  test.each([
    [{ stages: 2, xi: 0.02, xiMax: 0.02 }, 'xiMax: the thresholds of 2 stages rise from ξ, 0.02, and 0.02 is not above it', 'Give a value above 0.02, at most 1, or a single stage.'],
    [{ stages: 2, xi: 0, xiSpacing: 'log' }, 'xi: thresholds that rise by equal factors cannot begin at 0', 'Give a value above 0 and below 0.0007, or space them evenly.'],
    [{ rank: 33 }, `rank: 33 is above the rank that ${Q0} [32, 32] can have`, 'Give a value from 1 to 32, or leave that layer out of the targets.'],
  ])('%j is refused', async (fields, message, hint) => {
    expect(await createRun(setup(fields)).then(() => null, (error: ConfigError) => [error.name, error.message, error.hint])).toEqual(['ConfigError', message, hint]);
  });

  test('a single stage asks nothing of what later ones would use', async () => {
    (await createRun(setup({ xi: 0.02, xiMax: 0 }))).run.dispose();
  });

  test('a run resumed in the middle of a stage goes on bit for bit', async () => {
    const saved = new Map<number, Uint8Array>();
    const at = setup({ ...staged, dropout: 0.2 }, { training: { ...linear, saveEvery: 7 } });
    const whole = await trained({ ...at, save: (bytes, step) => { saved.set(step, bytes); } }, ({ checkpoint, series }) => ({ checkpoint, series }));
    const rest = await trained({ ...at, resume: saved.get(7)! }, ({ checkpoint, series }) => ({ checkpoint, series }));
    expect(sameBytes(rest.checkpoint, whole.checkpoint)).toBe(true);
    expect(rest.series.xi).toEqual(whole.series.xi!.slice(7));
    expect(rest.series.lr).toEqual(whole.series.lr!.slice(7));
  });

  test('a larger ξ keeps no more ranks: five seeds of twelve steps each, in every one', async () => {
    for (const seed of [1, 2, 3, 4, 5]) {
      const kept: number[] = [];
      for (const xi of [0, 0.02, 0.06]) await trained(setup({ xi }, { targets: 'v_proj|o_proj', training: { steps: 12, seed } }), ({ series }) => { kept.push(series.ranks!.at(-1)!); });
      expect(kept[0], `seed ${seed}`).toBe(4 * RANK);
      expect(kept[1]!, `seed ${seed}`).toBeLessThan(kept[0]!);
      expect(kept[2]!, `seed ${seed}`).toBeLessThan(kept[1]!);
    }
  });
});

describe('training', () => {
  test('with ξ = 0 and the gates held at 1 it is LoRA, bit for bit', async () => {
    const training = { steps: 6, schedule: 'cosine', warmup: 2, weightDecay: 0.05, clip: 0.5 } as const;
    const fields = { rank: RANK, alpha: 16, dropout: 0.2 };
    const left = (more: RunSetup) => trained(more, async ({ run, checkpoint, series }) => ({ numbers: await numbersOf(checkpoint), series, files: (await run.exportPeft('tiny')).folder.files.map((file) => file.bytes) }));
    const [gated, lora] = [
      await left(setup({ ...fields, gateInit: 'ones', trainGates: false }, { targets: '', training })),
      await left({ device, loaded, slug: 'lora', fields, training }),
    ];
    for (const [name, numbers] of lora.numbers) expect(gated.numbers.get(name), name).toEqual(numbers);
    expect([gated.series.loss, gated.series.grad_norm]).toEqual([lora.series.loss, lora.series.grad_norm]);
    expect(gated.files.every((bytes, i) => sameBytes(bytes, lora.files[i]!))).toBe(true);
  });

  test('a closed rank has no gradient at all in A and B, yet one in its gate', async () => {
    const at = setup({ xi: 0.001 }, { training: { steps: 1 } });
    const start = [0, 1, 0, -1, 0.5, 0, 1, 0];
    const after = await trained({ ...at, resume: await standing(at, start) }, ({ checkpoint }) => numbersOf(checkpoint));
    for (const site of [Q0, Q1]) {
      const [A, B, gate] = ['lora_A', 'lora_B', 'lora_gate'].map((part) => after.get(`adam.m.${site}.${part}`)!) as [Float32Array, Float32Array, Float32Array];
      start.forEach((g, rank) => {
        const row = A.subarray(32 * rank, 32 * (rank + 1));
        const column = B.filter((_, i) => i % RANK === rank);
        expect(row.every((x) => x === 0), `A, rank ${rank}`).toBe(g === 0);
        expect(column.every((x) => x === 0), `B, rank ${rank}`).toBe(g === 0);
        expect(gate[rank]).not.toBe(0);
      });
    }
  });

  test('zeros are exact in the middle of a run, and the reported count is theirs', async () => {
    const saved: Uint8Array[] = [];
    await trained(setup({ xi: 0.05 }, { training: { steps: 8, saveEvery: 4 }, save: (bytes) => { saved.push(bytes); } }), async ({ series }) => {
      const counts = await Promise.all(saved.map(async (bytes) => gatesIn(await numbersOf(bytes)).filter((g) => g !== 0).length));
      expect(counts[0]).toBeLessThan(2 * RANK);
      expect(counts[0]).toBeGreaterThan(0);
      expect(counts).toEqual([series.ranks![3], series.ranks![7]]);
    });
  });

  test('the l1 term adds λ / (number of gates) · sign(g) to the gates’ gradient, and stays out of the reported loss', async () => {
    const lambda = 0.7;
    const start = [0.5, -0.5, 0, 2, -2, 1e-3, -1e-3, 0];
    const at = setup({ lambda }, { data: unlabelled, training: { steps: 1 } });
    await trained({ ...at, resume: await standing(at, start) }, async ({ checkpoint, series }) => {
      const numbers = await numbersOf(checkpoint);
      const each = lambda / (2 * RANK);
      // Adam's first moment is a tenth of the gradient after one step.
      close([...numbers.get(`adam.m.${Q0}.lora_gate`)!], start.map((g) => 0.1 * each * Math.sign(g)), 8);
      expect(series.loss![0]).toBe(0);
      expect(series.grad_norm![0]).toBeCloseTo(each * Math.sqrt(2 * start.filter((g) => g !== 0).length), 6);
    });
    // Off, it adds nothing.
    await trained(setup({}, { data: unlabelled, training: { steps: 1 } }), ({ series }) => expect(series.grad_norm![0]).toBe(0));
  });

  test('a shown map has |g| of every rank, and what closed or came back is told', async () => {
    await trained(setup({ xi: 0.3 }, { data: unlabelled, training: { steps: 2 } }), async ({ events, checkpoint }) => {
      const views = events.flatMap((event) => (event.kind === 'view' && event.id === 'gates' ? [event.data as HeatmapData] : []));
      const last = views.at(-1)!;
      expect([last.rows, last.columns]).toEqual([[Q0, Q1], RANK]);
      const numbers = await numbersOf(checkpoint);
      const now = [Q0, Q1].flatMap((site) => [...numbers.get(`param.${site}.lora_gate`)!]);
      expect([...last.values]).toEqual(now.map(Math.abs));
      // Looks may fall anywhere in the run; together they name every rank that closed.
      const told = events.flatMap((event) => (event.kind === 'note' ? [event.text] : []));
      expect(told.reduce((sum, text) => sum + Number(/^(\d+) ranks? closed: /.exec(text)?.[1]), 0)).toBe(now.filter((g) => g === 0).length);
    });
    const look = (...gate: number[]) => [{ site: loaded.network.sites.get(Q0)!, params: {}, values: { gate: Float32Array.from(gate) } }];
    const told = sora.events!(look(0, 1, 0, 2), look(0.1, 0, 0, 2), {} as Parameters<NonNullable<typeof sora.events>>[2]);
    expect(told).toEqual([`1 rank closed: ${Q0} 1`, `1 rank came back: ${Q0} 0`]);
  });
});

describe('pruning', () => {
  /** Kept ranks by site: 8, 3, 0, 5 and so on, never the first ones. */
  const KEPT = [8, 3, 0, 5, 3, 1];
  const gatesOf = (sites: readonly string[]) => (site: string) => {
    const kept = KEPT[sites.indexOf(site) % KEPT.length]!;
    return Array.from({ length: RANK }, (_, rank) => (rank >= RANK - kept ? (rank % 2 ? 0.7 : -1.3) : 0));
  };

  test('pruned, gated and exported give the same logits; ranks and alphas stand by module, and closed modules are left out', async () => {
    const at = setup({}, { targets: '' });
    const sites = [...loaded.network.sites.values()].filter((site) => site.depth >= 0).map((site) => site.name);
    const { run } = await createRun({ ...at, resume: await standing(at, gatesOf(sites), 0.05) });
    const { folder, receipt } = await run.exportPeft('tiny');
    const batch = randomBatch('pruned');
    const [base, gated] = [await logitsOf(device, loaded, noAdapters, batch), await logitsOf(device, loaded, run.attachment.adapters, batch)];

    const files = new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)]));
    const adapter = await readPeft(files);
    const fresh = attachFiles(device, loaded.network, [adapter]);
    const largest = Math.max(...gated.map(Math.abs));
    expect(share(gated, base)).toBeGreaterThan(0.1);
    // The invariant's own number, of the largest logit: only the place of one multiplication by g differs. (An adapter four times as
    // strong is off by just that on some drivers, for two blocks of f32 carry the rounding on.)
    expect(share(await logitsOf(device, loaded, fresh.adapters, batch), gated)).toBeLessThan(1e-6);
    expect(receipt.maxLogitDifference).toBeLessThan(1e-6 * largest);
    detach(device, fresh);
    run.dispose();

    const ranks = Object.fromEntries(sites.map((site, i) => [site, KEPT[i % KEPT.length]!]));
    const closed = sites.filter((site) => ranks[site] === 0);
    expect(closed.length).toBeGreaterThan(1);
    expect([...receipt.droppedModules].sort()).toEqual([...closed].sort());
    expect(receipt.modules).toBe(sites.length - closed.length);
    const weights = await openSafetensors(files.get('adapter_model.safetensors')!);
    const config = JSON.parse(new TextDecoder().decode(folder.files.find((file) => file.name === 'adapter_config.json')!.bytes)) as { r: number; lora_alpha: number; rank_pattern: Record<string, number>; alpha_pattern: Record<string, number>; target_modules: string[] };
    const lookUp = (pattern: Record<string, number>, name: string, fallback: number) => Object.entries(pattern).find(([key]) => new RegExp(`^(?:.*\\.)?(?:${key})$`).test(name))?.[1] ?? fallback;
    const isTarget = (name: string) => config.target_modules.some((target) => name === target || name.endsWith(`.${target}`));
    for (const site of sites) {
      const rank = ranks[site]!;
      expect(isTarget(site), site).toBe(rank > 0);
      expect(weights.byName.get(`base_model.model.${site}.lora_A.weight`)?.shape[0] ?? 0, site).toBe(rank);
      if (rank === 0) continue;
      expect(lookUp(config.rank_pattern, site, config.r), site).toBe(rank);
      // s = α / r_max for every module: alpha is 16 · rank / 8, never 16.
      expect(lookUp(config.alpha_pattern, site, config.lora_alpha), site).toBe(2 * rank);
    }
    // Three of six, the commonest.
    expect(config.r).toBe(3);
  });

  test('s is α / r_max however many ranks are left: the weight itself', async () => {
    const at = setup({});
    for (const kept of [8, 4, 1]) {
      const gates = Array.from({ length: RANK }, (_, rank) => (rank < kept ? 1.5 : 0));
      const resume = await standing(at, gates);
      const { run } = await createRun({ ...at, resume });
      const numbers = await numbersOf(resume);
      const graph = new Graph();
      const weight = graph.record(() => run.attachment.adapters.get(Q0)!.weight());
      const step = await compile(device, graph, { keep: [weight] });
      step.run();
      const [got, base] = [await step.read(weight), await readF32(device, loaded.network.sites.get(Q0)!.weight)];
      const [A, B] = [numbers.get(`param.${Q0}.lora_A`)!, numbers.get(`param.${Q0}.lora_B`)!];
      const want = base.map((w, index) => {
        const [o, i] = [Math.floor(index / 32), index % 32];
        return w + (16 / RANK) * gates.reduce<number>((sum, g, rank) => sum + B[o * RANK + rank]! * g * A[rank * 32 + i]!, 0);
      });
      // Nine terms of f32.
      expect(share(got, want)).toBeLessThan(1e-6);
      expect(share(want, base)).toBeGreaterThan(0.05);
      step.dispose();
      run.dispose();
    }
  });

  test('with every gate closed there is nothing to export, and it is said', async () => {
    const at = setup({});
    const { run } = await createRun({ ...at, resume: await standing(at, Array<number>(RANK).fill(0)) });
    await expect(run.exportPeft('tiny')).rejects.toThrow('no module has a rank above 0');
    run.dispose();
  });
});
