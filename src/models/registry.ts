// Every architecture the studio reads. One line each.
import { ConfigError } from '../util/errors';
import { bert } from './bert';
import { clip } from './clip';
import { distilbert } from './distilbert';
import { gpt2 } from './gpt2';
import { llama } from './llama';
import { mistral } from './mistral';
import { type Architecture, ConfigReader, EMBEDDING, type Task, type TaskKind } from './model';
import { neox } from './neox';
import { qwen2, qwen3 } from './qwen';
import { roberta } from './roberta';
import { deit, vit } from './vit';

export const models: readonly Architecture[] = [llama, mistral, qwen2, qwen3, gpt2, neox, bert, roberta, distilbert, vit, deit, clip] as Architecture[];

const namesOf = ({ classes, headless = [] }: Architecture): string[] => [...new Set([...Object.values(classes), ...headless])];
const named = (json: unknown): string | undefined => {
  const list = (json as { architectures?: unknown } | null)?.architectures;
  return Array.isArray(list) ? String(list[0]) : undefined;
};

/** The model that reads this config.json. */
export function modelFor(json: unknown): Architecture {
  const name = named(json);
  const found = models.find((model) => (name ? namesOf(model).includes(name) : model.id === (json as { model_type?: unknown } | null)?.model_type));
  if (!found) {
    throw new ConfigError(`config.json: architecture ${JSON.stringify(name ?? null)} is not supported`, `Supported: ${models.flatMap(namesOf).join(', ')}.`);
  }
  return found;
}

/** The task that a checkpoint was made for: that of its class, or the first its architecture can do. */
export function taskOf(json: unknown): Task {
  const { classes, headless } = modelFor(json);
  const name = named(json);
  const kinds = Object.keys(classes) as TaskKind[];
  const bare = name !== undefined && headless?.includes(name);
  const kind = (bare ? kinds.find((k) => k === 'sequence-classification' || k === 'image-classification') : undefined) ?? kinds.find((k) => classes[k] === name) ?? (kinds[0] as TaskKind);
  if (kind === 'causal-lm' || kind === 'masked-lm' || kind === 'image-caption') return { kind };
  if (kind === 'sentence-embedding') return EMBEDDING;
  const labels = new ConfigReader(json).labels();
  // transformers leaves id2label out where there are two classes without names.
  return { kind, labels: labels.length > 0 ? labels : ['LABEL_0', 'LABEL_1'] };
}
