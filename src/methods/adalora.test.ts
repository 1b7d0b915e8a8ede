// AdaLoRA against the paper and PEFT's allocator: the budget's cubic fall, smoothed sensitivity and uncertainty, which triplets are
// dropped, the regulariser, the files. Numbers are read from checkpoints of real runs.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { layout } from '../engine/tensor/memory';
import { testDevice } from '../engine/testing/device';
import { bytesSource, openSafetensors } from '../formats/safetensors';
import type { Method } from '../training/contract';
import { attachFolder } from '../training/import';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { ConfigError } from '../util/errors';
import { adalora, budgetAt, dropped } from './adalora';
import { goldenRun } from './testing/golden';
import { length, share } from './testing/logits';
import { normals } from './testing/random';
import { type RunSetup, createRun, numbersOf, startOf, trained, unlabelled } from './testing/runs';
import { loadTiny } from './testing/tiny';

const method = adalora as unknown as Method;
const [RANK, TARGET] = [4, 2];
const STEPS = 10;
/** Full budget for two steps, settled for the last three. */
const FIELDS = { rank: RANK, target: TARGET, alpha: 8, tInit: 0.2, tFinal: 0.3, orthogonality: 0 };

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

const setup = (more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, method, targets: 'q_proj|v_proj', ...more, fields: { ...FIELDS, ...more.fields } });
/** E is not zero, so that everything has a gradient. */
const standing = (at: RunSetup) => startOf(at, (name, was) => (name.endsWith('lora_E') ? normals(was.length, name, 0.5) : was.map((x) => 10 * x)));

interface Look {
  /** Numbers by name after each step, from 0 on. */
  readonly at: readonly Map<string, Float32Array>[];
  /** Names of the trained parameters with their place in the arenas. */
  readonly places: readonly { name: string; start: number; size: number }[];
  readonly series: Readonly<Record<string, number[]>>;
}

async function byStep(at: RunSetup): Promise<Look> {
  const resume = await standing(at);
  const each: Promise<Map<string, Float32Array>>[] = [numbersOf(resume)];
  return trained({ ...at, resume, training: { steps: STEPS, saveEvery: 1, lr: 2e-2, ...at.training }, save: (bytes) => { each.push(numbersOf(bytes)); } }, async ({ run, series, reason }) => {
    expect(reason).toBe('finished');
    const params = run.attachment.params.filter((p) => p.trainable);
    const { starts } = layout(params.map((p) => p.tensor));
    return { at: await Promise.all(each), series, places: params.map(({ name, tensor: t }, i) => ({ name, start: starts[i]!, size: t.shape.reduce((a, b) => a * b, 1) })) };
  });
}

/** Scores of all triplets in double precision, from the smoothed numbers of a checkpoint. */
function scoresOf({ places }: Look, numbers: Map<string, Float32Array>): { site: string; scores: number[] }[] {
  const [s, u] = [numbers.get('lasting.sensitivity')!, numbers.get('lasting.uncertainty')!];
  const f = (name: string) => {
    const { start, size } = places.find((p) => p.name === name)!;
    return Array.from({ length: size }, (_, i) => s[start + i]! * u[start + i]!);
  };
  const mean = (all: number[]) => all.reduce((a, b) => a + b, 0) / all.length;
  return places.filter(({ name }) => name.endsWith('lora_E')).map(({ name }) => {
    const site = name.slice(0, -'.lora_E'.length);
    const [a, b, e] = [f(`${site}.lora_A`), f(`${site}.lora_B`), f(name)];
    const inn = a.length / RANK;
    return { site, scores: e.map((own, j) => own + mean(a.slice(j * inn, (j + 1) * inn)) + mean(b.filter((_, i) => i % RANK === j))) };
  });
}
const zeros = (look: Look, t: number) => look.places.flatMap(({ name }) => (name.endsWith('lora_E') ? [...look.at[t]!.get(`param.${name}`)!].map((e) => e === 0) : []));

describe('the budget', () => {
  test('stands, falls with the cube of what is left, and settles: PEFT’s own numbers', () => {
    const c = { rank: 12, target: 8, deltaT: 10 };
    // budget_schedule of PEFT 0.21 for tinit 10, tfinal 30, total 100, ten layers.
    const at = (step: number) => budgetAt(c, step, 10, 70, 10);
    expect([1, 10, 20, 40, 60, 69, 70, 71, 100].map(at)).toEqual([120, 120, 103, 85, 80, 80, 80, 80, 80]);
    const drops = (step: number) => dropped(c, step, 10, 70, 10);
    expect([1, 10, 15, 20, 40, 69, 70, 71, 100].map(drops)).toEqual([0, 0, 0, 17, 35, 0, 40, 40, 40]);
  });

  test('what leaves no room for it is refused, with what would do', () => {
    const check = (fields: object) => () => method.check!([...loaded.network.sites.values()].filter(({ depth }) => depth >= 0), { ...Object.fromEntries(Object.entries(method.info.fields).map(([n, f]) => [n, f.default])), ...fields } as never, { steps: 100 } as never);
    expect(check({})).not.toThrow();
    expect(check({ target: 13 })).toThrow(ConfigError);
    expect(check({ tInit: 0.5, tFinal: 0.5 })).toThrow('leave none in which the budget falls');
    expect(check({ rank: 20 })).toThrow('rank: 20');
  });
});

