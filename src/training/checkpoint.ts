// The native checkpoint: every parameter of a run, its optimiser state, what its method remembers, and where it stands, in one
// safetensors file. Resuming from it continues the run bit for bit.
import type { Device } from '../engine/gpu/device';
import type { AdamW } from '../engine/optim/adamw';
import { layout, readBytes, readF32, write } from '../engine/tensor/memory';
import { type HostData, type Tensor, elements } from '../engine/tensor/tensor';
import { type ByteSource, type NewTensor, type SafetensorsFile, openSafetensors, writeSafetensors } from '../formats/safetensors';
import { CheckpointError } from '../util/errors';
import type { WeightKind } from '../util/packed';
import type { Attachment } from './attach';
import type { RunConfig } from './config';
import type { RunState } from './host';
import { type StoppingState, unseen } from './stopping';

/** What of a run has numbers to be kept. */
export interface Live {
  readonly attachment: Attachment;
  readonly adamw: AdamW;
  readonly lasting: ReadonlyMap<string, Tensor>;
}

export interface CheckpointState {
  readonly step: number;
  readonly config: RunConfig;
  readonly dataHash: string;
  /** How the frozen weights are kept. */
  readonly weights: WeightKind;
  readonly state: RunState;
  readonly stopping: StoppingState;
}

const FORMAT = 'lowrank-checkpoint-1';
const SAME = 'Resume with the same method, fields and targets.';

/** Tensors beside parameters and moments: what recorded hooks keep, what the host writes. */
const others = ({ attachment, lasting }: Live): [string, Tensor][] => [
  ...[...lasting].map(([name, t]): [string, Tensor] => [`lasting.${name}`, t]),
  ...[...attachment.inputs].map(([name, { tensor: t }]): [string, Tensor] => [`input.${name}`, t]),
];

/** `step`: steps done. The bytes are a pure function of the state. */
export async function writeCheckpoint(device: Device, live: Live, { step, config, dataHash, weights, state, stopping }: CheckpointState): Promise<Uint8Array> {
  const { attachment, adamw } = live;
  // Before the first wait: a run that goes on meanwhile may change it.
  const remembered = JSON.stringify(state);
  const tensors: NewTensor[] = [];
  const extra = others(live);
  // All copies are submitted before the first wait, so that a run that goes on meanwhile does not mix its steps in.
  const [params, rest, masks, m, v] = await Promise.all([
    Promise.all(attachment.params.map((p) => readBytes(device, p.tensor))), Promise.all(extra.map(([, t]) => readBytes(device, t))),
    readBytes(device, adamw.masks), readF32(device, adamw.m), readF32(device, adamw.v),
  ]);
  attachment.params.forEach(({ name, tensor: t }, i) => tensors.push(entryOf(`param.${name}`, t, params[i] as ArrayBuffer)));
  extra.forEach(([name, t], i) => tensors.push(entryOf(name, t, rest[i] as ArrayBuffer)));
  const words = new Uint32Array(masks);
  for (const [name, { first, size }] of adamw.maskRanges) {
    const half = words.length / 2;
    const data = Uint32Array.from([...words.subarray(first, first + size), ...words.subarray(half + first, half + first + size)]);
    tensors.push({ name: `mask.${name}`, dtype: 'U32', shape: [2, size], data });
  }
  const trained = attachment.params.filter((p) => p.trainable);
  const { starts } = layout(trained.map((p) => p.tensor));
  for (const [kind, all] of [['m', m], ['v', v]] as const) {
    trained.forEach(({ name, tensor: t }, i) => tensors.push({ name: `adam.${kind}.${name}`, dtype: 'F32', shape: [...t.shape], data: all.slice(starts[i], (starts[i] as number) + elements(t)) }));
  }
  return writeSafetensors(tensors, { format: FORMAT, step: String(step), config: JSON.stringify(config), data_hash: dataHash, ...(weights === 'f32' ? {} : { weights }), ...(stopping.best === null ? {} : { stopping: JSON.stringify(stopping) }), ...(remembered === '{}' ? {} : { state: remembered }) });
}

/** Tensors of whole numbers keep their type. */
export function entryOf(name: string, { shape, dtype }: Tensor, bytes: ArrayBuffer): NewTensor {
  const at = { name, shape: [...shape] };
  if (dtype === 'u32') return { ...at, dtype: 'U32', data: new Uint32Array(bytes) };
  return dtype === 'i32' ? { ...at, dtype: 'I32', data: new Int32Array(bytes) } : { ...at, dtype: 'F32', data: new Float32Array(bytes) };
}

export interface Checkpoint {
  readonly file: SafetensorsFile;
  readonly where: string;
  readonly step: number;
  readonly state: RunState;
  /** What the stopping rules had seen. */
  readonly stopping: StoppingState;
}

