// SoRA: a gate on every rank of a LoRA, trained by Adam and then soft-thresholded, so that single ranks become exactly zero and
// may come back (Ding et al. 2023, arXiv 2311.11696). Follows the paper: one proximal step, a true soft threshold.
import { groupL1 } from '../engine/joint/l1';
import { softThreshold } from '../engine/optim/soft-threshold';
import { countNonzero } from '../engine/optim/count-nonzero';
import type { Param } from '../engine/nn/site';
import { defineMethod } from '../training/contract';
import { ConfigError } from '../util/errors';
import { gatedFactors, gatedName } from './shared/gated';
import { alphaField, branchApply, branchWeight, checkRank, dropoutField, rankField, scaleOf } from './shared/low-rank';
import { magnitudes } from './shared/views';

/** The paper's runs are about this long; a threshold per step means little without it. */
const PAPER_STEPS = 8000;
const LARGEST_STRETCH = 40;
const GATE = 'gate';

export const sora = defineMethod({
  info: {
    slug: 'sora',
    name: 'SoRA',
    summary: 'LoRA with a gate on every rank. A proximal step closes gates while training, so each layer finds its own rank.',
    goodFor: 'finding out how much rank each layer needs, and a file that holds no more than that.',
    formula: 'y = W x + (α/r) B (g ⊙ A x)',
    paper: { title: 'Sparse Low-rank Adaptation of Pre-trained Language Models', authors: 'Ding et al.', year: 2023, venue: 'EMNLP 2023', url: 'https://arxiv.org/abs/2311.11696' },
    family: 'sparse',
    models: ['decoder', 'encoder'],
    exports: 'lora-exact',
    fields: {
      rank: rankField('Rank at the start', 'Gates of each layer before any is closed.'),
      alpha: alphaField,
      xi: { kind: 'float', label: 'Gate threshold ξ', help: 'How far each step pulls every gate towards zero. Larger closes more ranks.', source: 'Ding et al. 2023: 3e-4 over about 8,000 steps', default: 3e-4, min: 0, max: 1, log: true },
      xiUnit: {
        kind: 'choice', label: 'ξ is given', default: 'run',
        help: 'For a run of 8,000 steps as in the paper, and stretched to the length of this run (at most 40 times) together with the gates’ learning rate; or exactly, per step.',
        options: [{ value: 'run', label: 'for 8,000 steps' }, { value: 'step', label: 'per step' }],
      },
      xiRule: {
        kind: 'choice', label: 'ξ over the run', default: 'constant',
        help: 'Constant, as the authors train; or in proportion to the learning rate, the exact proximal step of plain gradient descent.',
        options: [{ value: 'constant', label: 'constant' }, { value: 'lr', label: 'follows the learning rate' }],
      },
      gateLr: { kind: 'float', label: 'Gate learning rate', help: 'Of the gates, as a multiple of the learning rate.', source: 'Ding et al. 2023: the same', default: 1, min: 0, max: 1000, log: true },
      deadZone: { kind: 'bool', label: 'Dead zone 2ξ', help: 'Threshold as in the authors’ code, which also zeroes what ends up below ξ. The published numbers come from it.', default: false },
      lambda: { kind: 'float', label: 'Extra l1 term λ', help: 'Adds λ · mean |g| to the loss, as the authors’ code does on top of the threshold.', default: 0, min: 0, max: 100 },
      gateInit: {
        kind: 'choice', label: 'Gates start', default: 'normal', help: 'Drawn from N(0, 1) as in the paper, or all at 1 (then SoRA without ξ is LoRA).',
        options: [{ value: 'normal', label: 'N(0, 1)' }, { value: 'ones', label: 'at 1' }],
      },
      trainGates: { kind: 'bool', label: 'Train gates', help: 'Off keeps every gate where it starts.', default: true },
      stages: { kind: 'int', label: 'Stages', help: 'More than 1 trains on from the end at rising thresholds, each stage with its own learning-rate schedule: the curve of quality against sparsity.', source: 'Ding et al. 2023, algorithm 1', default: 1, min: 1, max: 32 },
      xiMax: { kind: 'float', label: 'ξ of the last stage', help: 'Thresholds rise from ξ to this.', default: 7e-4, min: 0, max: 1, log: true },
      xiSpacing: {
        kind: 'choice', label: 'ξ between', default: 'linear', help: 'How the thresholds of the stages are spaced.',
        options: [{ value: 'linear', label: 'evenly' }, { value: 'log', label: 'by equal factors' }],
      },
      stageSteps: { kind: 'int', label: 'Steps of a later stage', help: '0 = a third of the first stage.', default: 0, min: 0, max: 1_000_000 },
      dropout: dropoutField,
    },
    series: [{ id: 'ranks', label: 'Ranks kept' }, { id: 'xi', label: 'Threshold ξ' }],
    views: [{ id: 'gates', kind: 'heatmap', title: 'Gates', rows: 'module', columns: 'rank', help: '|g| of every rank. Zero is closed: it leaves the adapter, unless its gradient opens it again.' }],
  },

  check(sites, { rank, stages, xi, xiMax, xiSpacing }) {
    checkRank(sites, rank);
    if (stages === 1) return;
    if (xiMax <= xi) throw new ConfigError(`xiMax: the thresholds of ${stages} stages rise from ξ, ${xi}, and ${xiMax} is not above it`, `Give a value above ${xi}, at most 1, or a single stage.`);
    if (xiSpacing === 'log' && xi === 0) throw new ConfigError('xi: thresholds that rise by equal factors cannot begin at 0', `Give a value above 0 and below ${xiMax}, or space them evenly.`);
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { rank } = config;
    // α / r for the whole run: ranks that close do not make the others louder.
    const scale = scaleOf(config);
    const A = site.param('lora_A', [rank, inn], { kind: 'kaimingUniform', fanIn: inn });
    const B = site.param('lora_B', [out, rank], { kind: 'zeros' });
    const gate = site.param('lora_gate', [rank], config.gateInit === 'ones' ? { kind: 'ones' } : { kind: 'normal', std: 1 }, { group: GATE, trainable: config.trainGates });
    const joint = config.trainGates ? { B: context.joint(gatedName(site.name), [out, rank]) } : undefined;
    const branch = { A, B, gate: gate.tensor, joint, scale, dropout: config.dropout, stream: context.stream(site.name) };
    return {
      params: { A, B, gate },
      weight: () => branchWeight(site, branch),
      apply: (x, call) => branchApply(site, x, call, branch),
      lora: (values) => pruned(values.A as Float32Array, values.B as Float32Array, values.gate as Float32Array, scale),
    };
  },

  groups: (config, training) => ({ [GATE]: { lrScale: config.gateLr * stretch(config, training.steps), weightDecay: 0 } }),

  joint: (arenas) => gatedFactors(arenas, true, ({ B, gate }) => ({ B: B as Param, gate: gate as Param })),

  penalty(arenas, { lambda, trainGates, rank }) {
    return lambda === 0 || !trainGates ? undefined : groupL1(arenas, arenas.blocks, arenas.group(GATE), lambda / (arenas.sites.length * rank));
  },

  beforeStep(host, config, training) {
    const share = config.xiRule === 'lr' ? host.lrShare : 1;
    host.set('xi', stageXi(config, host.phase) * stretch(config, training.steps) * share);
  },

  afterUpdate({ params, blocks, control, group, input, report }, config) {
    if (config.trainGates) softThreshold(params, blocks, control, input('xi'), group(GATE), config.deadZone);
    if (config.trainGates) report('ranks', countNonzero(params, blocks, group(GATE)));
    report('xi', input('xi'));
  },

  phases(config, training) {
    const later = config.stageSteps || Math.max(1, Math.round(training.steps / 3));
    return Array.from({ length: config.stages }, (_, i) => ({ name: config.stages > 1 ? `stage ${i + 1}, ξ = ${stageXi(config, i).toPrecision(3)}` : 'training', steps: i === 0 ? training.steps : later }));
  },

  views: (sites) => ({ gates: magnitudes(sites, 'gate') }),

  events(before, now) {
    const changes = now.map(({ site, values }, i) => {
      const [was, is] = [before[i]?.values.gate ?? new Float32Array(), values.gate ?? new Float32Array()];
      return { site: site.name, closed: ranks(is, (g, r) => g === 0 && was[r] !== 0), revived: ranks(is, (g, r) => g !== 0 && was[r] === 0) };
    });
    return [sentence('closed', changes.map((c) => ({ site: c.site, ranks: c.closed }))), sentence('came back', changes.map((c) => ({ site: c.site, ranks: c.revived })))].filter((text) => text !== '');
  },

  trainable: ([out, inn], { rank, trainGates }) => rank * (out + inn + (trainGates ? 1 : 0)),
});

