// DyLoRA: one LoRA of rank R of which every first b pairs are an adapter of rank b. Each step draws b, cuts the adapter to it, and trains
// pair b, or all up to it (Valipour et al. 2023, arXiv 2210.07558). Follows the paper: a pair has moments and a count of steps of its own.
import { matmul } from '../engine/ops';
import { type SiteValues, defineMethod } from '../training/contract';
import type { HeatmapData } from '../training/card';
import type { AfterStep, RunState } from '../training/host';
import { ConfigError } from '../util/errors';
import { alphaField, branchApply, branchWeight, checkRank, dropoutField, rankField } from './shared/low-rank';

export const dylora = defineMethod({
  info: {
    slug: 'dylora',
    name: 'DyLoRA',
    summary: 'One training run for every rank up to R: each step trains at a rank drawn at random, so the adapter may be cut to any rank afterwards.',
    goodFor: 'choosing the rank after training: one run holds every rank up to R.',
    formula: 'y = W x + (α/b) B[:, :b] A[:b] x,  b drawn from 1 … R each step',
    paper: { title: 'DyLoRA: Parameter-Efficient Tuning of Pre-trained Models using Dynamic Search-Free Low-Rank Adaptation', authors: 'Valipour et al.', year: 2023, venue: 'EACL 2023', url: 'https://arxiv.org/abs/2210.07558' },
    family: 'low-rank',
    models: ['decoder', 'encoder'],
    exports: 'lora-exact',
    fields: {
      rank: rankField('Largest rank R', 'The adapter may be cut to any rank from 1 to this.'),
      alpha: { ...alphaField, help: 'Strength of the adapter: ΔW is scaled by alpha / b at rank b.' },
      update: {
        kind: 'choice', label: 'Trains', default: 'pair', help: 'At a drawn rank b: pair b alone, the paper’s cheaper form, which wants R times the steps; or all pairs up to b, better where steps are few.',
        source: 'Valipour et al. 2023, section 3', options: [{ value: 'pair', label: 'pair b' }, { value: 'prefix', label: 'pairs 1 … b' }],
      },
      useRank: { kind: 'int', label: 'Rank in use', help: 'At which rank the run evaluates, writes samples, merges and exports; 0 is R.', default: 0, min: 0, max: 256 },
      oneAdam: { kind: 'bool', label: 'One Adam for all pairs', help: 'As in the authors’ code: pairs that were not drawn still move by momentum and decay.', default: false },
      dropout: dropoutField,
    },
    series: [{ id: 'drawn', label: 'Drawn rank' }],
    views: [
      { id: 'curve', kind: 'heatmap', title: 'Loss by rank', rows: 'step', columns: 'rank', help: 'Mean loss on the held-out rows with the adapter cut to each rank, at every evaluation of the run.' },
      { id: 'energy', kind: 'heatmap', title: 'Pairs', rows: 'module', columns: 'rank', help: '‖Bᵢ‖·‖Aᵢ‖·α/b of every pair i, at the rank b in use.' },
      { id: 'visits', kind: 'heatmap', title: 'Visits', rows: '', columns: 'rank', help: 'How often each rank was drawn.' },
    ],
  },

  check(sites, { rank, useRank }) {
    checkRank(sites, rank);
    if (useRank > rank) throw new ConfigError(`useRank: ${useRank} is above the largest rank, ${rank}`, `Give a value from 0 to ${rank}.`);
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { rank } = config;
    const mask = (axis: 'rows' | 'columns') => (config.oneAdam ? {} : { mask: { name: PAIRS, axis } });
    const A = site.param('lora_A', [rank, inn], { kind: 'kaimingUniform', fanIn: inn }, mask('rows'));
    const B = site.param('lora_B', [out, rank], { kind: 'zeros' }, mask('columns'));
    const [drawn, used] = [context.input('drawn', [rank], upTo(rank, config)), context.input('used', [rank], upTo(rankInUse(config), config))];
    if (selects(config)) context.input('pair', [rank, rank], 0);
    // The gate holds α / b, so that b is a number that the host writes.
    const branch = { A, B, scale: 1, dropout: config.dropout, stream: context.stream(site.name) };
    return {
      params: { A, B },
      weight: () => branchWeight(site, { ...branch, gate: used }),
      apply: (x, call) => branchApply(site, x, call, { ...branch, gate: call.training ? drawn : used }),
      lora: (values) => truncated(values.A as Float32Array, values.B as Float32Array, rank, rankInUse(config), config.alpha),
    };
  },

  optimizer({ sites, gradient, input }, config) {
    if (!selects(config)) return undefined;
    // diag(0 … 1 … 0) on either side leaves pair b.
    const only = input('pair');
    return {
      gradients: new Map(sites.flatMap(({ params: { A, B } }) => (A && B ? [[A, matmul(only, gradient(A))] as const, [B, matmul(gradient(B), only)] as const] : []))),
    };
  },

  beforeStep(host, config) {
    const { rank } = config;
    const b = 1 + Math.floor(host.random.uniform('dylora', host.step) * rank);
    host.state.visits = visits(host.state, rank).map((n, i) => n + Number(i === b - 1));
    const trains = Uint32Array.from({ length: rank }, (_, i) => Number(config.update === 'pair' ? i === b - 1 : i < b));
    host.set('drawn', upTo(b, config));
    host.set('drawn rank', b);
    if (!config.oneAdam) host.setMask(PAIRS, trains);
    if (selects(config)) host.set('pair', Float32Array.from({ length: rank * rank }, (_, at) => (at % (rank + 1) === 0 ? (trains[at % rank] as number) : 0)));
  },

  async afterStep(host, config, { evalEvery }) {
    if (host.phaseStep < host.phaseSteps && (evalEvery === 0 || host.step % evalEvery !== 0)) return;
    const losses = await lossByRank(host, config);
    if (!losses.every(Number.isFinite) || losses.length === 0) return;
    host.state.curve = [...curve(host.state), { step: host.step, losses }];
    const best = Math.min(...losses);
    host.note(`loss by rank 1 … ${config.rank}: ${losses.map((loss) => loss.toFixed(4)).join(', ')}; rank ${1 + losses.findIndex((loss) => loss <= 1.01 * best)} is within 1 % of the best`);
  },

  afterUpdate({ input, report }) {
    report('drawn', input('drawn rank'));
  },

  views: (sites, config, state) => ({
    curve: { rows: curve(state).map(({ step }) => `step ${step}`), columns: config.rank, values: Float32Array.from(curve(state).flatMap(({ losses }) => losses)) } satisfies HeatmapData,
    energy: energyMap(sites, config),
    visits: { rows: ['all layers'], columns: config.rank, values: Float32Array.from(visits(state, config.rank)) } satisfies HeatmapData,
  }),

  trainable: ([out, inn], { rank }) => rank * (out + inn),
});

