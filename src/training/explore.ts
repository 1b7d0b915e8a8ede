// A trained adapter taken apart. One recorded evaluation holds it at full rank in the form y = xWᵀ + ((xVᵀ)·g)Uᵀ, and a cut is nothing
// but another g = strength·σ·mask: no buffer is made and no kernel compiled between two looks.
import type { Device } from '../engine/gpu/device';
import type { LowRankSvd } from '../engine/linalg/low-rank-svd';
import { type Pause, spectrumOf } from '../engine/linalg/spectrum';
import { type Adapter, type Adapters, type LinearSite, noAdapters } from '../engine/nn/site';
import { matmul, scaleColumns } from '../engine/ops';
import { type Arena, allocateArena, free, freeArena, layout, readF32, write } from '../engine/tensor/memory';
import { type Tensor, tensor } from '../engine/tensor/tensor';
import type { LoraModule } from '../formats/peft';
import { ConfigError } from '../util/errors';
import { siteOf } from './attach';
import type { Basis, Cut } from './cut';
import { Evaluator, type TokenBatch } from './evaluate';
import type { TrainedModule } from './export';
import type { CutTexts, ExploreCard, ExploredModule, Measured, ModuleDetail, Pieces } from './explore-card';
import { Generator, promptIds } from './generate';
import type { LoadedModel } from './loaded';
import { cutModule, decompose, withOneAlpha } from './truncate';

export interface ExploreOptions {
  readonly device: Device;
  readonly loaded: LoadedModel;
  readonly modules: readonly TrainedModule[];
  /** Held-out batches of `shape`; without any nothing can be measured. */
  readonly batches: readonly TokenBatch[];
  readonly shape: readonly [number, number];
  /** Whether a prompt is a user's turn: the data are prompts with answers. */
  readonly chat: boolean;
  readonly sample: { readonly maxTokens: number; readonly temperature: number; readonly seed: number };
  readonly progress?: (task: string, done: number, total: number) => void;
}

interface Part {
  readonly site: LinearSite;
  readonly module: LoraModule;
  readonly svd: LowRankSvd;
  /** The trained ranks in the order in which a cut keeps them. */
  readonly trained: LoraModule;
  readonly card: ExploredModule;
  readonly U: Tensor;
  readonly V: Tensor;
  readonly g: Tensor;
}

/** Rows and columns of ΔW that a picture shows. */
const PICTURE = 64;
/** Tokens of a held-out row that name it. */
const ROW_TOKENS = 16;

export class Explorer {
  readonly card: ExploreCard;
  private basis: Basis | null = null;
  private tail: Promise<unknown> = Promise.resolve();
  private newest = 0;
  private newestText = 0;
  private survey = 0;
  private disposed = false;
  private readonly generators = new Map<string, Generator>();
  private readonly texts = new Map<string, Pieces>();

  private constructor(private readonly options: ExploreOptions, private readonly parts: readonly Part[], private readonly arena: Arena, private readonly adapters: Adapters, private readonly evaluator: Evaluator, bytes: number) {
    this.card = { modules: parts.map((part) => part.card), ...heldOut(options), bytes };
  }

  /** On failure nothing stays allocated. */
  static async open(options: ExploreOptions): Promise<Explorer> {
    const { device, loaded, shape, progress } = options;
    const before = device.bytes;
    const trained = options.modules.filter(({ module }) => module.rank > 0);
    if (trained.length === 0) throw new ConfigError('the adapter has no module with a rank above 0', 'Train with a smaller penalty, so that something is left to look at.');
    const parts: Part[] = [];
    for (const one of trained) {
      parts.push(partOf(siteOf(loaded.network, one.module), one));
      progress?.('Singular values of ΔW', parts.length, trained.length);
      await breath();
    }
    const gates = parts.map((part) => part.g);
    const arena = allocateArena(device, tensor('explore.gates', [layout(gates).length], 'param'), gates);
    try {
      const adapters = new Map<string, Adapter>(parts.map((part) => [part.site.name, adapterOf(part)]));
      // Losses by row want all logits in one buffer.
      const evaluator = await Evaluator.create(device, loaded, adapters, shape, { rows: 4 * shape[0] * shape[1] * loaded.info.vocab <= device.largestBuffer });
      const explorer = new Explorer(options, parts, arena, adapters, evaluator, 0);
      explorer.write({ basis: 'svd', keep: parts.map(() => 0), strength: 0 });
      explorer.card.bytes = device.bytes - before;
      return explorer;
    } catch (error) {
      freeParts(device, parts, arena);
      throw error;
    }
  }