/**
 * What a threshold per 8,000 steps, and the gates' learning rate with it, is multiplied by in a run of `steps`. Beyond 40 a single
 * step would throw gates about more than they weigh: runs of fewer than 200 steps close fewer ranks instead.
 */
const stretch = ({ xiUnit }: { xiUnit: string }, steps: number) => (xiUnit === 'run' ? Math.min(PAPER_STEPS / steps, LARGEST_STRETCH) : 1);

/** ξ of stage `i` (from 0), in the unit it is given in. */
function stageXi({ xi, xiMax, xiSpacing, stages }: { xi: number; xiMax: number; xiSpacing: string; stages: number }, i: number): number {
  if (stages === 1) return xi;
  const t = i / (stages - 1);
  return xiSpacing === 'log' ? xi * (xiMax / xi) ** t : xi + (xiMax - xi) * t;
}

const ranks = (gate: Float32Array, wanted: (g: number, rank: number) => boolean) => [...gate.keys()].filter((r) => wanted(gate[r] as number, r));

/** '5 ranks closed: layers.1.k_proj 2, 4; layers.3.up_proj 0, 1, 7'; names a few modules and counts the rest. */
function sentence(verb: string, changes: readonly { site: string; ranks: readonly number[] }[]): string {
  const touched = changes.filter((c) => c.ranks.length > 0);
  if (touched.length === 0) return '';
  const count = touched.reduce((n, c) => n + c.ranks.length, 0);
  const shown = touched.slice(0, 4).map((c) => `${c.site} ${c.ranks.join(', ')}`).join('; ');
  return `${count} ${count === 1 ? 'rank' : 'ranks'} ${verb}: ${shown}${touched.length > 4 ? `; and in ${touched.length - 4} more modules` : ''}`;
}

/** Keeps I = {i : g_i ≠ 0}: A' = A[I], B' = B[:, I] diag(g_I). Exact. A [r, in], B [out, r]. */
export function pruned(A: Float32Array, B: Float32Array, gate: Float32Array, scale: number): { rank: number; scale: number; A: Float32Array; B: Float32Array } {
  const r = gate.length;
  const [inn, out] = [A.length / r, B.length / r];
  const kept = ranks(gate, (g) => g !== 0);
  const [a, b] = [new Float32Array(kept.length * inn), new Float32Array(out * kept.length)];
  kept.forEach((from, to) => {
    a.set(A.subarray(from * inn, (from + 1) * inn), to * inn);
    for (let o = 0; o < out; o++) b[o * kept.length + to] = (B[o * r + from] as number) * (gate[from] as number);
  });
  return { rank: kept.length, scale, A: a, B: b };
}
