// The native checkpoint: every parameter of a run, its moments and where it stands, in one safetensors file. Resuming from it
// continues the run bit for bit.
import type { Device } from '../engine/gpu/device';
import type { AdamW } from '../engine/optim/adamw';
import { layout, readF32, write } from '../engine/tensor/memory';
import { elements } from '../engine/tensor/tensor';
import { type ByteSource, type NewTensor, openSafetensors, writeSafetensors } from '../formats/safetensors';
import { CheckpointError } from '../util/errors';
import type { Attachment } from './attach';
import type { RunConfig } from './config';

export interface CheckpointState {
  readonly step: number;
  readonly config: RunConfig;
  readonly dataHash: string;
}

const FORMAT = 'lowrank-checkpoint-1';

/** `step`: steps done. The bytes are a pure function of the state. */
export async function writeCheckpoint(device: Device, attachment: Attachment, adamw: AdamW, state: CheckpointState): Promise<Uint8Array> {
  const tensors: NewTensor[] = [];
  const add = (name: string, shape: readonly number[], data: Float32Array) => tensors.push({ name, dtype: 'F32', shape: [...shape], data });
  // All copies are submitted before the first wait, so that a run that goes on meanwhile does not mix its steps in.
  const [params, m, v] = await Promise.all([Promise.all(attachment.params.map((p) => readF32(device, p.tensor))), readF32(device, adamw.m), readF32(device, adamw.v)]);
  attachment.params.forEach(({ name, tensor: t }, i) => add(`param.${name}`, t.shape, params[i] as Float32Array));
  const trained = attachment.params.filter((p) => p.trainable);
  const { starts } = layout(trained.map((p) => p.tensor));
  for (const [kind, all] of [['m', m], ['v', v]] as const) {
    trained.forEach(({ name, tensor: t }, i) => add(`adam.${kind}.${name}`, t.shape, all.slice(starts[i], (starts[i] as number) + elements(t))));
  }
  return writeSafetensors(tensors, { format: FORMAT, step: String(state.step), config: JSON.stringify(state.config), data_hash: state.dataHash });
}

/** Writes a checkpoint's numbers into a run made from the same config; every name and shape must agree. Returns the steps done. */
export async function readCheckpoint(device: Device, attachment: Attachment, adamw: AdamW, source: ByteSource, dataHash: string): Promise<number> {
  const file = await openSafetensors(source);
  const where = source.name;
  if (file.metadata.format !== FORMAT) throw new CheckpointError(`${where}: not a checkpoint of a run: format is ${JSON.stringify(file.metadata.format ?? null)}`, 'Choose the checkpoint.safetensors that a run wrote.');
  if (file.metadata.data_hash !== dataHash) throw new CheckpointError(`${where}: the run was trained on other data (${file.metadata.data_hash?.slice(0, 12)}…, now ${dataHash.slice(0, 12)}…)`, 'Give the same data file to resume.');
  const step = Number(file.metadata.step);
  if (!Number.isInteger(step) || step < 0) throw new CheckpointError(`${where}: step is ${JSON.stringify(file.metadata.step)}`);
  const get = async (name: string, shape: readonly number[]) => {
    const entry = file.byName.get(name);
    if (!entry) throw new CheckpointError(`${where}: ${name} is missing`, 'Resume with the same method, fields and targets.');
    if (entry.shape.join() !== shape.join()) throw new CheckpointError(`${where}: ${name} is [${entry.shape.join(', ')}], this run has [${shape.join(', ')}]`, 'Resume with the same method, fields and targets.');
    return file.f32(name);
  };
  const names = new Set(attachment.params.flatMap(({ name, trainable }) => [`param.${name}`, ...(trainable ? [`adam.m.${name}`, `adam.v.${name}`] : [])]));
  const extra = file.entries.find((entry) => !names.has(entry.name));
  if (extra) throw new CheckpointError(`${where}: this run has no place for ${extra.name} [${extra.shape.join(', ')}]`, 'Resume with the same method, fields and targets.');
  // All is read before anything is written, so that a bad file leaves the run as it was.
  const params = await Promise.all(attachment.params.map((p) => get(`param.${p.name}`, p.tensor.shape)));
  const trained = attachment.params.filter((p) => p.trainable);
  const { starts, length } = layout(trained.map((p) => p.tensor));
  const moments = await Promise.all((['m', 'v'] as const).map(async (kind) => {
    const all = new Float32Array(length);
    for (const [i, { name, tensor: t }] of trained.entries()) all.set(await get(`adam.${kind}.${name}`, t.shape), starts[i]);
    return all;
  }));
  attachment.params.forEach((p, i) => write(device, p.tensor, params[i] as Float32Array));
  write(device, adamw.m, moments[0] as Float32Array);
  write(device, adamw.v, moments[1] as Float32Array);
  return step;
}