  /** Singular directions by site, for a comparison with another adapter's. */
  get directions(): { site: string; svd: LowRankSvd }[] {
    return this.parts.map(({ site, svd }) => ({ site: site.name, svd }));
  }

  /** The held-out loss of a cut. Null where a newer call took its place, which ends this one after the batch it is at. */
  evaluate(cut: Cut): Promise<Measured | null> {
    this.check(cut);
    const ticket = ++this.newest;
    this.newestText++;
    return this.turn(() => this.measure(cut, () => ticket === this.newest));
  }

  /** The prompt written on by the base model, by the whole adapter and by the cut one, all with the same seed. */
  textsOf(cut: Cut, prompt: string): Promise<CutTexts | null> {
    this.check(cut);
    const ticket = ++this.newestText;
    const mine = () => ticket === this.newestText;
    return this.turn(async () => {
      const [off, whole] = [await this.text('off', null, prompt, mine), await this.text('whole', this.whole, prompt, mine)];
      const now = await this.text('', cut, prompt, mine);
      return off && whole && now ? { prompt, off, whole, cut: now } : null;
    });
  }

  /** How much the held-out loss rises when each module by itself is left out; null when `cancel` came. Other calls go between. */
  async importance(): Promise<Float64Array | null> {
    const ticket = ++this.survey;
    const mine = () => ticket === this.survey;
    const rises = new Float64Array(this.parts.length);
    const report = (done: number) => this.options.progress?.('Loss without each module', done, rises.length);
    try {
      const whole = await this.turn(() => this.measure(this.whole, mine));
      for (let m = 0; m < rises.length; m++) {
        const without = await this.turn(() => this.measure({ ...this.whole, keep: this.whole.keep.map((k, i) => (i === m ? 0 : k)) }, mine));
        if (!whole || !without) return null;
        rises[m] = without.loss - whole.loss;
        report(m + 1);
      }
    } finally {
      // However it ends, nothing goes on.
      report(rises.length);
    }
    return rises;
  }

  cancel(): void {
    this.survey++;
    this.newestText++;
  }

  async detail(module: number): Promise<ModuleDetail> {
    const { site, svd } = this.part(module);
    const [out, inn] = site.shape;
    const [rows, columns, r] = [Math.min(PICTURE, out), Math.min(PICTURE, inn), svd.sigma.length];
    const spaced = (i: number, shown: number, all: number) => Math.floor(((i + 0.5) * all) / shown);
    const weights = await readF32(this.options.device, site.weight);
    return {
      left: Float32Array.from({ length: rows * r }, (_, at) => (svd.left[at % r] as Float64Array)[spaced(Math.floor(at / r), rows, out)] as number),
      right: Float32Array.from({ length: r * columns }, (_, at) => (svd.right[Math.floor(at / columns)] as Float64Array)[spaced(at % columns, columns, inn)] as number),
      rows, columns,
      weightNorm: Math.sqrt(weights.reduce((sum, w) => sum + w * w, 0)),
    };
  }

  /** Singular values of the frozen layer. */
  async weights(module: number): Promise<Float64Array> {
    const { site } = this.part(module);
    const pause: Pause = async (done) => {
      this.options.progress?.('Singular values of W', Math.round(100 * done), 101);
      await breath();
      if (this.disposed) throw new ConfigError('the adapter was closed meanwhile', 'Open it again.');
    };
    try {
      return await spectrumOf(await readF32(this.options.device, site.weight), ...site.shape, pause);
    } finally {
      this.options.progress?.('Singular values of W', 101, 101);
    }
  }

  /** The cut adapter as factors with one alpha; modules that keep nothing have rank 0. */
  modulesOf(cut: Cut): LoraModule[] {
    this.check(cut);
    if (cut.strength === 0 || cut.keep.every((k) => k === 0)) throw new ConfigError('nothing is left of the adapter at this cut', 'Keep at least one component, at a strength other than 0.');
    const kept = this.parts.map(({ module, svd, trained }, m) => {
      const keep = cut.keep[m] as number;
      return cut.basis === 'svd' ? cutModule(module, svd, keep, cut.strength) : firstRanks(trained, keep, cut.strength);
    });
    return withOneAlpha(kept);
  }

