// TriAdaptLoRA: ΔW = α/(n + 10⁻⁵) B C A with a square core C kept as strips; at intervals the layers whose core grew most get wider
// strips, until a budget of ranks for the whole model is spent (Liang et al. 2025, arXiv 2501.08008).
import { makeCored } from '../engine/joint/cores';
import type { Init } from '../engine/nn/init';
import type { Param } from '../engine/nn/site';
import { coreFromStrips, stripsSize } from '../engine/ops';
import { type SiteParams, defineMethod } from '../training/contract';
import type { AfterStep, Random, RunState } from '../training/host';
import { randomOf } from '../training/prepare';
import { ConfigError } from '../util/errors';
import { alphaField, branchApply, branchWeight, checkRank, dropoutField, rankField } from './shared/low-rank';
import { orthogonalFactors } from './shared/orthogonal';
import { rowsBySite } from './shared/views';

const CORE = 'core';
const STD = 0.02;
const EPSILON = 1e-5;

/** One growth event, as the run's state keeps it. */
interface Growth {
  readonly step: number;
  readonly k: number;
  readonly threshold: number;
  /** By layer: I, and n after the event. */
  readonly scores: Readonly<Record<string, number>>;
  readonly ranks: Readonly<Record<string, number>>;
}

export const triadaptlora = defineMethod({
  info: {
    slug: 'triadaptlora',
    name: 'TriAdaptLoRA',
    summary: 'Adapters with a square core that grows strip by strip, in the layers whose core changes most, until a budget of ranks is spent.',
    goodFor: 'finding out from a small start which layers need rank, within a budget.',
    formula: 'y = W x + α/(n + 10⁻⁵) B C A x,  C = Σ row strips and column strips',
    paper: { title: 'TriAdaptLoRA: Brain-Inspired Triangular Adaptive Low-Rank Adaptation for Parameter-Efficient Fine-Tuning', authors: 'Liang, Wang and Zeng', year: 2025, venue: 'arXiv preprint', url: 'https://arxiv.org/abs/2501.08008' },
    family: 'low-rank',
    models: ['decoder', 'encoder'],
    exports: 'lora-exact',
    fields: {
      reference: { ...rankField('Reference rank', 'Ranks in the end, averaged over layers: growth stops once the sum is reached.'), source: 'the authors’ code: 8' },
      initRank: { ...rankField('Rank at the start', 'Side of every core before the first growth. Equal to the reference rank, nothing grows.'), default: 1, source: 'the authors’ code: 1' },
      step: { kind: 'int', label: 'Growth', help: 'Ranks that a layer gets at an event. Small steps tell layers apart more finely.', default: 4, min: 1, max: 64, log: true, source: 'the authors’ code: half the reference rank' },
      maxRank: { ...rankField('Most rank of a layer', 'Memory is set aside for it; a layer that has it grows no more.'), default: 16 },
      events: { kind: 'int', label: 'Growth events', help: 'Over the run, evenly spread; growth ends earlier when the budget is spent. The last step is none.', default: 40, min: 2, max: 10_000, log: true },
      warmup: { kind: 'float', label: 'No growth for', help: 'Share of the run before the first event.', default: 0.05, min: 0, max: 0.9 },
      threshold: {
        kind: 'choice', label: 'Threshold', default: 'linear', help: 'How many layers may grow at an event, by the budget that is left and the time that has gone: in proportion, or slower at first.',
        options: [{ value: 'linear', label: 'linear' }, { value: 'exponential', label: 'non-linear' }],
      },
      norm: {
        kind: 'choice', label: 'Norm over', default: 'blocks', help: 'What the norm of the core is divided by before its increase is looked at.', source: 'the authors’ code: blocks',
        options: [{ value: 'blocks', label: 'blocks' }, { value: 'rank', label: 'rank' }],
      },
      choice: {
        kind: 'choice', label: 'Who grows', default: 'score', help: 'By the increase of the norm; or as many layers by lot, to hold the score against.',
        options: [{ value: 'score', label: 'by score' }, { value: 'lot', label: 'by lot' }],
      },
      preserve: { kind: 'bool', label: 'Keep the update’s size', help: 'On: old strips are scaled up at growth so that the model’s output stays. Off, as in the authors’ code: α / n falls, and old strips count for less.', default: false },
      alpha: { ...alphaField, help: 'Strength of the adapter: ΔW is scaled by alpha / n, n the layer’s rank now.' },
      orthogonality: { kind: 'float', label: 'Orthogonality', help: 'Weight of the mean ‖A Aᵀ − I‖ and ‖BᵀB − I‖ in the loss.', source: 'the authors’ code: 0.5', default: 0.1, min: 0, max: 100 },
      dropout: dropoutField,
    },
    series: [{ id: 'ranks', label: 'Ranks in use' }],
    views: [
      { id: 'core', kind: 'heatmap', title: 'Core', rows: 'module', columns: 'rank', help: 'Length of row i of each layer’s C together with column i. A layer’s ranks end where it has nothing.' },
      { id: 'growth', kind: 'heatmap', title: 'Ranks by event', rows: 'module', columns: 'growth event', help: 'n of every layer after each growth event.' },
      { id: 'scores', kind: 'heatmap', title: 'Scores over threshold', rows: 'module', columns: 'growth event', help: 'By how much each layer’s score reached over the threshold of the event, 0 where it did not.' },
    ],
  },

  check(sites, config) {
    const { reference, initRank, maxRank, step } = config;
    checkRank(sites, maxRank, 'maxRank');
    if (initRank > maxRank) throw new ConfigError(`maxRank: ${maxRank} is below the rank at the start, ${initRank}`, `Give a maxRank of ${Math.max(initRank, reference)} or more, or start lower.`);
    if (initRank > reference) throw new ConfigError(`initRank: ${initRank} is above the reference rank, ${reference}`, `Give a value from 1 to ${reference}.`);
    const most = capacity(config);
    if (most < reference) throw new ConfigError(`maxRank: from ${initRank} in steps of ${step} a layer gets to ${most} at most, and the budget is ${reference} a layer`, `Give a maxRank of ${initRank + step * Math.ceil((reference - initRank) / step)} or more.`);
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { initRank: first, step, alpha, dropout } = config;
    const most = capacity(config);
    const form = { n: most, first, step };
    const random = randomOf(context.seed);
    const rows = { name: `ranks of ${site.name}` };
    const start = (values: () => Float32Array): Init => ({ kind: 'values', values });
    // What has not grown yet is zero in A, B and C, and masks keep it so.
    const A = site.param('lora_A', [most, inn], start(() => drawnRows(new Float32Array(most * inn), inn, site.name, 0, first, random)), { mask: { ...rows, axis: 'rows' } });
    const B = site.param('lora_B', [out, most], start(() => drawnColumns(new Float32Array(out * most), most, site.name, 0, first, random)), { mask: { ...rows, axis: 'columns' } });
    const C = site.param('lora_C', [stripsSize(form)], { kind: 'zeros' }, { group: CORE, mask: { name: `core of ${site.name}`, axis: 'elements' } });
    // α/(n + 10⁻⁵) where there is a rank, 0 beyond.
    const n = () => rankOf(context.state, site.name, config);
    const gate = context.input(gateName(site.name), [most], gateOf(most, n(), alpha));
    context.input('ranks', [1], 0);
    const ranks = context.sites.map(({ name }) => rankOf(context.state, name, config));
    context.input(LAYER_RANKS, [2 * ranks.length], byFactor(ranks));
    context.input(LAYER_SCALES, [ranks.length], scalesOf(ranks, alpha));
    const stream = context.stream(site.name);
    const joint = { B: context.joint(coredName(site.name), [out, most]) };
    const branch = () => ({ A, B, core: coreFromStrips(C.tensor, gate, form), scale: 1, dropout, stream });
    return {
      params: { A, B, C },
      weight: () => branchWeight(site, branch()),
      apply: (x, call) => branchApply(site, x, call, call.joint ? { A, B, joint, scale: 1, dropout, stream } : branch()),
      lora: (v) => ({
        rank: n(), scale: alpha / (n() + EPSILON),
        A: (v.A as Float32Array).slice(0, n() * inn), B: product(v.B as Float32Array, most, assembled(v.C as Float32Array, { n: n(), first, step }), n()),
      }),
    };
  },

  groups: (_, { weightDecay }) => ({ default: { lrScale: 1, weightDecay }, [CORE]: { lrScale: 1, weightDecay: 0 } }),

  joint(arenas, config) {
    const { sites, at, atJoint, input } = arenas;
    const layers = sites.map(({ site: { name, shape: [rows] }, params }) => {
      const { B, C } = params as Record<'B' | 'C', Param>;
      return { atB: at(B), atStrips: at(C), atY: atJoint(coredName(name)) as number, rows };
    });
    const form = { n: capacity(config), first: config.initRank, step: config.step };
    const { back } = makeCored(arenas, layers, form, input(LAYER_RANKS), input(LAYER_SCALES));
    return {
      back() {
        back();
        return new Set(sites.flatMap(({ params: { B, C } }) => [B as Param, C as Param]));
      },
    };
  },

  penalty: (arenas, { orthogonality: weight }) => (weight === 0 ? undefined : orthogonalFactors(arenas, weight, arenas.input(LAYER_RANKS))),

  beforeStep(host, config) {
    const form = { first: config.initRank, step: config.step };
    const all = stripsSize({ n: capacity(config), ...form });
    const ranks = host.sites.map((site) => rankOf(host.state, site, config));
    for (const [i, site] of host.sites.entries()) {
      const n = ranks[i] as number;
      host.setMask(`ranks of ${site}`, new Uint32Array(capacity(config)).fill(1, 0, n));
      host.setMask(`core of ${site}`, new Uint32Array(all).fill(1, 0, stripsSize({ n, ...form })));
    }
    host.set('ranks', sum(ranks));
    host.set(LAYER_RANKS, byFactor(ranks));
    host.set(LAYER_SCALES, scalesOf(ranks, config.alpha));
  },

  async afterStep(host, config) {
    const { phaseStep: t, phaseSteps: T, sites, state } = host;
    const warm = Math.round(config.warmup * T);
    const every = Math.max(1, Math.round((T - warm) / config.events));
    const ranks = Object.fromEntries(sites.map((site) => [site, rankOf(state, site, config)]));
    const budget = config.reference * sites.length - sum(Object.values(ranks));
    // What grows after the last step would never train.
    if (t <= warm || t % every !== 0 || t === T || budget <= 0) return;
    const scores = await scoresNow(host, config, ranks);
    const able = sites.filter((site) => (ranks[site] as number) + config.step <= capacity(config));
    if (able.length === 0) return;
    const k = growingLayers(config.threshold, budget, (t - warm) / (T - warm), able.length);
    const { growing, threshold } = config.choice === 'lot' ? byLot(able, k, scores, host) : overThreshold(able, k, scores);
    for (const layer of host.adapted) if (growing.includes(layer.site.name)) await grow(host, layer, ranks, config);
    state.ranks = ranks;
    const event: Growth = { step: host.step, k, threshold, scores, ranks: { ...ranks } };
    state.log = [...logOf(state), event] as unknown as RunState[string];
    const now = sum(Object.values(ranks));
    host.note(`${growing.length} of ${sites.length} layers grow by ${config.step}: ${growing.join(', ')}. ${now} of ${config.reference * sites.length} ranks are in use.`);
  },

  afterUpdate({ input, report }) {
    report('ranks', input('ranks'));
  },

  views: (sites, config, state) => {
    const log = logOf(state);
    const form = { first: config.initRank, step: config.step };
    return {
      core: rowsBySite(sites, ({ C }, { name }) => lengths(C as Float32Array, { n: rankOf(state, name, config), ...form })),
      growth: rowsBySite(sites, (_, { name }) => log.map(({ ranks }) => ranks[name] ?? 0)),
      scores: rowsBySite(sites, (_, { name }) => log.map(({ scores, threshold }) => Math.max(0, (scores[name] ?? 0) - threshold))),
    };
  },

  trainable: ([out, inn], config) => capacity(config) * (out + inn) + stripsSize({ n: capacity(config), first: config.initRank, step: config.step }),
});

