// What a model is to the rest: a parser of its config.json and a pure function from a scope to logits.
import type { Head, Scope } from '../engine/nn/network';
import type { Tensor } from '../engine/tensor/tensor';
import { ConfigError } from '../util/errors';

export interface ModelInfo {
  readonly layers: number;
  readonly hidden: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocab: number;
  /** Most tokens in a row. */
  readonly context: number;
}

/** What a model is asked for. `labels`: names of the classes, by number. */
export type Task =
  | { readonly kind: 'causal-lm' }
  | { readonly kind: 'masked-lm' }
  | { readonly kind: 'sequence-classification'; readonly labels: readonly string[] };
export type TaskKind = Task['kind'];

export interface Architecture<C = unknown> {
  readonly id: string;
  readonly kind: 'decoder' | 'encoder';
  /** The runtime class in transformers for each task that it can do: names in a checkpoint's `architectures`, and for adapter_config.json. */
  readonly classes: Readonly<Partial<Record<TaskKind, string>>>;
  /** Further names in `architectures` that this file reads: checkpoints without a head. */
  readonly headless?: readonly string[];
  /** The checked config; refuses by name what is not supported. */
  parse(json: unknown): C;
  info(config: C): ModelInfo;
  /** Layers of the task's own. */
  heads?(config: C, task: Task): readonly Head[];
  /** Hidden states [batch, time, hidden] that the head reads. */
  trunk(m: Scope, config: C): Tensor;
  /**
   * Of language models logits [..., vocab] of hidden states [..., hidden]: all of them, or some rows where the vocabulary is large.
   * Of classification logits [batch, classes] of all hidden states.
   */
  head(m: Scope, config: C, hidden: Tensor, task: Task): Tensor;
  /** Names in a checkpoint that the model does not read for this task (buffers, tied heads, heads of other tasks). */
  ignores(name: string, config: C, task: Task): boolean;
}

/** All logits: [batch, time, vocab], or [batch, classes] of classification. */
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

  /** Refuses any value but the supported ones; absent and null count as the first. */
  only(key: string, ...supported: unknown[]): void {
    const value = this.json[key] ?? supported[0];
    if (!supported.some((s) => s === value)) {
      throw new ConfigError(`config.json: ${key} = ${JSON.stringify(value)} is not supported`, `Supported: ${supported.map((s) => JSON.stringify(s)).join(', ')}.`);
    }
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
