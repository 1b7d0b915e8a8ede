// AdaLoRA: ΔW = P Λ Q with near-orthonormal P and Q; a budget of ranks for the whole model falls while training, and triplets of little
// importance lose their singular value (Zhang et al. 2023, arXiv 2303.10512). Follows PEFT 0.21: A is Q, B is P, E is Λ.
import { countNonzero } from '../engine/optim/count-nonzero';
import { allocateRanks } from '../engine/joint/importance';
import { fill } from '../engine/ops';
import type { Param } from '../engine/nn/site';
import { defineMethod } from '../training/contract';
import { ConfigError } from '../util/errors';
import { gatedFactors, gatedName } from './shared/gated';
import { alphaField, branchApply, branchWeight, checkRank, dropoutField, rankField } from './shared/low-rank';
import { orthogonalFactors } from './shared/orthogonal';
import { numberOf, tensorsBySite, uniformRank } from './shared/peft-config';
import { magnitudes } from './shared/views';

const GROUP_E = 'singular values';
/** PEFT divides by the rank and this. */
const scaleFor = ({ alpha, rank }: { alpha: number; rank: number }) => alpha / (rank + 1e-5);

export const adalora = defineMethod({
  info: {
    slug: 'adalora',
    name: 'AdaLoRA',
    summary: 'Updates in the form of a singular value decomposition; a falling budget takes ranks from layers where they matter little.',
    goodFor: 'long runs with a fixed budget of ranks that should go to the layers in need of them.',
    formula: 'y = W x + (α/r) P Λ Q x',
    paper: { title: 'AdaLoRA: Adaptive Budget Allocation for Parameter-Efficient Fine-Tuning', authors: 'Zhang et al.', year: 2023, venue: 'ICLR 2023', url: 'https://arxiv.org/abs/2303.10512' },
    family: 'baseline',
    models: ['decoder', 'encoder'],
    exports: 'peft',
    fields: {
      rank: { ...rankField('Rank at the start', 'Triplets of each layer before any is dropped.'), default: 12, source: 'Zhang et al. 2023: one and a half times the target' },
      target: { ...rankField('Target rank', 'Triplets that are left in the end, averaged over layers.'), default: 8 },
      alpha: { ...alphaField, help: 'Strength of the adapter: ΔW is scaled by alpha / rank at the start.' },
      tInit: { kind: 'float', label: 'Full budget for', help: 'Share of the run before the budget begins to fall.', source: 'Zhang et al. 2023: a tenth or so', default: 0.1, min: 0, max: 0.9 },
      tFinal: { kind: 'float', label: 'Settled for', help: 'Share of the run at the end in which the ranks stay as they are.', source: 'Zhang et al. 2023: about a third', default: 0.3, min: 0, max: 0.9 },
      deltaT: { kind: 'int', label: 'Steps between allocations', help: 'Ranks are dropped, or come back, at steps that this divides.', source: 'PEFT: 1; Zhang et al. 2023: 10 to 100', default: 1, min: 1, max: 10_000 },
      beta1: { kind: 'float', label: 'β₁ of sensitivity', help: 'How much of the smoothed sensitivity |w · gradient| is kept each step.', source: 'Zhang et al. 2023', default: 0.85, min: 0, max: 0.9999 },
      beta2: { kind: 'float', label: 'β₂ of uncertainty', help: 'The same for how far sensitivity strays from its mean.', source: 'Zhang et al. 2023', default: 0.85, min: 0, max: 0.9999 },
      orthogonality: { kind: 'float', label: 'Orthogonality', help: 'Weight of the mean ‖PᵀP − I‖ and ‖Q Qᵀ − I‖ in the loss.', source: 'PEFT: 0.5', default: 0.5, min: 0, max: 100 },
      dropout: dropoutField,
    },
    series: [{ id: 'ranks', label: 'Ranks in use' }, { id: 'budget', label: 'Ranks to drop' }],
    views: [{ id: 'values', kind: 'heatmap', title: 'Singular values', rows: 'module', columns: 'rank', help: '|Λ| of every triplet. Zero is dropped, unless its gradient brings it back before the ranks settle.' }],
  },

  check(sites, config, { steps }) {
    checkRank(sites, config.rank);
    if (config.target > config.rank) throw new ConfigError(`target: ${config.target} is above the rank at the start, ${config.rank}`, `Give a target from 1 to ${config.rank}, or a higher rank.`);
    const { first, last } = times(config, steps);
    if (first >= last) throw new ConfigError(`tInit and tFinal: ${config.tInit} and ${config.tFinal} of ${steps} steps leave none in which the budget falls`, 'Lower one of them, or train longer.');
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { rank } = config;
    const A = site.param('lora_A', [rank, inn], { kind: 'normal', std: 0.02 });
    const B = site.param('lora_B', [out, rank], { kind: 'normal', std: 0.02 });
    const E = site.param('lora_E', [rank], { kind: 'zeros' }, { group: GROUP_E });
    context.input('schedule', [2], 0);
    const joint = { B: context.joint(gatedName(site.name), [out, rank]) };
    const branch = { A, B, gate: E.tensor, joint, scale: scaleFor(config), dropout: config.dropout, stream: context.stream(site.name) };
    return { params: { A, B, E }, weight: () => branchWeight(site, branch), apply: (x, call) => branchApply(site, x, call, branch) };
  },

  joint: (arenas) => gatedFactors(arenas, true, ({ B, E }) => ({ B: B as Param, gate: E as Param })),

  groups: (_, { weightDecay }) => ({ [GROUP_E]: { lrScale: 1, weightDecay } }),

  penalty(arenas, { rank, orthogonality: weight }) {
    return weight === 0 ? undefined : orthogonalFactors(arenas, weight, fill([2 * arenas.sites.length], rank));
  },

  beforeStep(host, config, { steps }) {
    const total = config.rank * host.sites.length;
    const { first, last } = times(config, steps);
    host.set('schedule', Float32Array.of(Number(host.step < last), dropped(config, host.step, first, last, host.sites.length)));
    host.set('budget', total - budgetAt(config, host.step, first, last, host.sites.length));
  },

  afterUpdate({ params, gradients, blocks, control, sites, group, input, at, lasting, report, table }, { rank, beta1, beta2 }) {
    const layers = sites.flatMap(({ site: { shape: [rows, columns] }, params: { A, B, E } }) => (A && B && E ? [{ rank, rows, columns, atA: at(A), atB: at(B), atE: at(E) }] : []));
    const [sensitivity, uncertainty] = [lasting('sensitivity', params.shape), lasting('uncertainty', params.shape)];
    allocateRanks({ params, gradients, control, schedule: input('schedule'), sensitivity, uncertainty, table }, layers, beta1, beta2);
    report('ranks', countNonzero(params, blocks, group(GROUP_E)));
    report('budget', input('budget'));
  },

  views: (sites) => ({ values: magnitudes(sites, 'E') }),

  peft: {
    type: 'ADALORA',
    reads: ({ peft_type }) => peft_type === 'ADALORA',
    // Dropped triplets stay in the file with E = 0. The schedule is over: what stands there is the shortest that PEFT opens.
    config: (_, c) => ({
      init_r: c.rank, target_r: c.target, r: 8, lora_alpha: c.alpha, lora_dropout: c.dropout, deltaT: c.deltaT, beta1: c.beta1, beta2: c.beta2,
      orth_reg_weight: c.orthogonality, rank_pattern: null, tinit: 0, tfinal: 0, total_step: 1,
    }),
    tensors: (sites, { rank }) => tensorsBySite(sites, ({ site: { shape: [out, inn] }, values: { A, B, E } }) => ({
      lora_A: [[rank, inn], A], lora_B: [[out, rank], B], lora_E: [[rank, 1], E],
    })),
    fields(config) {
      uniformRank(config);
      return {
        rank: numberOf(config, 'init_r', 12), target: numberOf(config, 'target_r', 8), alpha: numberOf(config, 'lora_alpha', 8), dropout: numberOf(config, 'lora_dropout', 0),
        deltaT: numberOf(config, 'deltaT', 1), beta1: numberOf(config, 'beta1', 0.85), beta2: numberOf(config, 'beta2', 0.85), orthogonality: numberOf(config, 'orth_reg_weight', 0.5),
      };
    },
    async values({ name }, get) {
      return { A: await get(`${name}.lora_A`), B: await get(`${name}.lora_B`), E: await get(`${name}.lora_E`) };
    },
  },

  trainable: ([out, inn], { rank }) => rank * (out + inn + 1),
});

interface Budget {
  readonly rank: number;
  readonly target: number;
  readonly deltaT: number;
}

/** The step after which the budget falls, and the one from which it stands. */
const times = ({ tInit, tFinal }: { tInit: number; tFinal: number }, steps: number) => ({ first: Math.round(tInit * steps), last: steps - Math.round(tFinal * steps) });

/** Ranks that may be in use after a step, over all layers: falls with the cube of what is left of the way (their equation 12). */
export function budgetAt({ rank, target }: Budget, step: number, first: number, last: number, layers: number): number {
  const [most, least] = [rank * layers, target * layers];
  if (step <= first) return most;
  if (step >= last) return least;
  return Math.trunc((most - least) * (1 - (step - first) / (last - first)) ** 3 + least);
}

/** How many triplets lose their singular value after a step: none before the budget falls, and between two allocations. */
export function dropped(config: Budget, step: number, first: number, last: number, layers: number): number {
  if (step <= first || (step < last && step % config.deltaT !== 0)) return 0;
  return config.rank * layers - budgetAt(config, step, first, last, layers);
}