interface Sizes { readonly initRank: number; readonly step: number; readonly maxRank: number }
/** What a core can grow to. */
const capacity = ({ initRank, step, maxRank }: Sizes) => initRank + step * Math.max(0, Math.floor((maxRank - initRank) / step));
const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const rankOf = (state: Readonly<RunState>, site: string, { initRank }: { initRank: number }) => (state.ranks as Record<string, number> | undefined)?.[site] ?? initRank;
const gateName = (site: string) => `gate of ${site}`;
const coredName = (site: string) => `${site}.B_C`;
/** Ranks in use of A and B of every layer, and the layers' α/(n + 10⁻⁵). */
const [LAYER_RANKS, LAYER_SCALES] = ['ranks by layer', 'scales by layer'];
const byFactor = (ranks: readonly number[]) => Float32Array.from(ranks.flatMap((n) => [n, n]));
const scalesOf = (ranks: readonly number[], alpha: number) => Float32Array.from(ranks, (n) => alpha / (n + EPSILON));
const logOf = (state: Readonly<RunState>) => (state.log ?? []) as unknown as readonly Growth[];

/** k: how many layers may grow with `budget` ranks left and a share μ of the time gone; from 1 to all of them. */
export function growingLayers(kind: string, budget: number, mu: number, layers: number): number {
  const k = Math.floor(kind === 'linear' ? budget * mu : Math.exp(mu * Math.log(budget)));
  return Math.min(layers, Math.max(1, k));
}

