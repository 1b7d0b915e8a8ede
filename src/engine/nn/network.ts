// A model's parameters by their checkpoint names, and its sites. Adapters come with each call, as a map from site to adapter:
// attaching is an entry in it, switching off is an empty map.
import { ShapeError } from '../../util/errors';
import { GROUP, type WeightKind } from '../../util/packed';
import { addColumns, attention, embedding, layerNorm, matmul, positionsUpTo, rmsNorm, writeCache } from '../ops';
import { current } from '../tensor/graph';
import { type Shape, type Tensor, constant, lastOf, sameShape, sizeOf, tensor } from '../tensor/tensor';
import type { Init } from './init';
import { type Adapters, type CallOptions, type LinearSite, type NamedWeight, type Site, depthOf, linearSite, namedWeight } from './site';

export interface Weight {
  readonly tensor: Tensor;
  /** The checkpoint stores [in, out]; the loader turns it. */
  readonly transposed: boolean;
}

/** Layers that belong to the task more than to the model: trained whole beside the adapters, and saved whole. No adapter sits on them. */
export interface Head {
  /** 'classifier': its weights are those whose names begin so. */
  readonly module: string;
  /** Trained even where the checkpoint has it; otherwise only where it had to be made. */
  readonly always: boolean;
  /** Standard deviation of new matrices. */
  readonly std: number;
}

/** Keys and values of the tokens so far, for writing text token by token. */
export interface KvCache {
  readonly capacity: number;
  readonly layers: Map<string, { k: Tensor; v: Tensor }>;
}

/** What one call of a model needs beside its weights. */
export interface ModelCall extends CallOptions {
  readonly adapters: Adapters;
  /** u32 [batch, time]; of models that read text. */
  readonly ids?: Tensor;
  /** f32 [batch, channels, size, size]; of models that read pictures. */
  readonly pixels?: Tensor;
  /** u32 [texts]: where each text is read, as a row among [texts · time]. */
  readonly ends?: Tensor;
  /** u32 [batch, time], 0 = padding that no token may attend to. */
  readonly mask?: Tensor;
  /** u32 [batch, time]: which of two texts a token belongs to; default the first. */
  readonly types?: Tensor;
  /** What stands in for weights of heads, by name: a run trains copies, and leaves the model as it is. */
  readonly heads?: ReadonlyMap<string, Tensor>;
  /** u32 [time]; with a cache, where these tokens stand. */
  readonly positions?: Tensor;
  readonly cache?: KvCache;
}

export class Network {
  readonly weights = new Map<string, Weight>();
  readonly sites = new Map<string, Site>();
  /** Weights of heads that the checkpoint lacks. */
  readonly created = new Set<string>();

  /**
   * `kind`: how frozen weights are kept, as far as their sizes allow it. All that trains, and all that is computed, is f32.
   * `dropped`: the first part of names that the class of the task does without.
   */
  constructor(readonly heads: readonly Head[] = [], readonly kind: WeightKind = 'f32', readonly dropped?: string) {}

  /** The head that a weight or layer belongs to. */
  headOf(name: string): Head | undefined {
    return this.heads.find(({ module }) => name === module || name.startsWith(`${module}.`));
  }

  /** How a weight of a head starts. */
  initOf(name: string): Exclude<Init, { kind: 'values' | 'copy' }> {
    const { shape } = (this.weights.get(name) as Weight).tensor;
    if (shape.length > 1) return { kind: 'normal', std: this.headOf(name)?.std ?? 0.02 };
    return { kind: name.endsWith('.bias') ? 'zeros' : 'ones' };
  }

  /** Names of the weights that are trained whole. */
  get trainedWhole(): string[] {
    return [...this.weights.keys()].filter((name) => this.headOf(name)?.always || this.created.has(name));
  }

  scope(call: ModelCall): Scope {
    return new Scope(this, call, '');
  }

  /** The tensor of a checkpoint name; the first call creates it, later calls must agree on its shape. */
  weight(name: string, shape: Shape, transposed: boolean, linear = false): Tensor {
    let found = this.weights.get(name);
    if (!found) {
      found = { tensor: tensor(name, shape, 'param', this.keptAs(name, shape, linear)), transposed };
      this.weights.set(name, found);
    }
    if (!sameShape(found.tensor.shape, shape)) throw new ShapeError(`${name}: used as [${shape.join(', ')}] and as [${found.tensor.shape.join(', ')}]`);
    return found.tensor;
  }

  /** Linear layers of the blocks as this network's kind; other matrices, and rows that scales do not fit, as halves; the rest in f32. */
  private keptAs(name: string, shape: Shape, linear: boolean): WeightKind {
    if (this.kind === 'f32' || shape.length !== 2 || this.headOf(name)) return 'f32';
    if (this.kind !== 'f16' && linear && depthOf(name) >= 0 && (shape[1] as number) % GROUP === 0) return this.kind;
    return shape.every((size) => size % 4 === 0) ? 'f16' : 'f32';
  }

  /** Every weight that is none of these sites', nor of a head that trains anyway. */
  weightsBeside(sites: readonly Site[]): NamedWeight[] {
    const ownersOf = (all: Iterable<Site>) => new Set([...all].flatMap(({ name }) => [`${name}.weight`, `${name}.bias`]));
    const [taken, linear] = [new Set([...ownersOf(sites), ...this.trainedWhole]), ownersOf(this.sites.values())];
    return [...this.weights].filter(([name]) => !taken.has(name)).map(([name, { tensor: t }]) => namedWeight(name, t, linear.has(name)));
  }

  get parameters(): number {
    return [...this.weights.values()].reduce((sum, { tensor: t }) => sum + sizeOf(t.shape), 0);
  }
}

