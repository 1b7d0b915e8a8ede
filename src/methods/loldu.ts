// LoLDU: each weight is factorised once by pivoted LU, W = P L D U, and only r entries of the diagonal train (Shi et al. 2024,
// arXiv 2410.13618). y = W x + σ M ((z − z₀) ⊙ V x) with M = (P L)[:, :r] and V = U[:r]; the base stays as it is.
import { MOST_GATED } from '../engine/joint/gates';
import { type HostLu, rowsBack, unitUpper } from '../engine/linalg/host/lu';
import { lu } from '../engine/linalg/lu';
import type { LinearSite, LoraFactors, Param } from '../engine/nn/site';
import { axpby } from '../engine/ops';
import { defineMethod } from '../training/contract';
import type { ConfigOf } from '../training/fields';
import type { Random } from '../training/host';
import { watchedBy } from './shared/decompose';
import { gatedFactors, gatedName } from './shared/gated';
import { branchApply, branchWeight, dropoutField } from './shared/low-rank';
import { rowsBySite } from './shared/views';

const DIAGONAL = 'diagonal';

interface Start {
  /** (P L)[:, :r], [out, r]. */
  readonly M: Float32Array;
  /** The first r rows of U, [r, in]. */
  readonly V: Float32Array;
  /** [r] */
  readonly z: Float32Array;
  readonly z0: Float32Array;
  /** [out]: row i of L belongs to row permutation[i] of W. */
  readonly permutation: Uint32Array;
  /** max|U D| / max|W|: how much elimination let entries grow. */
  readonly growth: number;
}

const fields = {
  rank: { kind: 'int', label: 'Rank', help: 'Diagonal entries that train in each layer; a layer with fewer rows or columns trains all it has.', source: 'Shi et al. 2024: up to full rank', default: 64, min: 1, max: 8192, log: true },
  sigma: { kind: 'float', label: 'Scale σ', help: 'alpha / rank: what the change of the diagonal is multiplied by. The authors’ code has 1 / rank.', default: 1, min: 1e-5, max: 100, log: true },
  zLr: { kind: 'float', label: 'Diagonal learning rate', help: 'Of the diagonal, as a multiple of the learning rate.', source: 'Shi et al. 2024: 1e-3', default: 1, min: 0, max: 1000, log: true },
  start: {
    kind: 'choice', label: 'Diagonal starts', default: 'lu', help: 'At the diagonal of LU, or as the authors’ code can have it: at its mean, drawn to its mean and spread, or drawn without a look at it.',
    options: [
      { value: 'lu', label: 'as LU has it' }, { value: 'constant', label: 'at its mean' }, { value: 'normal', label: 'normal, its mean and spread' },
      { value: 'uniform', label: 'uniform in ± half its mean' }, { value: 'ones', label: 'at 1' }, { value: 'zeros', label: 'at 0' },
      { value: 's_normal', label: 'N(0, 1)' }, { value: 's_uniform', label: 'uniform in ± 1' },
    ],
  },
  exactStart: { kind: 'bool', label: 'Start as the base', help: 'The base with its own diagonal taken out is what stays frozen. Off: what LU found is taken out whatever the diagonal starts at, so that other starts change the model before the first step.', default: true },
  directions: {
    kind: 'choice', label: 'Fixed directions', default: 'lu', help: 'Of LU; or random ones of equal lengths, the control that tells whether LU matters.',
    options: [{ value: 'lu', label: 'of LU' }, { value: 'random', label: 'random, of equal lengths' }],
  },
  dropout: dropoutField,
} as const;
type Config = ConfigOf<typeof fields>;

