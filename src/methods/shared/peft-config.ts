// Reading adapter_config.json of PEFT types that have a file of their own here: what is not understood is refused by name.
import { CheckpointError } from '../../util/errors';

type Config = Readonly<Record<string, unknown>>;
const WHERE = 'adapter_config.json';

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
