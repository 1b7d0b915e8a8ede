// LaMDA: x passes a frozen A of leading right singular vectors, a trained core S and a B whose columns are frozen one after another; ++
// gives each layer a rank of its own by its spectrum (Azizi et al. 2024, arXiv 2406.12832). Follows the paper, with masks that hold.
import { type Svd, svd } from '../engine/linalg/svd';
import type { Init } from '../engine/nn/init';
import { dropout, matmul } from '../engine/ops';
import { type SiteValues, defineMethod } from '../training/contract';
import type { HeatmapData } from '../training/card';
import type { RunState } from '../training/host';
import { ConfigError } from '../util/errors';
import { checkRank, dropoutField, rankField, shortestSide } from './shared/low-rank';
import { multipliedFactors, multipliedName } from './shared/multiplied';

export const lamda = defineMethod({
  info: {
    slug: 'lamda',
    name: 'LaMDA',
    summary: 'A frozen projection from the weight’s spectrum, a small trained core, and a B that is frozen column by column: what trains shrinks to r² a layer.',
    goodFor: 'little memory for the optimiser: what trains shrinks to r² numbers a layer during the run.',
    formula: 'y = W x + s·B S A x − U_r Σ_r A x,  A = V_rᵀ, B from U_r, S from Σ_r / s',
    paper: { title: 'LaMDA: Large Model Fine-Tuning via Spectrally Decomposed Low-Dimensional Adaptation', authors: 'Azizi et al.', year: 2024, venue: 'Findings of EMNLP 2024', url: 'https://arxiv.org/abs/2406.12832' },
    family: 'low-rank',
    models: ['decoder', 'encoder'],
    exports: 'lora-exact',
    fields: {
      rank: { ...rankField('Rank r', 'Side of each layer’s core; with LaMDA++ the mean over layers.'), default: 16 },
      alpha: { kind: 'float', label: 'Alpha', help: 'Strength s = alpha / rank, with LaMDA++ too.', default: 16, min: 0.125, max: 1024, log: true },
      init: {
        kind: 'choice', label: 'Start', default: 'spectral', help: 'Spectral: singular vectors, the core holds the singular values and the layer gives them up. Zero core: the same vectors, the layer stays whole. Random: as in the authors’ code, B at zero.',
        options: [{ value: 'spectral', label: 'spectral' }, { value: 'spectral-zero', label: 'zero core' }, { value: 'repo', label: 'random' }],
      },
      freezeShare: { kind: 'float', label: 'Freezing ends at', help: 'Share of the steps after which all of B is frozen, the column of the largest singular value first. 0 never trains B.', source: 'Azizi et al. 2024, code: 0.3', default: 0.3, min: 0, max: 1 },
      plus: { kind: 'bool', label: 'LaMDA++', help: 'Ranks by layer: more where the spectrum is less concentrated, half to twice the rank, the same in the mean.', default: false },
      dropout: dropoutField,
    },
    series: [{ id: 'open', label: 'Columns of B that train, share' }],
    views: [
      { id: 'core', kind: 'heatmap', title: 'Core, diagonal', rows: 'module', columns: 'direction', help: '|S_ii| by direction, the largest singular value first.' },
      { id: 'mixing', kind: 'heatmap', title: 'Core, off the diagonal', rows: 'module', columns: 'direction', help: 'Length of each column of S without its diagonal number: how far directions are mixed.' },
    ],
  },

  check(sites, { rank, plus }) {
    if (plus && rank % 2 !== 0) throw new ConfigError(`rank: LaMDA++ gives layers halves of the mean rank, and ${rank} is odd`, `Give ${rank + 1}.`);
    const { most, whose } = shortestSide(sites);
    if (plus && 2 * rank > most) throw new ConfigError(`rank: LaMDA++ may give a layer twice the mean rank, ${2 * rank}, and ${whose} has ${most}`, `Give an even value from 2 to ${2 * Math.floor(most / 4)}, or leave that layer out of the targets.`);
    checkRank(sites, rank);
  },

  async prepare(host, { rank, init, plus }) {
    const spectra = new Map<string, Svd>();
    if (init === 'repo' && !plus) return spectra;
    const concentration: number[] = [];
    for (const [i, site] of host.sites.entries()) {
      const data = await host.weight(site);
      const side = Math.min(...site.shape);
      const [found] = await svd(host.device, [{ label: site.name, shape: site.shape, data }], { rank: plus ? 2 * rank : rank, method: side <= EXACT_SIDE ? 'jacobi' : 'randomised' });
      if (!found) continue;
      spectra.set(site.name, found);
      concentration.push(squares(found.S.subarray(0, rank)) / squares(data));
      await host.progress(i + 1, host.sites.length);
    }
    if (plus) {
      const ranks = ranksFor(concentration, rank);
      host.state.ranks = Object.fromEntries(host.sites.map(({ name }, i) => [name, ranks[i] as number]));
    }
    return spectra;
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const r = rankOf(site.name, config, context.state);
    const s = scaleOf(config);
    const found = () => context.shared?.get(site.name) as Svd;
    const of = (values: () => Float32Array): Init => ({ kind: 'values', values });
    const spectral = config.init !== 'repo';
    const A = site.param('lamda_A', [r, inn], spectral ? of(() => found().Vt.slice(0, r * inn)) : { kind: 'kaimingUniform', fanIn: inn }, { trainable: false });
    const S = site.param('lamda_S', [r, r], coreInit(config.init, r, of(() => diagonal(found().S, r, s))));
    const B = site.param('lamda_B', [out, r], spectral ? of(() => leading(found().U, out, r)) : { kind: 'zeros' }, {
      trainable: config.freezeShare > 0 && context.state.frozen !== true, mask: { name: maskOf(r), axis: 'columns' },
    });
    // What the layer gives up at the start, −U_r Σ_r: the base itself stays whole.
    const start = config.init === 'spectral' ? site.param('lamda_start', [out, r], of(() => givenUp(found(), out, r)), { trainable: false }) : undefined;
    /** s·B S − U_r Σ_r [out, r]: small, so that a step costs what LoRA's costs and keeps r numbers a token. */
    const up = () => matmul(B.tensor, S.tensor, { alpha: s, ...(start ? { c: start.tensor } : {}) });
    const stream = context.stream(site.name);
    const made = context.joint(multipliedName(site.name), [out, r]);
    return {
      params: { A, S, B, ...(start ? { start } : {}) },
      weight: () => matmul(up(), A.tensor, { c: site.weight }),
      apply(x, { training, joint }) {
        const low = matmul(training ? dropout(x, config.dropout, stream) : x, A.tensor, { tb: true });
        return matmul(low, joint ? made : up(), { tb: true, c: site.base(x) });
      },
      derived: () => ({ up: up() }),
      lora: (v) => ({ rank: r, scale: 1, A: v.A as Float32Array, B: v.up as Float32Array }),
    };
  },

  joint: (arenas, config) => multipliedFactors(arenas, { core: 'S', start: 'start' }, scaleOf(config)),

  beforeStep(host, config) {
    if (config.freezeShare === 0 || host.state.frozen === true) return host.set('open', 0);
    const done = (host.phaseStep - 1) / (config.freezeShare * host.phaseSteps);
    for (const r of new Set(host.sites.map((name) => rankOf(name, config, host.state)))) {
      const c = frozenColumns(r, done);
      host.setMask(maskOf(r), Uint32Array.from({ length: r }, (_, i) => Number(i >= c)));
    }
    host.set('open', 1 - frozenColumns(config.rank, done) / config.rank);
  },

  afterStep(host, config) {
    const over = host.phaseStep >= config.freezeShare * host.phaseSteps && host.phaseStep < host.phaseSteps;
    if (!over || config.freezeShare === 0 || host.state.frozen === true) return;
    host.state.frozen = true;
    host.note('All columns of B are frozen: its gradients and moments are given back, and the core trains on alone.');
    return Promise.resolve('reattach');
  },

  afterUpdate({ input, report }) {
    report('open', input('open'));
  },

  views: (sites) => ({ core: coreMap(sites, (S, r, i) => Math.abs(S[i * r + i] as number)), mixing: coreMap(sites, offDiagonal) }),

  trainable: ([out], { rank, freezeShare }) => rank * rank + (freezeShare > 0 ? out * rank : 0),
});

