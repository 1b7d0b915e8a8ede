// The adapter that Explore has open: what it is cut to, and everything measured of it. A cut is sent to the engine a moment after it
// stood still; a newer one takes the place of an older that is being measured. Only what came back as measured is ever shown.
import { createStore, type StoreApi } from 'zustand/vanilla';
import { type EngineClient, readFailure } from '../worker/client';
import {
  allocate, type Cut, type CutTexts, type ExploreCard, type ExploreSource, type Failure, keepEnergy, keepLargest, keepRank, type Measured, type ModuleDetail, type OverlapCard, present, type RunId,
} from './contract';

/** rank: at most so many in each module · components: the largest of all · energy: a share of Σσ² in each · gates: trained ranks by their gates. */
export const CUT_MODES = ['rank', 'components', 'energy', 'gates'] as const;
export type CutMode = (typeof CUT_MODES)[number];

/** A measured place on the curve of a mode. */
export interface CurvePoint { at: number; components: number; parameters: number; loss: number }

export interface Allocation { name: 'even' | 'energy' | 'loss'; keep: readonly number[]; components: number; parameters: number; loss: number }

export interface ExploreState {
  status: 'closed' | 'opening' | 'open' | 'failed';
  /** What is open or being opened; a run at the step it stood at. */
  source: { key: string; name: string; run: string | null; step: number } | null;
  card: ExploreCard | null;
  error: Failure | null;
  mode: CutMode;
  /** Where each mode's slider stands. */
  at: Readonly<Record<CutMode, number>>;
  /** Modules that the slider does not decide: how many components they keep. */
  given: Readonly<Record<number, number>>;
  strength: number;
  /** The newest measurement, and the cut it belongs to. */
  measured: { cut: Cut; result: Measured } | null;
  measuring: boolean;
  measureError: Failure | null;
  whole: Measured | null;
  base: Measured | null;
  points: Readonly<Record<CutMode, readonly CurvePoint[]>>;
  /** Curves of adapters that were open before, newest first. */
  others: readonly { name: string; points: Readonly<Record<CutMode, readonly CurvePoint[]>> }[];
  /** A longer measurement that goes on. */
  task: { kind: 'curve' | 'smallest' | 'importance' | 'allocations'; done: number; total: number } | null;
  taskError: Failure | null;
  /** Rise of the loss without each module. */
  importance: Float64Array | null;
  allocations: { budget: number; rows: readonly Allocation[] } | null;
  prompt: string;
  /** Writes the texts anew after each measurement. */
  follow: boolean;
  texts: { cut: Cut; result: CutTexts } | null;
  writing: boolean;
  textError: Failure | null;
  selected: number;
  details: Readonly<Record<number, ModuleDetail>>;
  weights: Readonly<Record<number, Float64Array | 'reading'>>;
  overlap: { status: 'reading' | 'ready' | 'failed'; name: string; card: OverlapCard | null; error: Failure | null } | null;
}

const noPoints = { rank: [], components: [], energy: [], gates: [] };
const closed: ExploreState = {
  status: 'closed', source: null, card: null, error: null, mode: 'components', at: { rank: 0, components: 0, energy: 1, gates: 0 }, given: {}, strength: 1,
  measured: null, measuring: false, measureError: null, whole: null, base: null, points: noPoints, others: [], task: null, taskError: null, importance: null, allocations: null,
  prompt: '', follow: true, texts: null, writing: false, textError: null, selected: 0, details: {}, weights: {}, overlap: null,
};