export const loldu = defineMethod({
  info: {
    slug: 'loldu',
    name: 'LoLDU',
    summary: 'Trains only the diagonal of an LDU factorisation of each weight: r numbers a layer.',
    goodFor: 'a handful of trained numbers a layer, where LoRA of rank 1 is still too much.',
    formula: 'y = W x + σ M ((z − z₀) ⊙ V x), W = P L D U, M = (P L)[:, :r], V = U[:r]',
    paper: { title: 'LoLDU: Low-Rank Adaptation via Lower-Diag-Upper Decomposition for Parameter-Efficient Fine-Tuning', authors: 'Shi et al.', year: 2024, venue: 'arXiv', url: 'https://arxiv.org/abs/2410.13618' },
    family: 'low-rank',
    models: ['decoder', 'encoder'],
    wantsF32: true,
    exports: 'lora-exact',
    fields,
    series: [],
    views: [
      { id: 'moved', kind: 'heatmap', title: 'Change of the diagonal', rows: 'module', columns: 'entry', help: '|z − z₀| of every trained entry.' },
      { id: 'diagonal', kind: 'heatmap', title: 'Diagonal at the start', rows: 'module', columns: 'entry', help: 'z₀ with its sign, in the order of the pivots. LU does not sort, and this is no spectrum: what is left out may be large.' },
      { id: 'growth', kind: 'heatmap', title: 'Growth of LU', rows: 'module', columns: 'factor', help: 'Largest entry of D U over the largest of W. Far above 10 the factorisation is poorly conditioned.' },
    ],
  },

  async prepare(host, config) {
    const found = new Map<string, Start>();
    // By rank: a driver does the same number of steps on all that it is given.
    for (const rank of new Set(host.sites.map((site) => rankAt(site, config)))) {
      const sites = host.sites.filter((site) => rankAt(site, config) === rank);
      const all = await lu(host.device, sites.map((site) => site.weight), { steps: rank, ...watchedBy(host, found.size, host.sites.length) });
      for (const [i, site] of sites.entries()) found.set(site.name, startOf(site, all[i] as HostLu, await host.weight(site), config, host.random));
      await host.progress(found.size, host.sites.length);
    }
    return found as ReadonlyMap<string, Start>;
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const rank = rankAt(site, config);
    const of = (part: 'M' | 'V' | 'z' | 'z0') => ({ kind: 'values', values: () => context.shared?.get(site.name)?.[part] as Float32Array }) as const;
    const frozen = { trainable: false };
    const z = site.param('vector_z', [rank], of('z'), { group: DIAGONAL });
    const z0 = site.param('z0', [rank], of('z0'), frozen);
    const [V, M] = [site.param('upper', [rank, inn], of('V'), frozen), site.param('lower', [out, rank], of('M'), frozen)];
    const permutation = site.param('permutation', [out], { kind: 'values', values: () => context.shared?.get(site.name)?.permutation as Uint32Array }, { trainable: false, dtype: 'u32' });
    const growth = site.param('growth', [1], { kind: 'values', values: () => Float32Array.of(context.shared?.get(site.name)?.growth ?? 0) }, frozen);
    const stream = context.stream(site.name);
    // Recorded anew by each call: the difference belongs to the recording it is used in.
    const joint = rank <= MOST_GATED ? { B: context.joint(gatedName(site.name), [out, rank]) } : undefined;
    const branch = () => ({ A: V, B: M, gate: axpby(z.tensor, z0.tensor, 1, -1), joint, scale: config.sigma, dropout: config.dropout, stream });
    return {
      params: { z, z0, V, M, permutation, growth },
      weight: () => branchWeight(site, branch()),
      apply: (x, call) => branchApply(site, x, call, branch()),
      lora: (v) => asLora(v, config.sigma),
    };
  },

  joint: (arenas) => gatedFactors(arenas, false, ({ M, z, z0 }) => ({ B: M as Param, gate: z as Param, start: z0 as Param })),

  // A decay would pull the diagonal, and with it the base's own directions, towards zero.
  groups: ({ zLr }) => ({ [DIAGONAL]: { lrScale: zLr, weightDecay: 0 } }),

  views: (sites) => ({
    moved: rowsBySite(sites, ({ z, z0 }) => (z as Float32Array).map((x, i) => Math.abs(x - (z0?.[i] as number)))),
    diagonal: rowsBySite(sites, ({ z0 }) => z0 as Float32Array),
    growth: rowsBySite(sites, ({ growth }) => growth as Float32Array),
  }),

  trainable: (shape, { rank }) => Math.min(rank, ...shape),
});

const rankAt = ({ shape }: LinearSite, { rank }: { rank: number }) => Math.min(rank, ...shape);

function startOf({ name }: LinearSite, factors: HostLu, weight: Float32Array, config: Config, random: Random): Start {
  const [M, V] = [Float32Array.from(rowsBack(factors).data), Float32Array.from(unitUpper(factors).data)];
  const d = Float32Array.from(factors.d);
  const z = diagonalOf(config.start, d, (kind, i) => (kind === 'normal' ? random.normal(`${name}.z`, i) : random.uniform(`${name}.z`, i)));
  const largest = (x: ArrayLike<number>) => Array.from(x).reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  const other = config.directions === 'random';
  return {
    M: other ? randomised(M, d.length, 'columns', (i) => random.normal(`${name}.lower`, i)) : M,
    V: other ? randomised(V, d.length, 'rows', (i) => random.normal(`${name}.upper`, i)) : V,
    z, z0: config.exactStart ? z : d,
    permutation: factors.permutation,
    growth: largest(factors.U.data) / (largest(weight) || 1),
  };
}

/** z [r] at the start, by the names of the authors' code. */
function diagonalOf(start: string, d: Float32Array, draw: (kind: 'normal' | 'uniform', i: number) => number): Float32Array {
  const mean = d.reduce((sum, x) => sum + x, 0) / d.length;
  const spread = Math.sqrt(d.reduce((sum, x) => sum + (x - mean) ** 2, 0) / Math.max(1, d.length - 1));
  const within = (bound: number, i: number) => bound * (2 * draw('uniform', i) - 1);
  switch (start) {
    case 'constant': return d.map(() => mean);
    case 'normal': return d.map((_, i) => mean + spread * draw('normal', i));
    case 'uniform': return d.map((_, i) => within(mean / 2, i));
    case 'ones': return d.map(() => 1);
    case 'zeros': return d.map(() => 0);
    case 's_normal': return d.map((_, i) => draw('normal', i));
    case 's_uniform': return d.map((_, i) => within(1, i));
    default: return d;
  }
}

/** Normal numbers in place of x, each of its `rank` columns or rows as long as it was. */
function randomised(x: Float32Array, rank: number, along: 'rows' | 'columns', draw: (i: number) => number): Float32Array {
  const which = (at: number) => (along === 'rows' ? Math.floor((at * rank) / x.length) : at % rank);
  const drawn = x.map((_, at) => draw(at));
  const squares = (values: Float32Array) => {
    const sums = new Float64Array(rank);
    values.forEach((value, at) => { sums[which(at)] = (sums[which(at)] as number) + value * value; });
    return sums;
  };
  const [wanted, got] = [squares(x), squares(drawn)];
  return drawn.map((value, at) => value * Math.sqrt((wanted[which(at)] as number) / (got[which(at)] as number)));
}

/** A' = V, B' = M diag(z − z₀), scale σ. Exact. */
function asLora({ z, z0, V, M }: Readonly<Record<string, Float32Array>>, scale: number): LoraFactors {
  const change = (z as Float32Array).map((x, i) => x - (z0?.[i] as number));
  return { rank: change.length, scale, A: V as Float32Array, B: (M as Float32Array).map((m, at) => m * (change[at % change.length] as number)) };
}