/** Shortest side up to which singular values are exact to f32; beyond, a sketch finds the leading ones. */
const EXACT_SIDE = 1024;

const scaleOf = ({ alpha, rank }: { alpha: number; rank: number }) => alpha / rank;
const maskOf = (rank: number) => `columns of ${rank}`;
const rankOf = (site: string, { rank }: { rank: number }, state: Readonly<RunState>) => (state.ranks as Record<string, number> | undefined)?.[site] ?? rank;

/** c = min(r, ⌊r·t / t_i⌋), `done` = t / t_i. */
export const frozenColumns = (r: number, done: number): number => Math.min(r, Math.floor(r * done + 1e-9));

/**
 * Ranks of r̄/2, r̄, 3r̄/2 or 2r̄ that add up to L·r̄: in proportion to what of a layer's spectrum lies beyond the first r̄ values, rounded,
 * then moved one step where that is nearest to a boundary.
 */
export function ranksFor(concentration: readonly number[], mean: number): number[] {
  const rest = concentration.map((e) => 1 - e);
  const all = rest.reduce((a, b) => a + b, 0);
  // In halves of the mean.
  const ideal = rest.map((x) => (all > 0 ? (2 * x * rest.length) / all : 2));
  const units = ideal.map((x) => Math.min(4, Math.max(1, Math.round(x))));
  for (let excess = units.reduce((a, b) => a + b, 0) - 2 * units.length; excess !== 0; excess -= Math.sign(excess)) {
    const to = -Math.sign(excess);
    const costs = units.map((u, i) => (u + to < 1 || u + to > 4 ? Number.POSITIVE_INFINITY : -to * ((ideal[i] as number) - u)));
    units[costs.indexOf(Math.min(...costs))]! += to;
  }
  return units.map((u) => (u * mean) / 2);
}

