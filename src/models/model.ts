// What a model is to the rest: a parser of its config.json and a pure function from a scope to logits.
import type { Head, Scope } from '../engine/nn/network';
import type { Tensor } from '../engine/tensor/tensor';
import { CONTRAST } from '../util/contrast';
import { ConfigError } from '../util/errors';

export interface ModelInfo {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** 0 of models that read no text. */
  readonly vocab: number;
  /** Most tokens, or patches, in a row. */
  readonly context: number;
  /** Of models that read pictures: channels, and pixels of a side. */
  readonly image?: { readonly channels: number; readonly size: number };
  /** Of models that read texts beside pictures: the token at whose first place a text is read, or the largest id in it. */
  readonly textEnd?: number | 'largest';
}

/** What a model is asked for. `labels`: names of the classes, by number. */
export type Task =
  | { readonly kind: 'causal-lm' }
  | { readonly kind: 'masked-lm' }
  | { readonly kind: 'sequence-classification'; readonly labels: readonly string[] }
  /** A tag for each word, said at its first token. */
  | { readonly kind: 'token-classification'; readonly labels: readonly string[] }
  /** Which of the second texts of a batch belongs to which of its first ones: cosines times `scale`; `symmetric`: also the other way round. */
  | { readonly kind: 'sentence-embedding'; readonly scale: number; readonly symmetric: boolean }
  | { readonly kind: 'image-classification'; readonly labels: readonly string[] }
  /** Which of a few texts belongs to a picture: a text for each class, in which {} stands for its name. */
  | { readonly kind: 'image-text'; readonly labels: readonly string[]; readonly template?: string }
  /** Which of the texts of a batch belongs to which of its pictures: one each. */
  | { readonly kind: 'image-caption' };
export type TaskKind = Task['kind'];

export const EMBEDDING = { kind: 'sentence-embedding', ...CONTRAST } as const satisfies Task;

/** Names of the classes of a task that has some. */
export const labelsOf = (task: Task): readonly string[] | null => ('labels' in task ? task.labels : null);
/** Whether a row has one label: a class, or the number of what belongs to it. Other tasks have one for each token. */
export const labelsRows = (task: Task): boolean => task.kind !== 'token-classification' && (labelsOf(task) !== null || task.kind === 'sentence-embedding' || task.kind === 'image-caption');

export interface Architecture<C = unknown> {
  readonly id: string;
  readonly kind: 'decoder' | 'encoder' | 'vit' | 'clip';
  /** The runtime class in transformers for each task that it can do: names in a checkpoint's `architectures`, and for adapter_config.json. */
  readonly classes: Readonly<Partial<Record<TaskKind, string>>>;
  /** Further names in `architectures` that this file reads: checkpoints without a head, which are taken for the task whose head is made. */
  readonly headless?: readonly string[];
  /** What a class with a head puts before the names of the model itself; checkpoints without a head leave it out. */
  readonly prefix?: string;
  /** The checked config; refuses by name what is not supported. */
  parse(json: unknown): C;
  info(config: C): ModelInfo;
  /** Layers of the task's own. */
  heads?(config: C, task: Task): readonly Head[];
  /** Hidden states [batch, time, hidden] that the head reads. */
  trunk(m: Scope, config: C): Tensor;
  /**
   * Of language models logits [..., vocab] of hidden states [..., hidden]: all of them, or some rows where the vocabulary is large.
   * Of classification logits [batch, classes] of all hidden states, of words [batch, time, classes]; of pairs of texts [batch, batch], first by second.
   */
  head(m: Scope, config: C, hidden: Tensor, task: Task): Tensor;
  /** Of models with a tower for texts beside the trunk, which is that for pictures: the head in its two parts. */
  readonly texts?: {
    /** The texts in the space of the trunk: [texts, size]. */
    embed(m: Scope, config: C): Tensor;
    /** Logits [pictures, texts]. */
    match(m: Scope, config: C, pictures: Tensor, texts: Tensor): Tensor;
  };
  /** Names in a checkpoint that the model does not read for this task (buffers, tied heads, heads of other tasks). */
  ignores(name: string, config: C, task: Task): boolean;
}

