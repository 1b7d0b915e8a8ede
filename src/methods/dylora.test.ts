// DyLoRA against its specification: the drawn rank, its scale, what a step leaves alone, and that every cut of the adapter is an adapter.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { testDevice } from '../engine/testing/device';
import { readPeft } from '../formats/peft';
import { bytesSource } from '../formats/safetensors';
import { attachFiles, detach } from '../training/attach';
import type { HeatmapData } from '../training/card';
import { mergedWeights } from '../training/export';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { truncated } from './dylora';
import { logitsOf, share } from './testing/logits';
import { normals } from './testing/random';
import { type RunSetup, createRun, numbersOf, randomBatch, startOf, trained, unlabelled } from './testing/runs';
import { LLAMA, folderOf, loadFolder, loadTiny } from './testing/tiny';

const RANK = 4;
const ALPHA = 6;
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
const setup = (fields: Settings, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'dylora', targets: 'q_proj', ...more, fields: { rank: RANK, alpha: ALPHA, ...fields } });
const generic = (at: RunSetup) => startOf(at, (name, was) => (name.endsWith('lora_B') ? normals(was.length, name, 0.3) : was));

/** Numbers after each of `steps` steps, the start in front, and the rank drawn in each. */
async function eachStep(at: RunSetup, steps: number) {
  const resume = await generic(at);
  const saved: Uint8Array[] = [resume];
  const drawn = await trained({ ...at, training: { ...at.training, steps, saveEvery: 1 }, resume, save: (bytes) => { saved.push(bytes); } }, ({ series, checkpoint }) => {
    saved.splice(steps, 1, checkpoint);
    return series.drawn!;
  });
  return { drawn, numbers: await Promise.all(saved.map(numbersOf)) };
}
/** Numbers of pair i in a tensor of A [rank, in] or B [out, rank]. */
const pairOf = (name: string, all: Float32Array, i: number, rank = RANK) => (name.includes('lora_A') ? all.subarray(i * (all.length / rank), (i + 1) * (all.length / rank)) : all.filter((_, at) => at % rank === i));
const moved = (a: ReadonlyMap<string, Float32Array>, b: ReadonlyMap<string, Float32Array>, name: string) =>
  Array.from({ length: RANK }, (_, i) => pairOf(name, a.get(name)!, i).some((x, at) => x !== pairOf(name, b.get(name)!, i)[at]));

describe('a step', () => {
  test.each([['pair', (b: number, i: number) => i === b - 1], ['prefix', (b: number, i: number) => i < b]] as const)('that trains the %s moves just that, in every layer: numbers, moments, counts, decay', async (update, trains) => {
    const { drawn, numbers } = await eachStep(setup({ update }, { training: { weightDecay: 0.1 } }), 8);
    expect(new Set(drawn).size).toBeGreaterThan(2);
    const counts = new Array<number>(RANK).fill(0);
    drawn.forEach((b, step) => {
      const [before, after] = [numbers[step]!, numbers[step + 1]!];
      const want = Array.from({ length: RANK }, (_, i) => trains(b, i));
      for (const site of [Q0, Q1]) for (const part of ['lora_A', 'lora_B']) for (const kind of ['param', 'adam.m', 'adam.v']) {
        expect(moved(before, after, `${kind}.${site}.${part}`), `step ${step + 1}, b ${b}, ${kind} ${part}`).toEqual(want);
      }
      want.forEach((on, i) => { counts[i]! += Number(on); });
      // The second half of a mask is how often each entry was stepped.
      expect([...after.get('mask.pairs')!.subarray(RANK)]).toEqual(counts);
    });
  });

  test('with one Adam, as the authors’ code has it, pairs that were drawn before go on moving', async () => {
    const { drawn, numbers } = await eachStep(setup({ oneAdam: true }), 6);
    const seen = new Set<number>();
    drawn.forEach((b, step) => {
      seen.add(b - 1);
      expect(moved(numbers[step]!, numbers[step + 1]!, `param.${Q0}.lora_A`), `step ${step + 1}`).toEqual(Array.from({ length: RANK }, (_, i) => seen.has(i)));
    });
  });

  test.each([['pair', (b: number, i: number) => i === b - 1], ['prefix', (b: number, i: number) => i < b]] as const)('that trains the %s has, at the scale α / b, the loss of a LoRA of the first b pairs, and its gradients where it trains', async (update, trains) => {
    const at = setup({ update }, { training: { steps: 1 } });
    for (const seed of [1, 2, 3, 4]) {
      const one = { ...at, training: { steps: 1, seed } };
      const resume = await generic(one);
      const start = await numbersOf(resume);
      const { b, loss, after } = await trained({ ...one, resume }, async ({ series, checkpoint }) => ({ b: series.drawn![0]!, loss: series.loss![0]!, after: await numbersOf(checkpoint) }));
      const lora: RunSetup = { device, loaded, slug: 'lora', targets: 'q_proj', fields: { rank: b, alpha: ALPHA }, training: { steps: 1, seed } };
      const cutStart = await startOf(lora, (name, was) => {
        const site = name.slice(0, name.lastIndexOf('.'));
        const cut = truncated(start.get(`param.${site}.lora_A`)!, start.get(`param.${site}.lora_B`)!, RANK, b, ALPHA);
        const numbers = name.endsWith('lora_A') ? cut.A : cut.B;
        expect(numbers.length).toBe(was.length);
        return numbers;
      });
      await trained({ ...lora, resume: cutStart }, async ({ series, checkpoint }) => {
        expect(Math.abs(series.loss![0]! / loss - 1)).toBeLessThan(1e-6);
        const theirs = await numbersOf(checkpoint);
        for (const site of [Q0, Q1]) {
          // First moments are a tenth of the gradients. Those of layer 0 come through the input of layer 1.
          for (const part of ['lora_A', 'lora_B'] as const) {
            const [ours, want] = [after.get(`adam.m.${site}.${part}`)!, theirs.get(`adam.m.${site}.${part}`)!];
            for (let i = 0; i < RANK; i++) {
              if (trains(b, i)) expect(share(pairOf(part, ours, i), pairOf(part, want, i, b)), `b ${b}, pair ${i + 1}`).toBeLessThan(1e-5);
              else expect(pairOf(part, ours, i).every((x) => x === 0)).toBe(true);
            }
          }
        }
      });
    }
  });
});

