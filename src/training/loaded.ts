// A model ready for use: its shapes checked against the file by name, its weights on the device.
import type { Device } from '../engine/gpu/device';
import { drawn } from '../engine/nn/init';
import { Network } from '../engine/nn/network';
import { noAdapters } from '../engine/nn/site';
import { Graph } from '../engine/tensor/graph';
import { copyTensor, free, upload, writePacked } from '../engine/tensor/memory';
import { byteLength, isQuantised } from '../engine/tensor/tensor';
import { loadTokenizer, type Tokenizer } from '../data/tokenizer';
import type { HfFolder } from '../formats/hf-folder';
import type { Weights } from '../formats/safetensors';
import type { WeightKind } from '../util/packed';
import type { Architecture, ModelInfo, Task } from '../models/model';
import { modelFor, taskOf } from '../models/registry';
import { CheckpointError, ConfigError } from '../util/errors';
import { batchTensors, callOf } from './task';
import { callModel } from './task-loss';

export interface LoadedModel {
  readonly name: string;
  readonly model: Architecture;
  readonly task: Task;
  readonly config: unknown;
  readonly info: ModelInfo;
  readonly network: Network;
  readonly folder: HfFolder;
  readonly tokenizer: Tokenizer | null;
  /** Bytes of the weights in the file, and the type most of them have there. */
  readonly fileBytes: number;
  readonly dtype: string;
}

/** Kinds of numbers that weights may be stored as; the last two come from GGUF. */
const READABLE = ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0'];

/**
 * Everything but the weights' numbers: parses the config, finds parameters and sites by a dry run, checks names and shapes.
 * `kind`: how frozen weights will be kept on the device.
 */
export function describeModel(name: string, folder: HfFolder, task: Task = taskOf(folder.config), kind: WeightKind = 'f32'): LoadedModel {
  const model = modelFor(folder.config);
  if (!model.classes[task.kind]) throw new ConfigError(`${name}: ${model.id} models are not made for ${task.kind}`, `They can do: ${Object.keys(model.classes).join(', ')}.`);
  const config = model.parse(folder.config);
  const bare = model.headless?.includes(model.classes[task.kind] as string);
  const network = new Network(model.heads?.(config, task), kind, bare ? model.prefix : undefined);
  const info = model.info(config);
  new Graph().record(() => callModel({ model, network, config, task }, noAdapters, callOf(batchTensors({ model, info, task }, [1, 2]), { training: false })));
  checkWeights(network, model, config, folder, task);
  const tokenizer = folder.tokenizer === null ? null : loadTokenizer(folder.tokenizer, folder.tokenizerConfig, folder.chatTemplate);
  if (tokenizer && tokenizer.vocabSize > info.vocab) {
    throw new ConfigError(`tokenizer.json: it has ${tokenizer.vocabSize} tokens, the model's vocabulary is ${info.vocab}`, 'Use the tokenizer that belongs to this model.');
  }
  const { entries } = folder.weights;
  const dtypes = new Map<string, number>();
  for (const { dtype, begin, end } of entries) dtypes.set(dtype, (dtypes.get(dtype) ?? 0) + end - begin);
  const dtype = [...dtypes].sort((a, b) => b[1] - a[1])[0]?.[0] ?? 'F32';
  return { name, model, task, config, info, network, folder, tokenizer, fileBytes: entries.reduce((sum, e) => sum + e.end - e.begin, 0), dtype };
}

/** The name of a weight in the file: without the model's prefix where the checkpoint has no head, with it where the task has none. */
function storedName(name: string, { prefix }: Architecture, { byName }: Weights): string {
  if (byName.has(name) || !prefix) return name;
  if (name.startsWith(`${prefix}.`)) return name.slice(prefix.length + 1);
  return byName.has(`${prefix}.${name}`) ? `${prefix}.${name}` : name;
}