/** All logits: [batch, time, vocab], [batch, classes] of classification, [batch, time, classes] of words, or [batch, batch] of pairs. */
export const forward = <C>(model: Architecture<C>, m: Scope, config: C, task: Task): Tensor => model.head(m, config, model.trunk(m, config), task);

type Json = Readonly<Record<string, unknown>>;

/** Typed access to a config.json; every refusal names the key and says what was got. */
export class ConfigReader {
  private readonly json: Json;
  constructor(json: unknown) {
    if (typeof json !== 'object' || json === null || Array.isArray(json)) throw new ConfigError('config.json: not an object');
    this.json = json as Json;
  }

  size(key: string, fallback?: number): number {
    const value = this.json[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < 1) throw new ConfigError(`config.json: ${key}: wanted a whole number of at least 1, got ${JSON.stringify(value)}`);
    return value;
  }

  /** A token's id, say. */
  whole(key: string, fallback: number): number {
    const value = this.number(key, fallback);
    if (!Number.isInteger(value) || value < 0) throw new ConfigError(`config.json: ${key}: wanted a whole number, got ${value}`);
    return value;
  }

  number(key: string, fallback: number): number {
    const value = this.json[key] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new ConfigError(`config.json: ${key}: wanted a number, got ${JSON.stringify(value)}`);
    return value;
  }

  flag(key: string, fallback: boolean): boolean {
    const value = this.json[key] ?? fallback;
    if (typeof value !== 'boolean') throw new ConfigError(`config.json: ${key}: wanted true or false, got ${JSON.stringify(value)}`);
    return value;
  }

  text(key: string, fallback: string): string {
    const value = this.json[key] ?? fallback;
    if (typeof value !== 'string') throw new ConfigError(`config.json: ${key}: wanted a text, got ${JSON.stringify(value)}`);
    return value;
  }

  has(key: string): boolean {
    return this.json[key] !== undefined && this.json[key] !== null;
  }

  /** Whether null itself stands there, which for some keys is not the same as nothing. */
  isNull(key: string): boolean {
    return this.json[key] === null;
  }

  /** Refuses a list with any other value in it. */
  every(key: string, supported: string): void {
    const value = this.json[key] ?? [];
    const other = Array.isArray(value) ? value.find((entry) => entry !== supported) : value;
    if (other !== undefined) throw new ConfigError(`config.json: ${key} with ${JSON.stringify(other)} is not supported`, `Supported: ${JSON.stringify(supported)} throughout.`);
  }

  /** Refuses any value but the supported ones; absent and null count as the first. */
  only(key: string, ...supported: unknown[]): void {
    const value = this.json[key] ?? supported[0];
    if (!supported.some((s) => s === value)) {
      throw new ConfigError(`config.json: ${key} = ${JSON.stringify(value)} is not supported`, `Supported: ${supported.map((s) => JSON.stringify(s)).join(', ')}.`);
    }
  }

  missing(key: string): ConfigError {
    return new ConfigError(`config.json: ${key} is missing`, 'Is it the configuration of another class?');
  }

  /** Refuses what does not hold. */
  holds(condition: boolean, otherwise: string): void {
    if (!condition) throw new ConfigError(`config.json: ${otherwise}`);
  }

  /** Whether the value is this one; absent counts as it. */
  is(key: string, value: unknown): boolean {
    return (this.json[key] ?? value) === value;
  }

  /** Names of the classes in the order of their numbers, from id2label; [] where the config has none. */
  labels(): string[] {
    const value = this.json.id2label;
    if (typeof value !== 'object' || value === null) return [];
    return Object.entries(value).sort(([a], [b]) => Number(a) - Number(b)).map(([, label]) => String(label));
  }

  object(key: string): ConfigReader | null {
    const value = this.json[key];
    return value === undefined || value === null ? null : new ConfigReader(value);
  }
}

/** Size of a head; refuses sizes that the kernels of attention do not take. */
export function headSize(hidden: number, heads: number, hiddenKey = 'hidden_size', headsKey = 'num_attention_heads'): number {
  const size = hidden / heads;
  if (size % 4 !== 0) throw new ConfigError(`config.json: ${hiddenKey} = ${hidden} with ${headsKey} = ${heads} is not supported`, `The head size ${hiddenKey} / ${headsKey} must be a multiple of 4.`);
  return size;
}