function coreInit(init: string, r: number, spectral: Init): Init {
  if (init === 'spectral') return spectral;
  return init === 'spectral-zero' ? { kind: 'zeros' } : { kind: 'kaimingUniform', fanIn: r };
}

/** diag(σ) / s, [r, r]. */
const diagonal = (values: Float32Array, r: number, s: number) => Float32Array.from({ length: r * r }, (_, at) => (at % (r + 1) === 0 ? (values[at % r] as number) / s : 0));
/** The first r columns of U [out, …]. */
const leading = (U: Float32Array, out: number, r: number) => Float32Array.from({ length: out * r }, (_, at) => U[Math.floor(at / r) * (U.length / out) + (at % r)] as number);
const givenUp = ({ U, S }: Svd, out: number, r: number) => leading(U, out, r).map((x, at) => -x * (S[at % r] as number));
const squares = (x: Float32Array) => x.reduce((sum, v) => sum + v * v, 0);

function offDiagonal(S: Float32Array, r: number, column: number): number {
  let sum = 0;
  for (let i = 0; i < r; i++) if (i !== column) sum += (S[i * r + column] as number) ** 2;
  return Math.sqrt(sum);
}

function coreMap(sites: readonly SiteValues[], of: (S: Float32Array, r: number, i: number) => number): HeatmapData {
  const sides = sites.map(({ values: { S } }) => Math.sqrt(S?.length ?? 0));
  const columns = Math.max(1, ...sides);
  const values = new Float32Array(sites.length * columns);
  sites.forEach(({ values: { S } }, row) => {
    const r = sides[row] as number;
    for (let i = 0; i < r; i++) values[row * columns + i] = of(S as Float32Array, r, i);
  });
  return { rows: sites.map(({ site }) => site.name), columns, values };
}