export interface Explore {
  readonly store: StoreApi<ExploreState>;
  open(source: ExploreSource, told: { name: string; step: number; prompt: string }): Promise<void>;
  /** What was open is gone with its device. */
  close(): void;
  mode(mode: CutMode): void;
  move(at: number): void;
  strength(strength: number): void;
  /** Sets how much a module keeps by itself; null gives it back to the slider. */
  give(module: number, keep: number | null): void;
  giveAll(keep: readonly number[]): void;
  clearGiven(): void;
  select(module: number): void;
  prompt(prompt: string): void;
  follow(follow: boolean): void;
  write(): Promise<void>;
  /** Measures places spread over the slider. */
  curve(): Promise<void>;
  /** Finds a cut whose loss is within `share` of the whole adapter's, where the next smaller one is not. */
  smallest(share: number): Promise<void>;
  importance(): Promise<void>;
  /** Three ways to spend the parameters of the present cut, measured. */
  allocations(): Promise<void>;
  cancel(): void;
  weights(module: number): Promise<void>;
  overlap(other: ExploreSource, name: string): Promise<void>;
}

/** A cut is measured when it stood still for so long. */
export const DEBOUNCE_MS = 40;
const CURVE_POINTS = 13;
/** Curves of other adapters that stay to be compared with. */
const OTHERS = 3;
/** Positions of the energy slider. */
const ENERGY_STEPS = 200;