  /** What is recorded: for a comparison of logits with an exported file. */
  async attached<T>(cut: Cut, use: (adapters: Adapters) => Promise<T>): Promise<T> {
    this.check(cut);
    return this.turn(async () => {
      this.write(cut);
      return use(this.adapters);
    });
  }

  async dispose(): Promise<void> {
    this.disposed = true;
    this.newest++;
    this.cancel();
    await this.tail;
    const { device } = this.options;
    for (const generator of this.generators.values()) generator.dispose();
    this.evaluator.dispose();
    freeParts(device, this.parts, this.arena);
  }

  private get whole(): Cut {
    return { basis: 'svd', keep: this.parts.map(({ svd }) => svd.sigma.length), strength: 1 };
  }

  private part(module: number): Part {
    const part = this.parts[module];
    if (!part) throw new ConfigError(`there is no module ${module}; the adapter has ${this.parts.length}`);
    return part;
  }

  private check({ keep, strength }: Cut): void {
    if (this.disposed) throw new ConfigError('the adapter was closed', 'Open it again.');
    const wrong = keep.findIndex((k, m) => !Number.isInteger(k) || k < 0 || k > (this.parts[m]?.module.rank ?? -1));
    if (wrong >= 0 || keep.length !== this.parts.length) throw new ConfigError(`cut: ${wrong < 0 ? `${keep.length} numbers for ${this.parts.length} modules` : `${this.parts[wrong]?.site.name ?? wrong} cannot keep ${keep[wrong]}`}`, 'Open the adapter again.');
    if (!Number.isFinite(strength)) throw new ConfigError(`cut: strength ${strength} is no number`);
  }

  /** One after the other: all of them write the same gates. */
  private turn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.tail.then(work);
    this.tail = result.catch(() => {});
    return result;
  }

  private async measure(cut: Cut, mine: () => boolean): Promise<Measured | null> {
    const { batches } = this.options;
    if (batches.length === 0) throw new ConfigError('nothing is held out, so that no loss can be measured', 'Train with a share held out for validation.');
    const began = performance.now();
    let [sum, tokens] = [0, 0];
    const rows: number[] = [];
    if (mine()) this.write(cut);
    for (const batch of batches) {
      if (!mine()) return null;
      const part = await this.evaluator.byRow(batch);
      sum += part.loss * part.tokens;
      tokens += part.tokens;
      rows.push(...part.rows.filter((row) => row.tokens > 0).map((row) => row.loss));
    }
    return { loss: sum / Math.max(tokens, 1), rows: Float32Array.from(rows), seconds: (performance.now() - began) / 1000 };
  }

  /** Kept by prompt for the base model and the whole adapter, which do not change. */
  private async text(keep: 'off' | 'whole' | '', cut: Cut | null, prompt: string, mine: () => boolean): Promise<Pieces | null> {
    const key = `${keep} ${prompt}`;
    const kept = keep ? this.texts.get(key) : undefined;
    if (kept) return kept;
    if (!mine()) return null;
    const { loaded, sample, chat } = this.options;
    const ids = await promptIds(loaded, prompt, chat);
    const generator = await this.generator(cut ? 'on' : 'off', ids.length + sample.maxTokens);
    if (cut) this.write(cut);
    const written = await generator.generate(ids, { ...sample, topP: 0.9, onText: () => mine() });
    if (!mine()) return null;
    const pieces = loaded.tokenizer?.pieces(written) ?? [];
    if (keep) this.texts.set(key, pieces);
    return pieces;
  }

  private async generator(which: 'off' | 'on', tokens: number): Promise<Generator> {
    const capacity = 64 * Math.ceil(tokens / 64);
    const key = `${which} ${capacity}`;
    let found = this.generators.get(key);
    if (!found) {
      found = await Generator.create(this.options.device, this.options.loaded, which === 'on' ? this.adapters : noAdapters, capacity);
      this.generators.set(key, found);
    }
    return found;
  }

  /** Puts a cut in place, before whatever is submitted next. */
  private write({ basis, keep, strength }: Cut): void {
    const { device } = this.options;
    const flat = new Float32Array(this.arena.flat.shape[0] as number);
    this.parts.forEach((part, m) => {
      if (this.basis !== basis) for (const [t, data] of factorsOf(part, basis)) write(device, t, data);
      const start = this.arena.starts[m] as number;
      for (let k = 0; k < (keep[m] as number); k++) flat[start + k] = strength * (basis === 'svd' ? (part.svd.sigma[k] as number) : part.module.scale);
    });
    this.basis = basis;
    write(device, this.arena.flat, flat);
  }
}

