// An adapter in the studio's own format: one safetensors file that holds every number of a method's adapters, and in its metadata what
// attaches them. For methods that no PEFT type describes.
import { bad, show } from './fail';
import { type Files, folderWith } from './folder';
import { isObject, type JsonObject } from './json';
import { type NewTensor, type SafetensorsFile, openSafetensors, writeSafetensors } from './safetensors';

export const NATIVE_FILE = 'lowrank_adapter.safetensors';
const FORMAT = 'lowrank-adapter-1';

export interface NativeAdapter {
  /** The method's slug and its fields. */
  readonly method: string;
  readonly fields: JsonObject;
  /** Names of the adapted layers. */
  readonly sites: readonly string[];
  /** What the method remembers beside its numbers. */
  readonly state: JsonObject;
  readonly baseModel: string;
}

export function writeNative(adapter: NativeAdapter, tensors: readonly NewTensor[]): { name: string; bytes: Uint8Array<ArrayBuffer> } {
  const { method, baseModel, fields, sites, state } = adapter;
  return { name: NATIVE_FILE, bytes: writeSafetensors(tensors, { format: FORMAT, method, base_model: baseModel, fields: JSON.stringify(fields), sites: JSON.stringify(sites), state: JSON.stringify(state) }) };
}

/** null where the folder has no such file. */
export async function readNative(files: Files): Promise<(NativeAdapter & { weights: SafetensorsFile }) | null> {
  const folder = folderWith(files, NATIVE_FILE);
  const source = folder === null ? undefined : files.get(folder + NATIVE_FILE);
  if (!source) return null;
  const weights = await openSafetensors(source);
  const { format, method, base_model, fields, sites, state } = weights.metadata;
  if (format !== FORMAT) throw bad(weights.name, `its format must be ${FORMAT}`, show(format ?? null), 'choose a file that this studio exported');
  const parsed = (name: string, text: string | undefined): unknown => {
    try {
      return JSON.parse(text ?? '');
    } catch {
      throw bad(weights.name, `'${name}' in its metadata is no JSON`, show(text ?? null), 'the file is damaged; export the adapter again');
    }
  };
  const [f, s, names] = [parsed('fields', fields), parsed('state', state), parsed('sites', sites)];
  if (!method || !isObject(f) || !isObject(s) || !Array.isArray(names) || !names.every((name) => typeof name === 'string')) {
    throw bad(weights.name, 'its metadata must name the method, its fields and its layers', show(Object.keys(weights.metadata)), 'export the adapter again');
  }
  return { method, fields: f, sites: names, state: s, baseModel: base_model ?? '', weights };
}
