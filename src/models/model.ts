// What a model is to the rest: a parser of its config.json and a pure function from a scope to logits.
import type { Scope } from '../engine/nn/network';
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

export interface LanguageModel<C = unknown> {
  readonly id: string;
  /** `architectures` of config.json that this file reads. */
  readonly architectures: readonly string[];
  readonly kind: 'decoder';
  /** Runtime class in transformers, for adapter_config.json. */
  readonly baseClass: string;
  /** Module path that the runtime class puts before the checkpoint's names, usually none. */
  readonly runtimePrefix: string;
  /** The checked config; refuses by name what is not supported. */
  parse(json: unknown): C;
  info(config: C): ModelInfo;
  /** Hidden states [batch, time, hidden] that the head reads. */
  trunk(m: Scope, config: C): Tensor;
  /** Logits [..., vocab] of hidden states [..., hidden]: all of them, or some rows where the vocabulary is large. */
  head(m: Scope, config: C, hidden: Tensor): Tensor;
  /** Names in a checkpoint that the model does not read (buffers, tied heads). */
  ignores(name: string, config: C): boolean;
}

/** Logits [batch, time, vocab]. */
export const forward = <C>(model: LanguageModel<C>, m: Scope, config: C): Tensor => model.head(m, config, model.trunk(m, config));

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

  object(key: string): ConfigReader | null {
    const value = this.json[key];
    return value === undefined || value === null ? null : new ConfigReader(value);
  }
}
