// Full fine-tuning's own promises: the copies start as the model's weights and step along the model's own gradients; every setting
// trains what it says and nothing else; merging gives the copies, number for number.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { testDevice } from '../engine/testing/device';
import { bytesSource, openSafetensors } from '../formats/safetensors';
import { attach } from '../training/attach';
import { type Method, bind } from '../training/contract';
import { mergedWeights } from '../training/export';
import { type LoadedModel, freeWeights, transpose } from '../training/loaded';
import { full } from './full';
import { weightsOf } from './testing/logits';
import { type RunSetup, createRun, numbersOf, randomBatch, trained } from './testing/runs';
import { GPT2, loadTiny } from './testing/tiny';

const method = full as unknown as Method;
let device: Device;
let llama: LoadedModel;
let gpt2: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  [llama, gpt2] = [await loadTiny(device), await loadTiny(device, GPT2)];
});
afterAll(() => {
  freeWeights(device, llama);
  freeWeights(device, gpt2);
});

/** The checkpoint's name of a trained parameter. */
const weightName = (param: string) => param.replace(/\.full_(weight|bias)$/, '.$1').replace(/\.full_value$/, '');
const setup = (loaded: LoadedModel, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, method, ...more });
const namesOf = (loaded: LoadedModel, fields: Record<string, boolean>, targets = '') => attach(loaded.network, bind(method, fields), targets).params.map(({ name }) => weightName(name)).sort();

test('every weight of the model trains, or all but what is turned off or not chosen', () => {
  for (const loaded of [llama, gpt2]) {
    const all = [...loaded.network.weights.keys()].sort();
    expect(namesOf(loaded, {})).toEqual(all);
    const outside = (name: string) => !/\.\d+\./.test(name) && !/norm|ln_f/.test(name);
    expect(namesOf(loaded, { embeddings: false })).toEqual(all.filter((name) => !outside(name)));
    expect(namesOf(loaded, { norms: false })).toEqual(all.filter((name) => !/norm|ln_/.test(name)));
  }
  expect(namesOf(llama, { norms: false, embeddings: false }, 'v_proj')).toEqual([0, 1].map((i) => `model.layers.${i}.self_attn.v_proj.weight`));
  expect(namesOf(gpt2, { norms: false, embeddings: false }, 'c_fc')).toEqual([0, 1].flatMap((i) => ['bias', 'weight'].map((part) => `transformer.h.${i}.mlp.c_fc.${part}`)));
});

test('copies start as the weights, the first step moves each number by the rate, and the model keeps every bit', async () => {
  for (const loaded of [llama, gpt2]) {
    const before = await weightsOf(device, loaded);
    await trained(setup(loaded, { training: { steps: 1, lr: 1e-3 } }), async ({ checkpoint, run }) => {
      const numbers = await numbersOf(checkpoint);
      for (const { name } of run.attachment.params) {
        const [was, now, m] = [before.get(weightName(name))!, numbers.get(`param.${name}`)!, numbers.get(`adam.m.${name}`)!];
        const largest = Math.max(...m.map(Math.abs));
        expect(largest, name).toBeGreaterThan(0);
        was.forEach((w, i) => {
          // Adam's first step is the gradient's sign, where the gradient is well above eps = 1e-8 (m is a tenth of it).
          if (Math.abs(m[i]!) > 1e-6) expect(Math.abs(now[i]! - (w - 1e-3 * Math.sign(m[i]!))), `${name} ${i}`).toBeLessThan(2e-6);
          if (m[i] === 0) expect(now[i]).toBe(w);
        });
      }
    });
    expect(await weightsOf(device, loaded)).toEqual(before);
  }
});

/** Whether the merged file is the trained copies, and the model's weights where nothing trained. */
async function mergesExactly(loaded: LoadedModel, at: RunSetup): Promise<boolean> {
  const base = await weightsOf(device, loaded);
  // Decay moves copies even where no gradient comes.
  return trained({ ...at, training: { steps: 2, weightDecay: 0.1 } }, async ({ run, checkpoint }) => {
    const numbers = await numbersOf(checkpoint);
    const trainedTo = new Map(run.attachment.params.map(({ name }) => [weightName(name), numbers.get(`param.${name}`)!]));
    const file = await openSafetensors(bytesSource('merged', await mergedWeights(device, loaded, run.attachment.adapters, 'F32')));
    const same = await Promise.all([...loaded.network.weights].map(async ([name, { tensor: t, transposed }]) => {
      const stored = await file.f32(name);
      const want = trainedTo.get(name) ?? base.get(name)!;
      return (transposed ? transpose(stored, t.shape[1]!, t.shape[0]!) : stored).every((x, i) => x === want[i]);
    }));
    return same.every(Boolean);
  });
}

test('the merged file is the trained copies, number for number; a stand-in that is passed over would be seen', async () => {
  expect(await mergesExactly(llama, setup(llama))).toBe(true);
  expect(await mergesExactly(gpt2, setup(gpt2, { fields: { norms: false } }))).toBe(true);
  const deaf: Method = { ...method, attach: (...args) => { const adapter = method.attach(...args); return adapter && { ...adapter, weight: () => args[0].weight }; } };
  expect(await mergesExactly(llama, setup(llama, { method: deaf }))).toBe(false);
});

test('from nothing: random weights by the seed, the loss of a guess at first, and less than it after training', async () => {
  const batch = randomBatch('batch 0');
  const data = { batch: () => batch, validation: () => [batch] };
  for (const loaded of [llama, gpt2]) {
    const before = await weightsOf(device, loaded);
    const at = (seed: number, steps = 40): RunSetup => setup(loaded, { data, fields: { start: 'fresh' }, training: { steps, seed, lr: 1e-2 } });
    const first = await trained(at(7), ({ series, events }) => {
      expect(Math.abs(series.loss![0]! - Math.log(loaded.info.vocab))).toBeLessThan(0.05);
      expect(series.loss!.at(-1)!).toBeLessThan(0.7 * series.loss![0]!);
      expect(events.filter((event) => event.kind === 'note').map(({ text }) => text).join()).toMatch(/began at random/);
      return series.loss!;
    });
    expect(await trained(at(7, 1), ({ series }) => series.loss![0])).toBe(first[0]);
    expect(await trained(at(8, 1), ({ series }) => series.loss![0])).not.toBe(first[0]);
    expect(await weightsOf(device, loaded)).toEqual(before);
  }
});

test('it costs what the plan says, and gives all of it back', async () => {
  const before = device.bytes;
  const { run } = await createRun(setup(llama));
  run.dispose();
  expect(device.bytes).toBe(before);
});