export interface LinearOptions {
  bias?: boolean;
  /** The checkpoint stores the weight as [in, out]. */
  transposed?: boolean;
}

/** Named access to parameters during one model call. */
export class Scope {
  constructor(private readonly network: Network, readonly call: ModelCall, private readonly prefix: string) {}

  at(name: string): Scope {
    return this.prefix === '' && name === this.network.dropped ? this : new Scope(this.network, this.call, this.path(name));
  }

  /** One block of the model: what it holds for the backward pass may be recomputed as a whole. */
  block(build: () => Tensor): Tensor {
    return current().segment(build);
  }

  param(name: string, shape: Shape): Tensor {
    const full = this.path(name);
    const own = this.network.weight(full, shape, false);
    return this.call.heads?.get(full) ?? this.standIn(full) ?? own;
  }

  /** x Wᵀ (+ b), through the adapter that is attached here, if any. */
  linear(name: string, x: Tensor, out: number, { bias = false, transposed = false }: LinearOptions = {}): Tensor {
    if (this.network.headOf(this.path(name))) {
      const y = matmul(x, this.param(`${name}.weight`, [out, lastOf(x)]), { tb: true });
      return bias ? addColumns(y, this.param(`${name}.bias`, [out])) : y;
    }
    const site = this.site(this.path(name), out, lastOf(x), bias, transposed);
    const adapter = this.call.adapters.get(site.name);
    if (!adapter) return site.base(x, this.standIn(`${site.name}.weight`), this.standIn(`${site.name}.bias`));
    return adapter.apply ? adapter.apply(x, this.call) : site.base(x, adapter.weight(), adapter.bias?.());
  }

  embedding(name: string, ids: Tensor, vocab: number, columns: number): Tensor {
    return embedding(ids, this.param(`${name}.weight`, [vocab, columns]));
  }

  /** A table [count, columns] added to x [batch, time, columns] by position. */
  positionEmbedding(name: string, count: number, columns: number): Tensor {
    return embedding(this.positions(), this.param(`${name}.weight`, [count, columns]));
  }

  rmsNorm(name: string, x: Tensor, eps: number): Tensor {
    return rmsNorm(x, this.param(`${name}.weight`, [lastOf(x)]), eps);
  }

  layerNorm(name: string, x: Tensor, eps: number): Tensor {
    return layerNorm(x, this.param(`${name}.weight`, [lastOf(x)]), this.param(`${name}.bias`, [lastOf(x)]), eps);
  }

  /** Logits by the transposed embedding table. */
  tiedHead(name: string, x: Tensor, vocab: number): Tensor {
    return matmul(x, this.param(`${name}.weight`, [vocab, lastOf(x)]), { tb: true });
  }

  ids(): Tensor {
    if (!this.call.ids) throw new ShapeError('the model reads text, and the call has no ids');
    return this.call.ids;
  }

  pixels(): Tensor {
    if (!this.call.pixels) throw new ShapeError('the model reads pictures, and the call has no pixels');
    return this.call.pixels;
  }

  ends(): Tensor {
    if (!this.call.ends) throw new ShapeError('the model reads texts at their ends, and the call does not say where they are');
    return this.call.ends;
  }

  /** Which of two texts each token belongs to, u32 [batch, time]. */
  types(): Tensor {
    const ids = this.ids();
    return this.call.types ?? constant(`zeros ${ids.shape.join()}`, ids.shape, 'u32', () => new Uint32Array(sizeOf(ids.shape)));
  }

  positions(): Tensor {
    return this.call.positions ?? positionsUpTo(this.ids().shape[1] as number);
  }

  /** Causal grouped-query attention, over the cache where the call has one. */
  attention(q: Tensor, k: Tensor, v: Tensor, heads: number, kvHeads: number): Tensor {
    const { cache, mask, positions } = this.call;
    if (!cache) return attention(q, k, v, { heads, kvHeads, causal: true, mask });
    const kept = this.cached(cache, k);
    writeCache(kept.k, k, this.positions());
    writeCache(kept.v, v, this.positions());
    return attention(q, kept.k, kept.v, { heads, kvHeads, causal: true, positions });
  }

  /** Attention of every token to every token that is not padding. */
  attentionToAll(q: Tensor, k: Tensor, v: Tensor, heads: number): Tensor {
    return attention(q, k, v, { heads, kvHeads: heads, causal: false, mask: this.call.mask });
  }

  /** What an adapter puts in place of a weight, by its whole name. */
  private standIn(name: string): Tensor | undefined {
    return this.call.adapters.get(name)?.weight();
  }

  private cached(cache: KvCache, k: Tensor): { k: Tensor; v: Tensor } {
    let kept = cache.layers.get(this.prefix);
    if (!kept) {
      const shape = [k.shape[0] as number, cache.capacity, lastOf(k)];
      kept = { k: tensor(`${this.prefix}.cache_k`, shape, 'param'), v: tensor(`${this.prefix}.cache_v`, shape, 'param') };
      cache.layers.set(this.prefix, kept);
    }
    return kept;
  }

  private site(name: string, out: number, inn: number, bias: boolean, transposed: boolean): LinearSite {
    let site = this.network.sites.get(name);
    if (!site) {
      const weight = this.network.weight(`${name}.weight`, [out, inn], transposed, true);
      const offset = bias ? this.network.weight(`${name}.bias`, [out], false) : undefined;
      site = linearSite(name, depthOf(name), weight, offset);
      this.network.sites.set(name, site);
    }
    return site;
  }

  private path(name: string): string {
    return this.prefix ? `${this.prefix}.${name}` : name;
  }
}

