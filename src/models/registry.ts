// Every architecture the studio reads. One line each.
import { ConfigError } from '../util/errors';
import { gpt2 } from './gpt2';
import { llama } from './llama';
import type { LanguageModel } from './model';

export const models: readonly LanguageModel[] = [llama, gpt2] as LanguageModel[];

/** The model that reads this config.json. */
export function modelFor(json: unknown): LanguageModel {
  const named = (json as { architectures?: unknown; model_type?: unknown } | null)?.architectures;
  const name = Array.isArray(named) ? String(named[0]) : undefined;
  const found = models.find((model) => (name ? model.architectures.includes(name) : model.id === (json as { model_type?: unknown })?.model_type));
  if (!found) {
    throw new ConfigError(`config.json: architecture ${JSON.stringify(name ?? null)} is not supported`, `Supported: ${models.flatMap((m) => m.architectures).join(', ')}.`);
  }
  return found;
}
