// What methods with a PEFT type of their own share: tensors by layer, and the reading of adapter_config.json, where what is not understood
// is refused by name.
import type { Shape } from '../../engine/tensor/tensor';
import type { SiteValues } from '../../training/contract';
import { CheckpointError } from '../../util/errors';

type Config = Readonly<Record<string, unknown>>;
const WHERE = 'adapter_config.json';

type Tensors = Map<string, { shape: Shape; data: Float32Array }>;

/** Shape and numbers of each layer's tensors, by what comes after the layer's name. */
export const tensorsBySite = (sites: readonly SiteValues[], of: (one: SiteValues) => Readonly<Record<string, readonly [shape: Shape, data: Float32Array | undefined]>>): Tensors =>
  new Map(sites.flatMap((one) => Object.entries(of(one)).map(([part, [shape, data]]) => [`${one.site.name}.${part}`, { shape, data: data as Float32Array }] as const)));

/** A number by its key; `fallback` where the file leaves it out. */
export function numberOf(config: Config, key: string, fallback?: number): number {
  const value = config[key] ?? fallback;
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new CheckpointError(`${WHERE}: ${key}: wanted a number, got ${JSON.stringify(value ?? null)}`, 'Save or download the adapter again.');
  return value;
}

/** Refuses ranks and alphas by module, trained modules beside the adapter, and whatever else would change what it computes. */
export function uniformRank(config: Config): void {
  const isSet = (value: unknown) => value !== undefined && value !== null && value !== false && JSON.stringify(value) !== '{}' && JSON.stringify(value) !== '[]';
  const other = ['rank_pattern', 'alpha_pattern', 'lora_bias', 'modules_to_save', 'layer_replication', 'target_parameters', 'trainable_token_indices', 'use_qalora'].find((key) => isSet(config[key]));
  if (other) throw new CheckpointError(`${WHERE}: ${other} is ${JSON.stringify(config[other])}, which is not supported for this type of adapter`, 'Merge it into the base model where it was trained.');
}