const PAIRS = 'pairs';
interface Settings { readonly rank: number; readonly alpha: number; readonly useRank: number; readonly update: string; readonly oneAdam: boolean }

const rankInUse = ({ rank, useRank }: Pick<Settings, 'rank' | 'useRank'>) => useRank || rank;
/** Whether gradients of pairs below b are taken out: with a mask they are closed anyway. */
const selects = ({ oneAdam, update }: Pick<Settings, 'oneAdam' | 'update'>) => oneAdam && update === 'pair';
/** [R]: α / b for the first b pairs, 0 for the others. */
const upTo = (b: number, { rank, alpha }: Pick<Settings, 'rank' | 'alpha'>) => Float32Array.from({ length: rank }, (_, i) => (i < b ? alpha / b : 0));

const visits = (state: Readonly<RunState>, rank: number) => (state.visits as readonly number[] | undefined) ?? new Array<number>(rank).fill(0);
const curve = (state: Readonly<RunState>) => (state.curve as readonly { step: number; losses: readonly number[] }[] | undefined) ?? [];

/** Held-out loss at rank 1 … R; empty where nothing is held out. */
async function lossByRank(host: AfterStep, config: Settings): Promise<number[]> {
  const losses: number[] = [];
  for (let b = 1; b <= config.rank; b++) {
    host.set('used', upTo(b, config));
    const loss = await host.evaluate();
    if (loss === null) break;
    losses.push(loss);
  }
  host.set('used', upTo(rankInUse(config), config));
  return losses;
}

/** The first b pairs: A[:b] [b, in], B[:, :b] [out, b], scale α / b. */
export function truncated(A: Float32Array, B: Float32Array, rank: number, b: number, alpha: number) {
  const [inn, out] = [A.length / rank, B.length / rank];
  const cut = new Float32Array(out * b);
  for (let o = 0; o < out; o++) cut.set(B.subarray(o * rank, o * rank + b), o * b);
  return { rank: b, scale: alpha / b, A: A.slice(0, b * inn), B: cut };
}

function energyMap(sites: readonly SiteValues[], config: Settings): HeatmapData {
  const { rank, alpha } = config;
  const scale = alpha / rankInUse(config);
  const values = sites.flatMap(({ values: { A, B } }) => Array.from({ length: rank }, (_, i) => scale * rowNorm(A, rank, i) * columnNorm(B, rank, i)));
  return { rows: sites.map(({ site }) => site.name), columns: rank, values: Float32Array.from(values) };
}

function rowNorm(A: Float32Array = new Float32Array(), rank: number, i: number): number {
  const inn = A.length / rank;
  return Math.hypot(...A.subarray(i * inn, (i + 1) * inn));
}
const columnNorm = (B: Float32Array = new Float32Array(), rank: number, i: number): number => Math.hypot(...B.filter((_, at) => at % rank === i));