/** Opens a checkpoint and checks that it belongs to these data, over frozen weights kept so. */
export async function openCheckpoint(source: ByteSource, dataHash: string, weights: WeightKind): Promise<Checkpoint> {
  const { file, step } = await readHead(source);
  const where = source.name;
  if (file.metadata.data_hash !== dataHash) throw new CheckpointError(`${where}: the run was trained on other data (${file.metadata.data_hash?.slice(0, 12)}…, now ${dataHash.slice(0, 12)}…)`, 'Give the same data file to resume.');
  const kept = file.metadata.weights ?? 'f32';
  if (kept !== weights) throw new CheckpointError(`${where}: the run was trained over weights kept as ${kept}, now they are kept as ${weights}`, `Keep the weights as ${kept} to resume.`);
  return { file, where, step, state: stateOf(where, file.metadata.state), stopping: { ...unseen, ...(objectOf(where, 'what the stopping rules had seen', file.metadata.stopping) as Partial<StoppingState>) } };
}

/** The step at which a checkpoint was written, whatever its data. */
export const stepOf = async (source: ByteSource): Promise<number> => (await readHead(source)).step;

async function readHead(source: ByteSource): Promise<{ file: SafetensorsFile; step: number }> {
  const file = await openSafetensors(source);
  const where = source.name;
  if (file.metadata.format !== FORMAT) throw new CheckpointError(`${where}: not a checkpoint of a run: format is ${JSON.stringify(file.metadata.format ?? null)}`, 'Choose the checkpoint.safetensors that a run wrote.');
  const step = Number(file.metadata.step);
  if (!Number.isInteger(step) || step < 0) throw new CheckpointError(`${where}: step is ${JSON.stringify(file.metadata.step)}`);
  return { file, step };
}

const stateOf = (where: string, text: string | undefined) => objectOf(where, 'what the method remembers', text) as RunState;

function objectOf(where: string, what: string, text: string | undefined): object {
  try {
    const state: unknown = JSON.parse(text ?? '{}');
    if (typeof state === 'object' && state !== null && !Array.isArray(state)) return state;
  } catch { /* said below */ }
  throw new CheckpointError(`${where}: ${what} is no JSON object`, 'The file is damaged; resume from another checkpoint.');
}

/**
 * Writes a checkpoint's numbers into a run made from the same config; every name and shape must agree. `carry`: a run that attached
 * anew takes what has kept its name and shape, and leaves the rest at its start.
 */
export async function loadCheckpoint(device: Device, live: Live, { file, where }: Pick<Checkpoint, 'file' | 'where'>, carry = false): Promise<void> {
  const { attachment, adamw } = live;
  const wanted = new Map<string, { shape: readonly number[]; dtype: Tensor['dtype']; put: (data: HostData) => void }>();
  const want = (name: string, t: Tensor, put = (data: HostData) => write(device, t, data)) => wanted.set(name, { shape: t.shape, dtype: t.dtype, put });
  for (const p of attachment.params) want(`param.${p.name}`, p.tensor);
  for (const [name, t] of others(live)) want(name, t);
  const masks = new Uint32Array(elements(adamw.masks)).fill(1, 0, elements(adamw.masks) / 2);
  for (const [name, { first, size }] of adamw.maskRanges) {
    wanted.set(`mask.${name}`, { shape: [2, size], dtype: 'u32', put: (data) => {
      masks.set(data.subarray(0, size), first);
      masks.set(data.subarray(size), masks.length / 2 + first);
    } });
  }
  const trained = attachment.params.filter((p) => p.trainable);
  const { starts, length } = layout(trained.map((p) => p.tensor));
  const [m, v] = [new Float32Array(length), new Float32Array(length)];
  trained.forEach((p, i) => {
    want(`adam.m.${p.name}`, p.tensor, (data) => m.set(data, starts[i]));
    want(`adam.v.${p.name}`, p.tensor, (data) => v.set(data, starts[i]));
  });

  const extra = file.entries.find((entry) => !wanted.has(entry.name));
  if (extra && !carry) throw new CheckpointError(`${where}: this run has no place for ${extra.name} [${extra.shape.join(', ')}]`, SAME);
  // All is read before anything is written, so that a bad file leaves the run as it was.
  const puts: (() => void)[] = [];
  for (const [name, { shape, dtype, put }] of wanted) {
    const entry = file.byName.get(name);
    const fits = entry?.shape.join() === shape.join();
    if (!fits && carry) continue;
    if (!entry) throw new CheckpointError(`${where}: ${name} is missing`, SAME);
    if (!fits) throw new CheckpointError(`${where}: ${name} is [${entry.shape.join(', ')}], this run has [${shape.join(', ')}]`, SAME);
    const data = dtype === 'f32' ? await file.f32(name) : await file.ints(name);
    puts.push(() => put(dtype === 'u32' ? new Uint32Array(data) : data));
  }
  for (const put of puts) put();
  write(device, adamw.masks, masks);
  write(device, adamw.m, m);
  write(device, adamw.v, v);
}
