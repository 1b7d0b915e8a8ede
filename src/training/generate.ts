// Writes text token by token over a cache of keys and values: one recording of a single token, replayed.
import type { Device } from '../engine/gpu/device';
import type { KvCache } from '../engine/nn/network';
import { streamOf } from '../engine/nn/init';
import type { Adapters } from '../engine/nn/site';
import { Graph } from '../engine/tensor/graph';
import { free } from '../engine/tensor/memory';
import { type Step, compile } from '../engine/tensor/step';
import { type Tensor, tensor } from '../engine/tensor/tensor';
import { ConfigError } from '../util/errors';
import { uniform } from '../util/random';
import type { BoundMethod } from './contract';
import type { LoadedModel } from './loaded';
import { callModel } from './task-loss';

export interface GenerateOptions {
  readonly maxTokens: number;
  /** 0 takes the likeliest token. */
  readonly temperature: number;
  /** Only the likeliest tokens that together have this probability; 1 = all. */
  readonly topP?: number;
  /** Only so many of the likeliest tokens; 0 = all. Taken before topP. */
  readonly topK?: number;
  /** Writing ends where one of these comes up; it is not part of the text. */
  readonly stop?: readonly string[];
  readonly seed: number;
  /** Called with each new piece of text; false stops. */
  readonly onText?: (text: string) => boolean | void;
}

export class Generator {
  private constructor(
    private readonly device: Device, private readonly loaded: LoadedModel, private readonly step: Step, private readonly cache: KvCache,
    private readonly id: Tensor, private readonly position: Tensor, private readonly logits: Tensor,
  ) {}

  /** For at most `capacity` tokens, prompt included; more than the model's context is cut to it. */
  static async create(device: Device, loaded: LoadedModel, adapters: Adapters, capacity: number, bound?: BoundMethod): Promise<Generator> {
    const [id, position] = [tensor('token', [1, 1], 'input', 'u32'), tensor('position', [1], 'input', 'u32')];
    const cache: KvCache = { capacity: Math.min(capacity, loaded.info.context), layers: new Map() };
    const graph = new Graph();
    const logits = graph.record(() => callModel(loaded, adapters, { ids: id, positions: position, cache, training: false }, bound));
    return new Generator(device, loaded, await compile(device, graph, { keep: [logits] }), cache, id, position, logits);
  }

  /** The ids that follow `prompt`, without it; ends at the end-of-text token, at maxTokens, or when the cache is full. */
  async generate(prompt: readonly number[], options: GenerateOptions): Promise<number[]> {
    const { capacity } = this.cache;
    if (prompt.length === 0) throw new ConfigError('sample: the prompt is empty', 'Write at least a word.');
    if (prompt.length >= capacity) throw new ConfigError(`sample: the prompt has ${prompt.length} tokens, there is room for ${capacity - 1}`, 'Shorten the prompt.');
    const feed = (token: number, at: number) => this.step.run(new Map([[this.id, Uint32Array.of(token)], [this.position, Uint32Array.of(at)]]));
    prompt.forEach(feed);
    const written: number[] = [];
    const text = this.loaded.tokenizer?.stream({ skipSpecial: true });
    const stop = stopAt(options.stop ?? []);
    while (written.length < options.maxTokens) {
      const at = prompt.length + written.length;
      const next = pick(await this.step.read(this.logits), options, at);
      if (next === this.loaded.tokenizer?.eos) break;
      written.push(next);
      const { show, end } = stop(text?.push(next) ?? '');
      if (options.onText?.(show) === false || end || at + 1 >= capacity) break;
      feed(next, at);
    }
    const rest = stop(text?.end() ?? '', true).show;
    if (rest !== '') options.onText?.(rest);
    return written;
  }

  dispose(): void {
    this.step.dispose();
    for (const { k, v } of this.cache.layers.values()) {
      free(this.device, k);
      free(this.device, v);
    }
    free(this.device, this.id);
    free(this.device, this.position);
  }
}

/** Watches a text for the strings that end it. What may be the beginning of one is held back until it is known. */
export function stopAt(stops: readonly string[]): (piece: string, last?: boolean) => { show: string; end: boolean } {
  const wanted = stops.filter((stop) => stop !== '');
  let held = '';
  let ended = false;
  return (piece, last = false) => {
    if (ended) return { show: '', end: true };
    held += piece;
    const at = Math.min(...wanted.map((stop) => held.indexOf(stop)).filter((found) => found >= 0));
    ended = Number.isFinite(at);
    // The longest end of the text that some string begins with.
    let keep = 0;
    if (!ended && !last) for (const stop of wanted) for (let n = Math.min(stop.length - 1, held.length); n > keep; n--) if (held.endsWith(stop.slice(0, n))) keep = n;
    const show = ended ? held.slice(0, at) : held.slice(0, held.length - keep);
    held = ended ? '' : held.slice(held.length - keep);
    return { show, end: ended };
  };
}

/** Draws a token; the draw at position `at` is a pure function of the seed, so that two models can be compared. */
function pick(logits: Float32Array, { temperature, topP = 1, topK = 0, seed }: GenerateOptions, at: number): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i;
  if (temperature === 0) return best;
  const top = logits[best] as number;
  const weights = Float64Array.from(logits, (x) => Math.exp((x - top) / temperature));
  const order = topP < 1 || topK > 0 ? nucleus(weights, topP, topK) : [...weights.keys()];
  const total = order.reduce((sum, i) => sum + (weights[i] as number), 0);
  let left = uniform(seed, streamOf('sample'), at) * total;
  for (const i of order) {
    left -= weights[i] as number;
    if (left < 0) return i;
  }
  return best;
}

function nucleus(weights: Float64Array, topP: number, topK: number): number[] {
  const sorted = [...weights.keys()].sort((a, b) => (weights[b] as number) - (weights[a] as number) || a - b);
  const order = topK > 0 ? sorted.slice(0, topK) : sorted;
  const total = order.reduce((sum, i) => sum + (weights[i] as number), 0);
  let sum = 0;
  const end = order.findIndex((i) => (sum += weights[i] as number) >= topP * total);
  return order.slice(0, end < 0 ? order.length : end + 1);
}

/** The ids of a prompt. With `chat`, a prompt without the model's own markers becomes a user's turn that the model is to answer. */
export async function promptIds({ tokenizer, name }: LoadedModel, prompt: string, chat: boolean): Promise<number[]> {
  if (!tokenizer) throw new ConfigError(`${name}: the model has no tokenizer.json`, 'Add tokenizer.json to its folder.');
  const plain = tokenizer.encode(prompt, { addSpecial: false });
  const marked = tokenizer.decode(plain, { skipSpecial: true }) !== tokenizer.decode(plain);
  const turn = chat && !marked ? await tokenizer.chat([{ role: 'user', content: prompt }], { addGenerationPrompt: true }) : null;
  return turn === null ? tokenizer.encode(prompt) : tokenizer.encode(turn, { addSpecial: false });
}
