// BitFit's own promises: biases train and nothing else does; where a model has none they are added or the run is refused.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { testDevice } from '../engine/testing/device';
import { bytesSource, openSafetensors } from '../formats/safetensors';
import { attach } from '../training/attach';
import { type Method, bind } from '../training/contract';
import { mergedWeights } from '../training/export';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { ConfigError } from '../util/errors';
import { bitfit } from './bitfit';
import { weightsOf } from './testing/logits';
import { type RunSetup, createRun, numbersOf, trained } from './testing/runs';
import { GPT2, loadTiny } from './testing/tiny';

const method = bitfit as unknown as Method;
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

const setup = (loaded: LoadedModel, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, method, ...more });
const namesOf = (loaded: LoadedModel, fields: Record<string, boolean>, targets = '') => attach(loaded.network, bind(method, fields), targets).params.map(({ name }) => name.replace(/(\.bias)?\.bitfit_bias$/, '.bias')).sort();

test('every bias of the model trains, those of norms if wanted, added ones only where wanted', () => {
  const biases = [...gpt2.network.weights.keys()].filter((name) => name.endsWith('.bias')).sort();
  expect(biases.some((name) => name.includes('ln_'))).toBe(true);
  expect(namesOf(gpt2, {})).toEqual(biases);
  expect(namesOf(gpt2, { norms: false })).toEqual(biases.filter((name) => !name.includes('ln_')));
  expect(namesOf(gpt2, { norms: false }, 'c_fc')).toEqual([0, 1].map((i) => `transformer.h.${i}.mlp.c_fc.bias`));
  expect(namesOf(llama, {}, 'q_proj')).toEqual([0, 1].map((i) => `model.layers.${i}.self_attn.q_proj.bias`));
  expect(namesOf(llama, { add: false })).toEqual([]);
});

test('a model without biases and none to be added is refused', async () => {
  await expect(createRun(setup(llama, { fields: { add: false } }))).rejects.toThrow(ConfigError);
});

/** Names in the merged file of a short run whose numbers are not the model's. */
async function changed(at: RunSetup): Promise<string[]> {
  const { loaded } = at;
  const before = await openSafetensors(bytesSource('base', await mergedWeights(device, loaded, new Map(), 'F32')));
  return trained({ ...at, training: { steps: 2, weightDecay: 0.1 } }, async ({ run }) => {
    const after = await openSafetensors(bytesSource('merged', await mergedWeights(device, loaded, run.attachment.adapters, 'F32')));
    const differ = await Promise.all(after.entries.map(async ({ name }) => ((await after.f32(name)).join() === (await before.f32(name)).join() ? [] : [name])));
    return differ.flat().sort();
  });
}

test('a merged run differs from the model in biases, all of them, and nowhere else; a weight that moved would be seen', async () => {
  const biases = [...gpt2.network.weights.keys()].filter((name) => name.endsWith('.bias')).sort();
  expect(await changed(setup(gpt2))).toEqual(biases);
  const leaking: Method = { ...method, attachWeight: (weight, config, context) => method.attachWeight!({ ...weight, name: weight.name.replace('ln_f.weight', 'ln_f.bias') }, config, context) };
  const leaked = attach(gpt2.network, bind(leaking, {}), '').params.length;
  expect(leaked).toBe(biases.length + 1);
});

test('copies start as the model’s biases; the model keeps its own', async () => {
  const before = await weightsOf(device, gpt2);
  await trained(setup(gpt2, { training: { steps: 1, lr: 0 } }), async ({ checkpoint }) => {
    const numbers = await numbersOf(checkpoint);
    for (const [name, values] of numbers) {
      if (name.startsWith('param.')) expect(values, name).toEqual(before.get(name.slice('param.'.length).replace(/(\.bias)?\.bitfit_bias$/, '.bias')));
    }
  });
  await trained(setup(gpt2, { training: { steps: 3 } }), async () => expect(await weightsOf(device, gpt2)).toEqual(before));
});