/** Every layer whose score is at or above the k-th largest: ties all grow. */
export function overThreshold(able: readonly string[], k: number, scores: Readonly<Record<string, number>>): { growing: string[]; threshold: number } {
  const threshold = able.map((site) => scores[site] as number).sort((a, b) => b - a)[k - 1] as number;
  return { growing: able.filter((site) => (scores[site] as number) >= threshold), threshold };
}

/** As many layers as the scores would have chosen, by lot. */
function byLot(able: readonly string[], k: number, scores: Readonly<Record<string, number>>, host: AfterStep): { growing: string[]; threshold: number } {
  const { growing, threshold } = overThreshold(able, k, scores);
  const order = host.random.shuffle(`who grows at ${host.step}`, able.length);
  const drawn = new Set(order.slice(0, growing.length));
  return { growing: able.filter((_, i) => drawn.has(i)), threshold };
}

/** I = q − q before, q = ‖C‖ / blocks, of every layer; from the numbers of the cores alone. */
async function scoresNow(host: AfterStep, { norm, initRank: first, step }: { norm: string; initRank: number; step: number }, ranks: Readonly<Record<string, number>>): Promise<Record<string, number>> {
  const before = (host.state.norms ?? {}) as Record<string, number>;
  const norms = Object.fromEntries(await Promise.all(host.adapted.map(async ({ site: { name }, params }) => {
    const n = ranks[name] as number;
    const core = assembled(await host.read(params.C as Param), { n, first, step });
    return [name, Math.hypot(...core) / (norm === 'rank' ? n : 1 + (n - first) / step)] as const;
  })));
  host.state.norms = norms;
  return Object.fromEntries(Object.entries(norms).map(([name, q]) => [name, q - (before[name] ?? 0)]));
}