test('ranks are drawn evenly: χ² over 400 steps, and another seed draws others', async () => {
  const ranksOf = (seed: number) => trained(setup({}, { data: unlabelled, training: { steps: 400, seed } }), ({ series }) => series.drawn!);
  const drawn = await ranksOf(3);
  const counts = Array.from({ length: RANK }, (_, i) => drawn.filter((b) => b === i + 1).length);
  expect(counts.reduce((a, b) => a + b)).toBe(400);
  // Three degrees of freedom: 16.3 is passed once in a thousand.
  expect(counts.reduce((sum, n) => sum + (n - 100) ** 2 / 100, 0)).toBeLessThan(16.3);
  expect(await ranksOf(4)).not.toEqual(drawn);
});

test('at every rank in use, the run’s logits are those of the exported file and of the merged model; at B = 0 those of the base', async () => {
  const batch = randomBatch('dylora');
  const seen: Float32Array[] = [];
  for (const useRank of [0, 1, 2, 3, 4]) {
    const at = setup({ useRank });
    const fresh = await createRun(at);
    expect(await logitsOf(device, loaded, fresh.run.attachment.adapters, batch)).toEqual(await logitsOf(device, loaded, noAdapters, batch));
    fresh.run.dispose();
    const { run } = await createRun({ ...at, resume: await generic(at) });
    const live = await logitsOf(device, loaded, run.attachment.adapters, batch);
    const { folder, receipt } = await run.exportPeft('tiny');
    const adapter = await readPeft(new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])));
    expect(adapter.config).toMatchObject({ r: useRank || RANK, lora_alpha: ALPHA });
    const files = attachFiles(device, loaded.network, [adapter]);
    expect(share(await logitsOf(device, loaded, files.adapters, batch), live)).toBeLessThan(1e-5);
    expect(Object.values(receipt.ranks)).toEqual([useRank || RANK, useRank || RANK]);
    detach(device, files);
    const merged = await loadFolder(device, folderOf(LLAMA, await mergedWeights(device, loaded, run.attachment.adapters, 'F32')));
    expect(share(await logitsOf(device, merged, noAdapters, batch), live)).toBeLessThan(1e-5);
    freeWeights(device, merged);
    run.dispose();
    seen.push(live);
  }
  expect(seen[0]).toEqual(seen[4]);
  for (const i of [1, 2, 3]) expect(share(seen[i]!, seen[4]!)).toBeGreaterThan(1e-3);
});

test.each([0, 2])('every evaluation stores the loss at all R ranks, at the end of the run too; the run evaluates at the rank in use, %d', async (useRank) => {
  const data = { batch: (step: number) => randomBatch(`batch ${step % 4}`), validation: () => [randomBatch('held out')] };
  await trained(setup({ useRank }, { data, training: { steps: 7, evalEvery: 3 } }), async ({ events }) => {
    const curves = events.flatMap((event) => (event.kind === 'view' && event.id === 'curve' ? [event.data as HeatmapData] : []));
    const last = curves.at(-1)!;
    expect([last.rows, last.columns]).toEqual([['step 3', 'step 6', 'step 7'], RANK]);
    // Pairs that were not drawn yet add nothing: ranks before the first drawn one have the base's loss.
    expect(new Set(last.values).size).toBeGreaterThan(2 * RANK);
    const evals = events.flatMap((event) => (event.kind === 'eval' ? [Math.fround(event.loss)] : []));
    expect(evals.slice(1)).toEqual([0, 1, 2].map((i) => last.values[i * RANK + (useRank || RANK) - 1]));
    const visits = events.flatMap((event) => (event.kind === 'view' && event.id === 'visits' ? [event.data as HeatmapData] : [])).at(-1)!;
    expect(visits.values.reduce((a, b) => a + b)).toBe(7);
    expect(events.filter((event) => event.kind === 'note')).toHaveLength(3);
  });
});

test('a rank in use above R is refused', async () => {
  await expect(createRun(setup({ useRank: 5 }))).rejects.toThrow(/useRank: 5 is above the largest rank, 4/);
});
