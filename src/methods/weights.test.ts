// Every method over a base kept as int8: it trains as over the same numbers in f32, or it says by name that it needs f32.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { readF32 } from '../engine/tensor/memory';
import type { Tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { openHfFolder } from '../formats/hf-folder';
import { writeSafetensors } from '../formats/safetensors';
import { bind } from '../training/contract';
import { mergedWeights } from '../training/export';
import { type LoadedModel, describeModel, freeWeights, uploadWeights } from '../training/loaded';
import { checkRun } from '../training/plan';
import type { WeightKind } from '../util/packed';
import { methods } from './registry';
import { configOf, randomBatch, trained } from './testing/runs';
import { LLAMA, folderOf, loadFolder, tinyTensors } from './testing/tiny';

let device: Device;
const loadedAs = async (kind: WeightKind): Promise<LoadedModel> => {
  const loaded = describeModel('tiny', await openHfFolder(folderOf(LLAMA, writeSafetensors(tinyTensors(LLAMA), { format: 'pt' }))), undefined, kind);
  await uploadWeights(device, loaded);
  return loaded;
};
const fieldsOf = (slug: string): Record<string, number> => (slug === 'nlora' ? { rank: 8 } : {});
const training = { steps: 3, batch: 2, seq: 8, lr: 5e-3 };
const data = { batch: (step: number) => randomBatch(`batch ${step}`, [2, 8]) };

let int8: LoadedModel;
/** The numbers that int8 stands for, in f32. */
let wide: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  int8 = await loadedAs('int8');
  wide = await loadFolder(device, folderOf(LLAMA, await mergedWeights(device, int8, noAdapters, 'F32')));
});
afterAll(() => {
  for (const model of [int8, wide]) freeWeights(device, model);
});

describe.each([...methods.values()].map((method) => [method.info.slug, method] as const))('%s', (slug, method) => {
  if (method.info.wantsF32) {
    test('is refused, and f32 is not', () => {
      const check = (model: LoadedModel) => checkRun(model, bind(method, fieldsOf(slug)), configOf({ slug, training, fields: fieldsOf(slug) }));
      expect(() => check(int8)).toThrow(`${method.info.name} works on the base's own numbers, which are kept as int8`);
      expect(() => check(wide)).not.toThrow();
    });
    return;
  }
  test('trains as over the same numbers in f32, and the codes stay as they are', async () => {
    const { tensor } = int8.network.weights.get('model.layers.0.self_attn.q_proj.weight') as { tensor: Tensor };
    expect(tensor.dtype).toBe('int8');
    const before = await readF32(device, tensor);
    const lossesOn = (loaded: LoadedModel) => trained({ device, loaded, slug, fields: fieldsOf(slug), training, data }, ({ series }) => series.loss as number[]);
    const [over, same] = [await lossesOn(int8), await lossesOn(wide)];
    expect(over).toHaveLength(training.steps);
    over.forEach((loss, i) => expect(Math.abs(loss - (same[i] as number))).toBeLessThan(2e-4));
    expect(over.at(-1)).not.toBe(over[0]);
    expect(await readF32(device, tensor)).toEqual(before);
  });
});