/** Appends a block: rows of A and columns of B are drawn, the new strips stay zero, so that the model's output changes by the scale at most. */
async function grow(host: AfterStep, { site, params }: SiteParams, ranks: Record<string, number>, config: Sizes & { alpha: number; preserve: boolean }): Promise<void> {
  const { A, B, C } = params;
  if (!A || !B || !C) return;
  const [most, from] = [capacity(config), ranks[site.name] as number];
  const to = from + config.step;
  host.write(A, drawnRows(await host.read(A), site.shape[1], site.name, from, to, host.random));
  host.write(B, drawnColumns(await host.read(B), most, site.name, from, to, host.random));
  if (config.preserve) host.write(C, (await host.read(C)).map((x) => (x * (to + EPSILON)) / (from + EPSILON)));
  host.set(gateName(site.name), gateOf(most, to, config.alpha));
  ranks[site.name] = to;
}

/** Rows [from, to) of A [most, in] drawn anew, each number by its place. */
function drawnRows(A: Float32Array, inn: number, site: string, from: number, to: number, random: Random): Float32Array {
  for (let at = from * inn; at < to * inn; at++) A[at] = STD * random.normal(`${site} A`, at);
  return A;
}
/** Columns [from, to) of B [out, most]. */
function drawnColumns(B: Float32Array, most: number, site: string, from: number, to: number, random: Random): Float32Array {
  for (let row = 0; row < B.length; row += most) for (let at = row + from; at < row + to; at++) B[at] = STD * random.normal(`${site} B`, at);
  return B;
}
const gateOf = (most: number, n: number, alpha: number) => new Float32Array(most).fill(alpha / (n + EPSILON), 0, n);

/** C [n, n] of the strips that make it up; later ones are left alone. */
export function assembled(strips: Float32Array, { n, first, step }: { n: number; first: number; step: number }): Float32Array {
  const core = new Float32Array(n * n);
  let at = 0;
  for (let start = 0, width = first; start < n; start += width, width = step) {
    const end = start + width;
    for (let row = start; row < end; row++) for (let column = 0; column < end; column++) core[row * n + column]! += strips[at++] as number;
    for (let row = 0; row < end; row++) for (let column = start; column < end; column++) core[row * n + column]! += strips[at++] as number;
  }
  return core;
}

/** B C [out, n] of B [out, most]. */
function product(B: Float32Array, most: number, core: Float32Array, n: number): Float32Array {
  return Float32Array.from({ length: (B.length / most) * n }, (_, at) => {
    const [row, column] = [Math.floor(at / n) * most, at % n];
    let total = 0;
    for (let j = 0; j < n; j++) total += (B[row + j] as number) * (core[j * n + column] as number);
    return total;
  });
}

function lengths(strips: Float32Array, form: { n: number; first: number; step: number }): Float32Array {
  const core = assembled(strips, form);
  const { n } = form;
  return Float32Array.from({ length: n }, (_, i) => {
    let squares = -((core[i * n + i] as number) ** 2);
    for (let j = 0; j < n; j++) squares += (core[i * n + j] as number) ** 2 + (core[j * n + i] as number) ** 2;
    return Math.sqrt(squares);
  });
}