function partOf(site: LinearSite, { module, gates }: TrainedModule): Part {
  const svd = decompose(module);
  const { rank, A, B, inn, out, scale } = module;
  const sizes = Float64Array.from({ length: rank }, (_, k) => {
    let [a, b] = [0, 0];
    for (let i = 0; i < inn; i++) a += (A[k * inn + i] as number) ** 2;
    for (let o = 0; o < out; o++) b += (B[o * rank + k] as number) ** 2;
    return Math.abs(scale) * Math.sqrt(a * b);
  });
  const by = gates?.length === rank ? gates.map(Math.abs) : sizes;
  const order = [...sizes.keys()].sort((x, y) => (by[y] as number) - (by[x] as number) || x - y);
  const trained: LoraModule = {
    ...module,
    A: Float32Array.from({ length: rank * inn }, (_, at) => A[(order[Math.floor(at / inn)] as number) * inn + (at % inn)] as number),
    B: Float32Array.from({ length: out * rank }, (_, at) => B[Math.floor(at / rank) * rank + (order[at % rank] as number)] as number),
  };
  const param = (name: string, shape: number[]) => tensor(`${site.name}.explore_${name}`, shape, 'param');
  return {
    site, module, svd, trained,
    card: {
      site: site.name, depth: site.depth, module: site.module, shape: [out, inn], sigma: svd.sigma, sizes: Float64Array.from(order, (k) => sizes[k] as number),
      ...(by === sizes ? {} : { gates: Float64Array.from(order, (k) => by[k] as number) }),
    },
    U: param('U', [out, rank]), V: param('V', [rank, inn]), g: param('g', [rank]),
  };
}

function adapterOf({ site, U, V, g }: Part): Adapter {
  return {
    params: {},
    weight: () => matmul(scaleColumns(U, g), V, { c: site.weight }),
    apply: (x) => matmul(scaleColumns(matmul(x, V, { tb: true }), g), U, { tb: true, c: site.base(x) }),
  };
}

function factorsOf({ module: { rank, inn, out }, svd, trained, U, V }: Part, basis: Basis): [Tensor, Float32Array][] {
  if (basis === 'trained') return [[U, trained.B], [V, trained.A]];
  return [
    [U, Float32Array.from({ length: out * rank }, (_, at) => (svd.left[at % rank] as Float64Array)[Math.floor(at / rank)] as number)],
    [V, Float32Array.from({ length: rank * inn }, (_, at) => (svd.right[Math.floor(at / inn)] as Float64Array)[at % inn] as number)],
  ];
}

/** The first `keep` ranks, the scale times `strength`. */
function firstRanks(module: LoraModule, keep: number, strength: number): LoraModule {
  const { A, B, rank, inn, out, scale } = module;
  return { ...module, rank: keep, scale: scale * strength, A: A.slice(0, keep * inn), B: Float32Array.from({ length: out * keep }, (_, at) => B[Math.floor(at / keep) * rank + (at % keep)] as number) };
}

function heldOut({ batches, shape: [count, time], loaded }: ExploreOptions): { rows: string[]; tokens: number } {
  const rows: string[] = [];
  let tokens = 0;
  for (const { input_ids, labels } of batches) {
    for (let row = 0; row < count; row++) {
      // A row's first token is never predicted.
      const targets = labels.subarray(row * time + 1, (row + 1) * time);
      const labelled = targets.filter((label) => label >= 0).length;
      tokens += labelled;
      if (labelled === 0) continue;
      const first = row * time + Math.max(0, targets.findIndex((label) => label >= 0));
      rows.push(loaded.tokenizer?.decode([...input_ids.subarray(first, Math.min(first + ROW_TOKENS, (row + 1) * time))], { skipSpecial: true }).trim() ?? '');
    }
  }
  return { rows, tokens };
}

function freeParts(device: Device, parts: readonly Part[], arena: Arena): void {
  for (const { U, V } of parts) {
    free(device, U);
    free(device, V);
  }
  freeArena(device, arena);
}

/** Lets other work of this thread through. */
const breath = () => new Promise<void>((resolve) => { setTimeout(resolve); });