test('sensitivity and uncertainty are the smoothed |w · gradient| and its distance from it, and stop when the ranks settle', async () => {
  const look = await byStep(setup());
  // The gradient of a step, from Adam's first moment: m' = 0.9 m + 0.1 g.
  const gradient = (name: string, t: number, i: number) => (look.at[t]!.get(`adam.m.${name}`)![i]! - 0.9 * look.at[t - 1]!.get(`adam.m.${name}`)![i]!) / 0.1;
  for (const { name, start, size } of look.places) {
    let worst = 0;
    let largest = 0;
    for (let i = 0; i < size; i++) {
      let [s, u] = [0, 0];
      // Up to the first drop the numbers in the checkpoint are those that were measured.
      for (let t = 1; t <= 2; t++) {
        const now = Math.abs(look.at[t]!.get(`param.${name}`)![i]! * gradient(name, t, i));
        s = 0.85 * s + 0.15 * now;
        u = 0.85 * u + 0.15 * Math.abs(now - s);
      }
      worst = Math.max(worst, Math.abs(look.at[2]!.get('lasting.sensitivity')![start + i]! - s), Math.abs(look.at[2]!.get('lasting.uncertainty')![start + i]! - u));
      largest = Math.max(largest, s);
    }
    // The gradient is a difference of two f32 moments: some ten ε.
    expect(worst / largest, name).toBeLessThan(1e-5);
  }
  for (const kind of ['sensitivity', 'uncertainty']) {
    const of = (t: number) => look.at[t]!.get(`lasting.${kind}`)!.join();
    // Seven steps are measured up to step 6: at step 7, total − tfinal, it has ended.
    expect(of(5)).not.toBe(of(6));
    expect(of(7)).toBe(of(6));
    expect(of(10)).toBe(of(6));
  }
});

/** At how many steps the triplets without a singular value are not those that the scores ask for. */
async function wrongDrops(at: RunSetup): Promise<number> {
  const look = await byStep(at);
  const layers = look.places.length / 3;
  let wrong = 0;
  for (let t = 1; t <= STEPS; t++) {
    const k = dropped({ rank: RANK, target: TARGET, deltaT: 1 }, t, 2, 7, layers);
    const scores = scoresOf(look, look.at[t]!).flatMap((one) => one.scores);
    const want = scores.map((own) => scores.filter((other) => other < own).length < k);
    if (want.join() !== zeros(look, t).join()) wrong++;
  }
  return wrong;
}

test('the triplets of least importance lose their singular value, over all layers at once; the ranks settle at the target', async () => {
  expect(await wrongDrops(setup())).toBe(0);
  const look = await byStep(setup());
  const layers = look.places.length / 3;
  expect(zeros(look, 2).filter(Boolean)).toHaveLength(0);
  expect(zeros(look, STEPS).filter((dropped_) => !dropped_)).toHaveLength(TARGET * layers);
  for (let t = 7; t <= STEPS; t++) expect(zeros(look, t)).toEqual(zeros(look, 7));
  expect(look.series.ranks!.at(-1)).toBe(TARGET * layers);
  expect(look.series.budget).toEqual(Array.from({ length: STEPS }, (_, i) => RANK * layers - budgetAt({ rank: RANK, target: TARGET, deltaT: 1 }, i + 1, 2, 7, layers)));
  // Layers end with different ranks, or the allocation would be no allocation.
  const ranks = look.places.filter(({ name }) => name.endsWith('lora_E')).map(({ name }) => look.at[STEPS]!.get(`param.${name}`)!.filter((e) => e !== 0).length);
  expect(new Set(ranks).size).toBeGreaterThan(1);
});

test('an allocation by other scores would be seen', async () => {
  // Dropped by one triplet fewer, and measured past the settling.
  const fewer: Method = { ...method, beforeStep: (host, config, training) => method.beforeStep!({ ...host, set: (name, v) => host.set(name, name === 'schedule' && typeof v !== 'number' && v[1]! > 0 ? Float32Array.of(v[0]!, v[1]! - 1) : v) }, config, training) };
  expect(await wrongDrops(setup({ method: fewer }))).toBeGreaterThan(0);
});

