// What the verbs share: a device on the chosen backend, a model from a folder, adapters, token files.
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { Device, type TuneStore } from '../engine/gpu/device';
import { openHfFolder } from '../formats/hf-folder';
import type { Files } from '../formats/folder';
import { readPeft } from '../formats/peft';
import { methods } from '../methods/registry';
import { attachFiles } from '../training/attach';
import type { RunConfig } from '../training/config';
import type { BoundMethod } from '../training/contract';
import { type Attached, attachFolder } from '../training/import';
import { type LoadedModel, describeModel, uploadWeights } from '../training/loaded';
import { type Task, labelsOf, labelsRows } from '../models/model';
import { type DeviceAllowance, planRun } from '../training/plan';
import type { TokenBatch } from '../training/task';
import { DataError } from '../util/errors';
import { type WeightKind, weightKind } from '../util/packed';
import { type Backend, openNodeGpu } from './node-gpu';
import type { Output } from './output';
import { adapterSources, modelSources } from './sources';

const kept = new Map<string, Promise<unknown>>();
let sharing = false;
/** From here on devices, models and data are kept for the commands that follow in this process. */
export function shareSession(): void {
  sharing = true;
}
/** What `make` gives, or gave before under this name where a session is shared; a failure is not kept. */
export function once<T>(name: string, make: () => Promise<T>): Promise<T> {
  if (!sharing) return make();
  const found = (kept.get(name) as Promise<T> | undefined) ?? make();
  kept.set(name, found);
  found.catch(() => kept.delete(name));
  return found;
}

export async function openDevice(backend: string | undefined, output: Output): Promise<Device> {
  const device = await once(`device ${backend}`, () => openNewDevice(backend, output));
  device.check();
  // What is counted is this command's own, above what is kept.
  device.peakBytes = device.bytes;
  return device;
}

async function openNewDevice(backend: string | undefined, output: Output): Promise<Device> {
  const { gpu, backend: opened, description } = await openNodeGpu((backend ?? 'auto') as Backend);
  output.note(`device: ${description} (${opened})`);
  const device = await Device.open(gpu);
  device.tuneStore = fileTuneStore(join(homedir(), '.cache', 'lowrank-studio', 'kernels.json'));
  return device;
}

/** Measured kernel choices in a file, so that every run on a device uses the same ones. Without a writable home they last as long as the process. */
function fileTuneStore(path: string): TuneStore {
  const read = () => {
    try {
      return new Map(JSON.parse(readFileSync(path, 'utf8')) as [string, string][]);
    } catch {
      return new Map<string, string>();
    }
  };
  const kept = read();
  return {
    get: (key) => kept.get(key),
    set: (key, value) => {
      kept.set(key, value);
      try {
        mkdirSync(dirname(path), { recursive: true });
        // Two processes may tune at once: each adds to what is there, and the file is replaced whole.
        const part = `${path}.${process.pid}`;
        writeFileSync(part, JSON.stringify([...read(), ...kept]));
        renameSync(part, path);
      } catch {
        // Nothing is lost but the time to measure again.
      }
    },
  };
}

/** A model without its weights on a device: a folder, a .gguf file, or `hub:owner/name`. */
export const describeFolder = async (path: string, output: Output, task?: Task, weights?: WeightKind): Promise<LoadedModel> => describeModel(path, await openHfFolder(await modelSources(path, output)), task, weights);

/** config.json of a model. */
export const configOf = async (path: string, output: Output): Promise<unknown> => (await openHfFolder(await modelSources(path, output))).config;

/** `weights`: how its frozen weights are kept; f32 where nothing is said. */
export const loadFolder = (device: Device, path: string, output: Output, task?: Task, weights?: WeightKind): Promise<LoadedModel> =>
  once(`model ${path} for ${JSON.stringify(task)} as ${weights ?? 'f32'} on ${device.profile.id}`, () => loadNewFolder(device, path, output, task, weights));

/** How a run keeps its frozen weights: as it says, or by what its plan needs. */
export async function weightsFor(path: string, bound: BoundMethod, config: RunConfig, allowance: DeviceAllowance, output: Output, task?: Task): Promise<WeightKind> {
  const folder = await openHfFolder(await modelSources(path, output));
  const kind = weightKind(config.weights, (one) => !planRun(describeModel(path, folder, task, one), bound, config, allowance).problem);
  if (config.weights === 'auto') output.note(`weights: kept as ${kind}`);
  return kind;
}

async function loadNewFolder(device: Device, path: string, output: Output, task?: Task, weights?: WeightKind): Promise<LoadedModel> {
  const loaded = await describeFolder(path, output, task, weights);
  await uploadWeights(device, loaded, (done, total) => output.progress(`loading ${Math.round((100 * done) / total)} %`));
  return loaded;
}

/** Adapters attached, each a folder or `hub:owner/name`: any number of plain LoRAs, whose updates add up, or one of another format. */
export async function attachFolders(device: Device, loaded: LoadedModel, paths: readonly string[], output: Output): Promise<Attached> {
  const folders = await Promise.all(paths.map((path) => adapterSources(path, output)));
  if (folders.length === 1) return attachFolder(device, loaded, folders[0] as Files, methods.values());
  return { attachment: attachFiles(device, loaded.network, await Promise.all(folders.map(readPeft))) };
}