/** `wake` makes a run of an earlier visit ready first. */
export function createExplore(client: EngineClient, wake: (run: RunId) => Promise<Failure | null>, later: (callback: () => void, ms: number) => void = (callback, ms) => void setTimeout(callback, ms)): Explore {
  const store = createStore<ExploreState>(() => closed);
  const set = (change: Partial<ExploreState>) => store.setState(change);
  const get = store.getState;
  /** Counts openings: an answer for what was open before is no news. */
  let session = 0;
  let touched = 0;
  let cancelled = 0;
  let writes = 0;
  const only = <A extends unknown[]>(mine: number, then: (...args: A) => void) => (...args: A) => { if (mine === session) then(...args); };

  const ready = async (source: ExploreSource) => {
    const asleep = source.kind === 'run' ? await wake(source.run) : null;
    if (asleep) throw asleep;
  };

  /** One measurement; null when a newer one took its place. Points of the curve are kept whoever asked. */
  const measure = async (cut: Cut, mode: CutMode | null, at: number): Promise<Measured | null> => {
    const mine = session;
    const result = await client.exploreEvaluate(cut);
    if (mine !== session || !result) return null;
    if (mode) set({ points: withPoint(get(), mode, { at, ...sizeOf(get(), cut.keep), loss: result.loss }) });
    return result;
  };

  const changed = () => {
    const mine = ++touched;
    const { card } = get();
    if (get().status !== 'open' || !card || card.rows.length === 0) return;
    set({ measuring: true, measureError: null });
    later(() => {
      if (mine === touched) void settle(mine);
    }, DEBOUNCE_MS);
  };
  const settle = async (mine: number) => {
    const state = get();
    const cut = cutOf(state);
    const plain = isPlain(state);
    try {
      const result = await measure(cut, plain ? state.mode : null, state.at[state.mode]);
      if (mine !== touched) return;
      // A longer task may have taken its place in the engine: once it is through, this one has its turn.
      if (!result) return void later(() => { if (mine === touched) void settle(mine); }, DEBOUNCE_MS);
      set({ measured: { cut, result }, measuring: false });
      if (get().follow && !get().task) void write();
    } catch (error) {
      if (mine === touched) set({ measuring: false, measureError: readFailure(error) });
    }
  };

  const write = async () => {
    const { prompt, status } = get();
    if (status !== 'open' || prompt.trim() === '') return;
    const [mine, ticket] = [session, ++writes];
    const cut = cutOf(get());
    set({ writing: true, textError: null });
    let outcome: Partial<ExploreState> = {};
    try {
      const result = await client.exploreTexts(cut, prompt);
      if (result) outcome = { texts: { cut, result } };
    } catch (error) {
      outcome = { textError: readFailure(error) };
    }
    // A newer call that took its place reports by itself.
    if (mine === session && ticket === writes) set({ ...outcome, writing: false });
  };

  /** Runs a longer measurement: reports how far it is, ends on cancel, and keeps its error. */
  const task = async (kind: NonNullable<ExploreState['task']>['kind'], total: number, work: (step: (done: number) => void, goOn: () => boolean) => Promise<void>) => {
    if (get().task || get().status !== 'open') return;
    const [mine, ticket] = [session, cancelled];
    const goOn = () => mine === session && ticket === cancelled;
    set({ task: { kind, done: 0, total }, taskError: null });
    try {
      await work((done) => { if (goOn()) set({ task: { kind, done, total } }); }, goOn);
    } catch (error) {
      only(mine, () => set({ taskError: readFailure(error) }))();
    }
    only(mine, () => set({ task: null }))();
  };
  /** Measured, however often a drag gets in between; null when the task is to end. */
  const insist = async (cut: Cut, mode: CutMode | null, at: number, goOn: () => boolean): Promise<Measured | null> => {
    while (goOn()) {
      const result = get().measuring ? null : await measure(cut, mode, at);
      if (result) return result;
      await new Promise<void>((resolve) => later(resolve, 2 * DEBOUNCE_MS));
    }
    return null;
  };
  const pointAt = async (mode: CutMode, at: number, goOn: () => boolean): Promise<number | null> => {
    const known = get().points[mode].find((point) => point.at === at);
    if (known) return known.loss;
    const { card } = get();
    return card ? ((await insist({ basis: basisOf(mode), keep: keepOf(card, mode, at), strength: 1 }, mode, at, goOn))?.loss ?? null) : null;
  };

  return {
    store,
    open: async (source, { name, step, prompt }) => {
      const mine = ++session;
      touched++;
      const { source: before, points, others, follow, mode } = get();
      const kept = before && before.name !== name ? [{ name: before.name, points }, ...others.filter((other) => other.name !== before.name)] : others;
      const key = source.kind === 'run' ? `${source.run}@${step}` : `files:${name}:${mine}`;
      set({ ...closed, status: 'opening', source: { key, name, run: source.kind === 'run' ? source.run : null, step }, prompt, follow, mode, others: kept.filter((other) => other.name !== name).slice(0, OTHERS) });
      try {
        await ready(source);
        const card = await client.exploreOpen(source);
        if (mine !== session) return;
        set({ status: 'open', card, at: { rank: most(card, 'rank'), components: most(card, 'components'), energy: 1, gates: most(card, 'gates') } });
        if (card.rows.length === 0) return;
        // The two ends first: everything else is read against them.
        const began = touched;
        const full: Cut = { basis: 'svd', keep: card.modules.map(({ sigma }) => present(sigma)), strength: 1 };
        const goOn = () => mine === session;
        const [whole, base] = [await insist(full, null, 0, goOn), await insist({ ...full, keep: full.keep.map(() => 0) }, null, 0, goOn)];
        if (!whole || !base) return;
        for (const mode of CUT_MODES) {
          set({ points: withPoint(get(), mode, { at: most(card, mode), ...sizeOf(get(), keepOf(card, mode, most(card, mode))), loss: whole.loss }) });
          set({ points: withPoint(get(), mode, { at: 0, components: 0, parameters: 0, loss: base.loss }) });
        }
        set({ whole, base });
        if (touched !== began) return;
        set({ measured: { cut: full, result: whole } });
        if (get().follow) void write();
      } catch (error) {
        if (mine === session) set(get().card ? { measuring: false, measureError: readFailure(error) } : { status: 'failed', error: readFailure(error) });
      }
    },
    close: () => {
      session++;
      touched++;
      const { others, follow, mode } = get();
      set({ ...closed, others, follow, mode });
    },
    mode: (mode) => {
      set({ mode });
      changed();
    },
    move: (at) => {
      const { card, mode } = get();
      if (!card) return;
      const place = Math.min(most(card, mode), Math.max(0, mode === 'energy' ? Math.round(at * ENERGY_STEPS) / ENERGY_STEPS : Math.round(at)));
      if (place === get().at[mode]) return;
      set({ at: { ...get().at, [mode]: place } });
      changed();
    },
    strength: (strength) => {
      set({ strength });
      changed();
    },
    give: (module, keep) => {
      const { [module]: _, ...others } = get().given;
      set({ given: keep === null ? others : { ...others, [module]: keep } });
      changed();
    },
    giveAll: (keep) => {
      set({ given: Object.fromEntries(keep.map((k, module) => [module, k])), ...(get().mode === 'gates' ? { mode: 'components' as const } : {}) });
      changed();
    },
    clearGiven: () => {
      set({ given: {} });
      changed();
    },
    select: (selected) => {
      set({ selected });
      const mine = session;
      if (!get().details[selected]) void client.exploreDetail(selected).then(only(mine, (detail: ModuleDetail) => set({ details: { ...get().details, [selected]: detail } })), () => {});
    },
    prompt: (prompt) => set({ prompt }),
    follow: (follow) => {
      set({ follow });
      if (follow) void write();
    },
    write,
    curve: () => {
      const { card, mode } = get();
      if (!card) return Promise.resolve();
      const top = most(card, mode);
      const places = [...new Set(Array.from({ length: CURVE_POINTS }, (_, i) => {
        // Denser where a cut begins to hurt: squares of even steps.
        const place = top * (i / (CURVE_POINTS - 1)) ** 2;
        return mode === 'energy' ? Math.round(ENERGY_STEPS * (i / (CURVE_POINTS - 1))) / ENERGY_STEPS : Math.round(place);
      }))];
      return task('curve', places.length, async (step, goOn) => {
        for (const [i, at] of places.entries()) {
          if ((await pointAt(mode, at, goOn)) === null) return;
          step(i + 1);
        }
      });
    },
    smallest: (share) => {
      const { card, mode, whole } = get();
      if (!card || !whole) return Promise.resolve();
      const unit = mode === 'energy' ? ENERGY_STEPS : 1;
      let [low, high] = [-1, Math.round(most(card, mode) * unit)];
      const steps = Math.ceil(Math.log2(high - low));
      const limit = whole.loss + share * Math.abs(whole.loss);
      return task('smallest', steps, async (step, goOn) => {
        for (let done = 1; high - low > 1; done++) {
          const middle = Math.floor((low + high) / 2);
          const loss = await pointAt(mode, middle / unit, goOn);
          if (loss === null) return;
          if (loss <= limit) high = middle;
          else low = middle;
          step(Math.min(done, steps));
        }
        set({ at: { ...get().at, [mode]: high / unit }, given: {}, strength: 1 });
        changed();
      });
    },
    importance: () => {
      const total = get().card?.modules.length ?? 0;
      return task('importance', total, async (_step, goOn) => {
        const importance = await client.exploreImportance();
        if (goOn() && importance) set({ importance });
      });
    },
    allocations: () => {
      const { card, importance } = get();
      if (!card) return Promise.resolve();
      const { parameters: budget } = sizeOf(get(), cutOf(get()).keep);
      const ways = allocationsFor(card, budget, importance);
      return task('allocations', ways.length, async (step, goOn) => {
        const rows: Allocation[] = [];
        for (const { name, keep } of ways) {
          const result = await insist({ basis: 'svd', keep, strength: 1 }, null, 0, goOn);
          if (!result) return;
          rows.push({ name, keep, ...sizeOf(get(), keep), loss: result.loss });
          step(rows.length);
        }
        set({ allocations: { budget, rows } });
      });
    },
    cancel: () => {
      cancelled++;
      set({ task: null });
      void client.exploreCancel().catch(() => {});
    },
    weights: async (module) => {
      if (get().weights[module]) return;
      const mine = session;
      const put = (value: Float64Array | 'reading' | null) => {
        const { [module]: _, ...others } = get().weights;
        set({ weights: value === null ? others : { ...others, [module]: value } });
      };
      put('reading');
      try {
        const values = await client.exploreWeights(module);
        only(mine, () => put(values))();
      } catch {
        only(mine, () => put(null))();
      }
    },
    overlap: async (other, name) => {
      const mine = session;
      set({ overlap: { status: 'reading', name, card: null, error: null } });
      try {
        await ready(other);
        const card = await client.exploreOverlap(other);
        only(mine, () => set({ overlap: { status: 'ready', name, card, error: null } }))();
      } catch (error) {
        only(mine, () => set({ overlap: { status: 'failed', name, card: null, error: readFailure(error) } }))();
      }
    },
  };
}

