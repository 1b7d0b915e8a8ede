// A run that goes on from an adapter file: the file's factors take the place of the random start.
import type { Device } from '../engine/gpu/device';
import { upload } from '../engine/tensor/memory';
import type { PeftAdapter } from '../formats/peft';
import { ConfigError } from '../util/errors';
import type { Attachment } from './attach';

/** Writes a PEFT adapter into the parameters of a plain LoRA, strength included. Layers that the file does not have keep their start, which does nothing. */
export function startFrom(device: Device, { adapters }: Attachment, { modules }: PeftAdapter): void {
  for (const { name, rank, scale, A, B } of modules) {
    const adapter = adapters.get(name);
    if (!adapter) throw new ConfigError(`the adapter that is to be trained on adapts ${name}, which this run leaves alone`, 'Choose that layer too.');
    const { A: a, B: b, ...others } = adapter.params;
    if (!a || !b || Object.keys(others).length > 0 || !adapter.lora) throw new ConfigError('this method cannot go on from an adapter file: it trains more than A and B', 'Choose LoRA.');
    if (a.tensor.shape[0] !== rank) throw new ConfigError(`${name}: rank ${rank} in the adapter that is to be trained on, ${a.tensor.shape[0]} by the settings`, `Set the rank to ${rank}.`);
    const own = adapter.lora({ A, B }).scale;
    upload(device, a.tensor, A);
    upload(device, b.tensor, B.map((x) => (x * scale) / own));
  }
}
