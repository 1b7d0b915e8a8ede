// Runs of a method on the random GPT-2 from numbers that PyTorch + PEFT began with (scripts/make_goldens.py).
import { fileURLToPath } from 'node:url';
import { fileSource, folderSources } from '../../cli/files';
import type { Device } from '../../engine/gpu/device';
import { openHfFolder } from '../../formats/hf-folder';
import { type SafetensorsFile, openSafetensors } from '../../formats/safetensors';
import type { Method } from '../../training/contract';
import { describeModel, freeWeights, uploadWeights } from '../../training/loaded';
import { type Trained, numbersOf, startOf, trained } from './runs';

const GOLDENS = fileURLToPath(new URL('../../../e2e/fixtures/goldens/', import.meta.url));

export interface GoldenRun extends Trained {
  readonly file: SafetensorsFile;
  /** Numbers by name after each step, from 1 on at index 0. */
  readonly steps: readonly Map<string, Float32Array>[];
}

/** Trains the ten steps of `gpt2-tiny.KIND.safetensors`; `stored` gives a parameter's start in the file. */
export async function goldenRun<T>(device: Device, kind: string, method: Method, fields: Record<string, number>, start: (file: SafetensorsFile, name: string) => Promise<Float32Array>, look: (done: GoldenRun) => Promise<T>): Promise<T> {
  const [base, file] = await Promise.all(['gpt2-tiny', `gpt2-tiny.${kind}`].map(async (name) => openSafetensors(await fileSource(`${GOLDENS}${name}.safetensors`)))) as [SafetensorsFile, SafetensorsFile];
  const loaded = describeModel('gpt2-tiny', await openHfFolder(await folderSources(`${GOLDENS}gpt2-tiny`)));
  await uploadWeights(device, loaded);
  const batch = { input_ids: Uint32Array.from(await base.ints('input_ids')), labels: await base.ints('labels') };
  const training = { steps: 10, batch: 2, seq: 16, lr: 1e-2, weightDecay: 0.01, saveEvery: 1 };
  const at = { device, loaded, method, fields, training, data: { batch: () => batch } };
  const starts = new Map<string, Float32Array>();
  await startOf(at, (name, was) => { starts.set(name, was); return was; });
  for (const name of starts.keys()) starts.set(name, await start(file, name));
  const resume = await startOf(at, (name) => starts.get(name) as Float32Array);
  const each: Promise<Map<string, Float32Array>>[] = [];
  try {
    return await trained({ ...at, resume, save: (bytes) => { each.push(numbersOf(bytes)); } }, async (done) => look({ ...done, file, steps: await Promise.all(each) }));
  } finally {
    freeWeights(device, loaded);
  }
}