const basisOf = (mode: CutMode): Cut['basis'] => (mode === 'gates' ? 'trained' : 'svd');
/** By what trained ranks are kept: their gates where there are any. */
export const rankSizes = ({ gates, sizes }: ExploreCard['modules'][number]): Float64Array => gates ?? sizes;

/** The right end of a mode's slider. */
export function most(card: ExploreCard, mode: CutMode): number {
  if (mode === 'energy') return 1;
  const counts = card.modules.map((module) => present(mode === 'gates' ? rankSizes(module) : module.sigma));
  return mode === 'rank' ? Math.max(0, ...counts) : counts.reduce((a, b) => a + b, 0);
}

/** What each module keeps at a place of a mode's slider. */
export function keepOf(card: ExploreCard, mode: CutMode, at: number): number[] {
  switch (mode) {
    case 'rank': return card.modules.map(({ sigma }) => keepRank(sigma, at));
    case 'components': return keepLargest(card.modules.map(({ sigma }) => sigma), at);
    case 'energy': return card.modules.map(({ sigma }) => keepEnergy(sigma, at));
    case 'gates': return keepLargest(card.modules.map(rankSizes), at);
  }
}

/** The cut that stands now. */
export function cutOf({ card, mode, at, given, strength }: Pick<ExploreState, 'card' | 'mode' | 'at' | 'given' | 'strength'>): Cut {
  const keep = card ? keepOf(card, mode, at[mode]) : [];
  return { basis: basisOf(mode), keep: keep.map((k, module) => given[module] ?? k), strength };
}