function checkWeights(network: Network, model: Architecture, config: unknown, { weights }: HfFolder, task: Task): void {
  const known = new Set<string>();
  const entryOf = (name: string) => weights.byName.get(storedName(name, model, weights));
  for (const head of network.heads) {
    const parts = [...network.weights].filter(([name]) => network.headOf(name) === head);
    // A head of another size (other classes) is made anew, as one that is not there.
    const whole = parts.every(([name, { tensor: t }]) => entryOf(name)?.shape.join() === t.shape.join());
    for (const [name] of parts) {
      known.add(storedName(name, model, weights));
      if (!whole) network.created.add(name);
    }
  }
  for (const [name, { tensor: t, transposed }] of network.weights) {
    if (network.created.has(name)) continue;
    const entry = entryOf(name);
    if (!entry) throw new CheckpointError(`${name}: the config asks for it, the file ${weights.name} does not have it`, 'Is this the checkpoint of another size or class?');
    const wanted = transposed ? [...t.shape].reverse() : t.shape;
    if (entry.shape.join() !== wanted.join()) {
      throw new CheckpointError(`${name}: [${entry.shape.join(', ')}] in the file, [${wanted.join(', ')}] by the config`, 'Is this the checkpoint of another size?');
    }
    if (!READABLE.includes(entry.dtype)) throw new CheckpointError(`${name}: stored as ${entry.dtype}, which is not supported`, `Supported: ${READABLE.join(', ')}.`);
    known.add(entry.name);
  }
  const extra = weights.entries.find(({ name }) => !known.has(name) && !model.ignores(name, config, task));
  if (extra) throw new CheckpointError(`${extra.name} [${extra.shape.join(', ')}]: in the file, but the config has no place for it`, 'Is this the checkpoint of another size or class?');
}

/** Bytes of the largest weight as it is kept. */
export const largestWeight = ({ network }: LoadedModel): number => Math.max(...[...network.weights.values()].map(({ tensor: t }) => byteLength(t)));

/** Uploads the weights one tensor at a time. A failure frees what was uploaded. */
export async function uploadWeights(device: Device, loaded: LoadedModel, progress: (done: number, total: number) => void = () => {}): Promise<void> {
  const total = [...loaded.network.weights.values()].reduce((sum, { tensor: t }) => sum + byteLength(t), 0);
  let done = 0;
  try {
    for (const [name, { tensor: t }] of loaded.network.weights) {
      await uploadWeight(device, loaded, name);
      done += byteLength(t);
      progress(done, total);
    }
    await device.idle();
  } catch (error) {
    freeWeights(device, loaded);
    throw error;
  }
}

async function uploadWeight(device: Device, { network, folder, model }: LoadedModel, name: string): Promise<void> {
  const { tensor: t, transposed } = network.weights.get(name) as NonNullable<ReturnType<typeof network.weights.get>>;
  const stored = storedName(name, model, folder.weights);
  // Codes that the file has already are taken as they are: quantised again they would lose a little.
  const packed = !transposed && isQuantised(t.dtype) ? await folder.weights.packed?.(stored) : null;
  if (packed?.kind === t.dtype) return writePacked(device, t, packed);
  // A made head answers something, always the same, before it is trained; a run draws its own.
  const values = network.created.has(name) ? drawn(network.initOf(name), t.shape, 0, name) : await folder.weights.f32(stored);
  const [out, inn] = t.shape as [number, number];
  upload(device, t, transposed ? transpose(values, inn, out) : values);
}

/** The same model for another task: its weights copied on the device, heads of the task made or read. A failure leaves nothing of it. */
export async function retasked(device: Device, loaded: LoadedModel, task: Task): Promise<LoadedModel> {
  const other = describeModel(loaded.name, loaded.folder, task, loaded.network.kind);
  try {
    for (const [name, { tensor: t }] of other.network.weights) {
      const before = loaded.network.weights.get(name);
      if (before?.tensor.dtype === t.dtype && !loaded.network.created.has(name) && !other.network.created.has(name)) copyTensor(device, before.tensor, t);
      else await uploadWeight(device, other, name);
    }
    await device.idle();
    return other;
  } catch (error) {
    freeWeights(device, other);
    throw error;
  }
}

export function freeWeights(device: Device, loaded: LoadedModel): void {
  for (const { tensor: t } of loaded.network.weights.values()) free(device, t);
}

/** x [rows, columns] turned. */
export function transpose(x: Float32Array, rows: number, columns: number): Float32Array {
  const y = new Float32Array(x.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) y[c * rows + r] = x[r * columns + c] as number;
  return y;
}