test('the loss has w · mean ‖gram − I‖ over P and Q, and its gradient alone moves them where nothing is labelled', async () => {
  const at = setup({ data: unlabelled, fields: { orthogonality: 0.7 }, training: { steps: 1, lr: 0 } });
  const resume = await standing(at);
  const before = await numbersOf(resume);
  await trained({ ...at, resume }, async ({ checkpoint, run }) => {
    const after = await numbersOf(checkpoint);
    const count = 2 * run.attachment.sites.length;
    for (const { name, shape: [out, inn] } of run.attachment.sites) {
      const [A, B] = [before.get(`param.${name}.lora_A`)!, before.get(`param.${name}.lora_B`)!];
      // d‖G − I‖_F / dA = 2 (G − I) A / ‖G − I‖_F for G = A Aᵀ; the same of Bᵀ.
      const rowsOfB = Float32Array.from({ length: RANK * out }, (_, i) => B[(i % out) * RANK + Math.floor(i / out)]!);
      for (const [part, rows, width] of [['lora_A', A, inn], ['lora_B', rowsOfB, out]] as const) {
        const gram = Array.from({ length: RANK * RANK }, (_, at_) => {
          const [j, k] = [Math.floor(at_ / RANK), at_ % RANK];
          return Array.from({ length: width }, (_, i) => rows[j * width + i]! * rows[k * width + i]!).reduce((a, b) => a + b, 0) - Number(j === k);
        });
        const norm = Math.hypot(...gram);
        const m = after.get(`adam.m.${name}.${part}`)!;
        const largest = Math.max(...m.map(Math.abs));
        for (let j = 0; j < RANK; j++) {
          for (let i = 0; i < width; i++) {
            const want = (0.7 / count) * 2 * gram.slice(j * RANK, (j + 1) * RANK).reduce((sum, g, k) => sum + g * rows[k * width + i]!, 0) / norm;
            const got = 10 * m[part === 'lora_A' ? j * width + i : i * RANK + j]!;
            expect(Math.abs(got - want), `${name} ${part}`).toBeLessThan(1e-4 * 10 * largest);
          }
        }
      }
      expect(after.get(`adam.m.${name}.lora_E`)!.every((x) => x === 0)).toBe(true);
    }
  });
});

test('the written folder is PEFT’s ADALORA, and one with ranks by module is refused by name', async () => {
  const at = setup();
  const { run } = await createRun({ ...at, resume: await standing(at) });
  const { folder } = await run.exportPeft('tiny');
  const bytes = (name: string) => folder.files.find((file) => file.name === name)!.bytes;
  const config = JSON.parse(new TextDecoder().decode(bytes('adapter_config.json'))) as Record<string, unknown>;
  expect(config).toMatchObject({ peft_type: 'ADALORA', init_r: RANK, target_r: TARGET, lora_alpha: 8, rank_pattern: null, use_dora: false, target_modules: ['q_proj', 'v_proj'] });
  // PEFT refuses a schedule without room: tinit < total_step − tfinal.
  expect(Number(config.tinit)).toBeLessThan(Number(config.total_step) - Number(config.tfinal));
  const file = await openSafetensors(bytesSource('adapter_model.safetensors', bytes('adapter_model.safetensors')));
  const site = 'base_model.model.model.layers.0.self_attn.v_proj';
  expect(['A', 'B', 'E'].map((part) => file.byName.get(`${site}.lora_${part}`)?.shape)).toEqual([[RANK, 32], [16, RANK], [RANK, 1]]);
  run.dispose();
  const changed = new TextEncoder().encode(JSON.stringify({ ...config, rank_pattern: { 'model.layers.0.self_attn.v_proj.lora_E': [true, false, true, true] } }));
  const files = new Map([['adapter_config.json', bytesSource('adapter_config.json', changed)], ['adapter_model.safetensors', bytesSource('adapter_model.safetensors', bytes('adapter_model.safetensors'))]]);
  await expect(attachFolder(device, loaded, files, [method])).rejects.toThrow('rank_pattern');
});

test('PEFT’s own run: gradients with the regulariser, the same triplets dropped at every step, and where ten steps lead', async () => {
  const fields = { rank: 4, target: 2, alpha: 8, tInit: 0.2, tFinal: 0.3, orthogonality: 0.5 };
  await goldenRun(device, 'adalora', method, fields, (file, name) => file.f32(`init.${name}`), async ({ file, steps, run }) => {
    for (const { name } of run.attachment.params) {
      expect(share(steps[0]!.get(`adam.m.${name}`)!.map((m) => 10 * m), await file.f32(`grad.${name}`)), name).toBeLessThan(1e-4);
      const [got, end, from] = [steps[9]!.get(`param.${name}`)!, await file.f32(`final.${name}`), await file.f32(`init.${name}`)];
      expect(length(got.map((x, i) => x - end[i]!)) / length(end.map((x, i) => x - from[i]!)), name).toBeLessThan(1e-2);
      if (!name.endsWith('lora_E')) continue;
      for (const [i, numbers] of steps.entries()) {
        const open = (x: Float32Array) => [...x].map((e) => e !== 0);
        expect(open(numbers.get(`param.${name}`)!), `${name} after step ${i + 1}`).toEqual(open(await file.f32(`e.${i + 1}.${name}`)));
      }
    }
  });
});
