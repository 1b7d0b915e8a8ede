// PEFT adapters of types other than plain LoRA: the same two files, with tensors and keys that a method names itself.
import { type Files, folderWith, readJson } from './folder';
import { isObject, type JsonObject } from './json';
import { CONFIG, DEFAULTS, PREFIX, type PeftTask, type SavedWeight, WEIGHTS, modulesToSave, sortKeys, targetsFor } from './peft';
import { type SafetensorsFile, openSafetensors, writeSafetensors } from './safetensors';

export interface PeftFormInput {
  /** PEFT's name of the type: 'ADALORA'. */
  readonly type: string;
  /** Keys beside those that every type has. */
  readonly config: Readonly<Record<string, unknown>>;
  /** By the name after 'base_model.model.'; what stands beside the model in PEFT has its whole name, 'base_model.vera_A'. */
  readonly tensors: ReadonlyMap<string, { shape: readonly number[]; data: Float32Array }>;
  /** Weights of modules that were trained whole. */
  readonly saved: readonly SavedWeight[];
  readonly adapted: readonly string[];
  readonly allModules: readonly string[];
  readonly baseModel: string;
  /** As in PeftInput. */
  readonly baseWeights?: string;
  /** The checkpoint keeps the adapted weights as [in, out]. */
  readonly transposed: boolean;
  readonly taskType: PeftTask | null;
}

/** Keys that PEFT's own configuration of a type has, with their defaults where all have the same. */
const OF_TYPE: Readonly<Record<string, JsonObject>> = { LORA: DEFAULTS, ADALORA: DEFAULTS, VERA: { fan_in_fan_out: false } };

export function writePeftForm({ type, config, tensors, saved, adapted, allModules, baseModel, baseWeights, taskType, transposed }: PeftFormInput): { name: string; bytes: Uint8Array<ArrayBuffer> }[] {
  const own = OF_TYPE[type] ?? {};
  const whole = {
    ...own, ...('fan_in_fan_out' in own ? { fan_in_fan_out: transposed } : {}),
    auto_mapping: null, base_model_name_or_path: baseModel || null, inference_mode: true, peft_type: type, peft_version: '0.21.0', revision: null,
    target_modules: targetsFor(adapted, allModules), modules_to_save: modulesToSave(saved), task_type: taskType, ...config,
  };
  const entries = [...tensors, ...saved.map(({ name, ...weight }) => [name, weight] as const)].map(([name, { shape, data }]) => ({ name: fullName(name), dtype: 'F32' as const, shape, data }));
  return [
    { name: WEIGHTS, bytes: writeSafetensors(entries, { format: 'pt', ...(baseWeights ? { base_weights: baseWeights } : {}) }, WEIGHTS) },
    { name: CONFIG, bytes: new TextEncoder().encode(JSON.stringify(sortKeys(whole), null, 2)) },
  ];
}

/** The name in the file of a tensor that is named without 'base_model.model.'. */
export const fullName = (name: string): string => (name.startsWith('base_model.') ? name : PREFIX + name);

/** The parsed configuration and the tensors of a PEFT folder, of whatever type; null where that is no such folder. */
export async function openPeftFolder(files: Files): Promise<{ config: JsonObject; weights: SafetensorsFile; names: readonly string[] } | null> {
  const folder = folderWith(files, CONFIG) ?? '';
  const [config, weights] = [files.get(folder + CONFIG), files.get(folder + WEIGHTS)];
  const json = config && weights ? await readJson(config) : null;
  if (!isObject(json) || !weights) return null;
  const file = await openSafetensors(weights);
  return { config: json, weights: file, names: file.entries.map(({ name }) => (name.startsWith(PREFIX) ? name.slice(PREFIX.length) : name)) };
}