/** Whether the slider alone decides: only then is a measurement a point of its curve. */
export const isPlain = ({ given, strength }: Pick<ExploreState, 'given' | 'strength'>): boolean => strength === 1 && Object.keys(given).length === 0;

/** A component of a module takes a row and a column. */
export function sizeOf({ card }: Pick<ExploreState, 'card'>, keep: readonly number[]): { components: number; parameters: number } {
  let [components, parameters] = [0, 0];
  card?.modules.forEach(({ shape: [out, inn] }, m) => {
    components += keep[m] ?? 0;
    parameters += (keep[m] ?? 0) * (out + inn);
  });
  return { components, parameters };
}

export const same = (a: Cut, b: Cut): boolean => a.basis === b.basis && a.strength === b.strength && a.keep.join() === b.keep.join();

/** Ways to spend a budget of parameters: one rank for all, by energy, and by measured loss where that is known. */
export function allocationsFor(card: ExploreCard, budget: number, importance: Float64Array | null): { name: Allocation['name']; keep: number[] }[] {
  let even = keepOf(card, 'rank', 0);
  for (let rank = 1; rank <= most(card, 'rank'); rank++) {
    const next = keepOf(card, 'rank', rank);
    if (sizeOf({ card }, next).parameters > budget) break;
    even = next;
  }
  const parts = card.modules.map(({ sigma, shape: [out, inn] }) => ({ sigma, cost: out + inn }));
  const ways: { name: Allocation['name']; keep: number[] }[] = [{ name: 'even', keep: even }, { name: 'energy', keep: allocate(parts, budget) }];
  if (importance) {
    // A module's measured rise is shared out over its components by their energy.
    const weighed = parts.map((part, m) => {
      const squares = part.sigma.reduce((sum, s) => sum + s * s, 0);
      return { ...part, weight: squares > 0 ? Math.max(0, importance[m] as number) / squares : 0 };
    });
    ways.push({ name: 'loss', keep: allocate(weighed, budget) });
  }
  return ways;
}

function withPoint({ points }: ExploreState, mode: CutMode, point: CurvePoint): ExploreState['points'] {
  return { ...points, [mode]: [...points[mode].filter((other) => other.at !== point.at), point].sort((a, b) => a.at - b.at) };
}