export interface Tokens extends TokenBatch {
  readonly shape: readonly [number, number];
}

/**
 * A --tokens file: {"input_ids": [[…]], "labels"?: [[…]], "attention_mask"?: [[…]], "token_type_ids"?: [[…]]}. Labels of causal models default
 * to the ids, −100 where the mask is 0. Of pairs of texts the first ones stand before all second ones, and labels default to 0, 1, …
 */
export function readTokens(path: string, { info, task }: LoadedModel): Tokens {
  if (info.image) throw new DataError(`${path}: files of tokens are for models of text, and this one reads pictures`, 'lowrank eval reads pictures, as --data.');
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new DataError(`${path}: cannot be read: ${(error as Error).message}`, 'Check the path.');
  }
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(text) as Record<string, unknown>;
  } catch (error) {
    throw new DataError(`${path}: not valid JSON: ${(error as Error).message}`, 'Write {"input_ids": [[…]]}.');
  }
  const matrix = (key: string, check: (x: number) => boolean, what: string): number[][] | undefined => {
    const value = json?.[key];
    if (value === undefined || value === null) return undefined;
    const rows = Array.isArray(value) && value.every(Array.isArray) ? (value as unknown[][]) : undefined;
    if (!rows || rows.length === 0 || (rows[0]?.length ?? 0) === 0) throw new DataError(`${path}: ${key}: wanted a list of rows of numbers`, 'Write [[1, 2, 3]].');
    rows.forEach((row, r) => {
      if (row.length !== rows[0]?.length) throw new DataError(`${path}: ${key}: row ${r} has ${row.length} numbers, row 0 has ${rows[0]?.length}`, 'Pad the rows to one length and give attention_mask.');
      row.forEach((x, c) => {
        if (typeof x !== 'number' || !Number.isInteger(x) || !check(x)) throw new DataError(`${path}: ${key}[${r}][${c}] is ${JSON.stringify(x)}, wanted ${what}`);
      });
    });
    return rows as number[][];
  };
  const ids = matrix('input_ids', (x) => x >= 0 && x < info.vocab, `a token id below ${info.vocab}`);
  if (!ids) throw new DataError(`${path}: input_ids is missing`, 'Write {"input_ids": [[…]]}.');
  const pairs = task.kind === 'sentence-embedding';
  if (pairs && ids.length % 2 !== 0) throw new DataError(`${path}: input_ids has ${ids.length} rows, and pairs of texts want an even number`, 'Write all first texts, and behind them the second ones in the same order.');
  const shape = [pairs ? ids.length / 2 : ids.length, ids[0]?.length ?? 0] as const;
  if (shape[1] > info.context) throw new DataError(`${path}: rows of ${shape[1]} tokens, the model takes at most ${info.context}`, 'Shorten the rows.');
  const mask = matrix('attention_mask', (x) => x === 0 || x === 1, '0 or 1');
  const classes = labelsOf(task)?.length ?? null;
  const perRow = labelsRows(task);
  const types = matrix('token_type_ids', (x) => x === 0 || x === 1, '0 or 1');
  // Classification of rows has one label a row: [1, 0] is read as [[1], [0]].
  if (perRow && Array.isArray(json.labels)) json.labels = json.labels.map((label) => (Array.isArray(label) ? label : [label]));
  const most = classes ?? (pairs ? shape[0] : info.vocab);
  const labels = matrix('labels', (x) => (x === -100 && (!perRow || pairs)) || (x >= 0 && x < most), `${perRow && !pairs ? '' : '−100 or '}${pairs ? 'the number of a second text' : classes === null ? 'a token id' : 'the number of a class'} below ${most}`);
  if (!labels && task.kind !== 'causal-lm' && !pairs) throw new DataError(`${path}: labels is missing`, perRow ? 'Write one class number a row.' : `Write the ${classes === null ? 'hidden tokens' : 'numbers of the tags'} as labels, −100 elsewhere.`);
  for (const [key, other, width] of [['attention_mask', mask, shape[1]], ['token_type_ids', types, shape[1]], ['labels', labels, perRow ? 1 : shape[1]]] as const) {
    const rows = key === 'labels' ? shape[0] : ids.length;
    if (other && (other.length !== rows || other[0]?.length !== width)) throw new DataError(`${path}: ${key} is ${other.length} × ${other[0]?.length}, wanted ${rows} × ${width}`);
  }
  return {
    shape,
    input_ids: Uint32Array.from(ids.flat()),
    labels: Int32Array.from(labels?.flat() ?? (pairs ? Array.from({ length: shape[0] }, (_, i) => i) : null) ?? ids.flatMap((row, r) => row.map((id, c) => (mask?.[r]?.[c] === 0 ? -100 : id)))),
    attention_mask: mask ? Uint32Array.from(mask.flat()) : undefined,
    token_type_ids: types ? Uint32Array.from(types.flat()) : undefined,
  };
}
