// NLoRA and its kin: ΔW = s B N A with a small N [r, r] in the middle (Guo, Chang and Wu 2025, arXiv 2502.14482). SLoRA starts at
// zero; NLoRA starts from slices of W, the pieces of a Nyström approximation; IntTune trains N alone from that start.
import { pinv } from '../engine/linalg/svd';
import type { LinearSite } from '../engine/nn/site';
import { axpby } from '../engine/ops';
import { defineMethod } from '../training/contract';
import { ConfigError } from '../util/errors';
import { watchedBy } from './shared/decompose';
import { alphaField, branchApply, branchWeight, checkRank, concatenated, dropoutField, rankField, scaleOf } from './shared/low-rank';
import { multipliedFactors, multipliedName } from './shared/multiplied';
import { rowsBySite } from './shared/views';

const CORE = 'core';
/** Singular values of the block at or below this share of the largest count as zero in its pseudo-inverse. */
const CUTOFF = 1e-4;

interface Start {
  /** W[:r, :], [r, in] */
  readonly A: Float32Array;
  /** W[:r, :r] or its pseudo-inverse, [r, r] */
  readonly N: Float32Array;
  /** W[:, :r], [out, r] */
  readonly B: Float32Array;
  /** ‖s B N A‖ / ‖W‖ */
  readonly size: number;
}

export const nlora = defineMethod({
  info: {
    slug: 'nlora',
    name: 'NLoRA',
    summary: 'A small square matrix between the two factors of a LoRA, started from slices of the weight; or that matrix alone.',
    goodFor: 'a start out of the weights that costs no decomposition, or a trained core of r² numbers a layer.',
    formula: 'y = W x + s B N A x',
    paper: { title: 'NLoRA: Nyström-Initiated Low-Rank Adaptation for Large Language Models', authors: 'Guo, Chang and Wu', year: 2025, venue: 'EMNLP Findings 2025', url: 'https://arxiv.org/abs/2502.14482' },
    family: 'initialisation',
    models: ['decoder', 'encoder'],
    exports: 'lora-exact',
    fields: {
      variant: {
        kind: 'choice', label: 'Variant', default: 'nlora', help: 'SLoRA: three factors, starting at zero. NLoRA: the same from slices of the weight. IntTune: that start, and only the middle matrix trains.',
        options: [{ value: 'slora', label: 'SLoRA' }, { value: 'nlora', label: 'NLoRA' }, { value: 'inttune', label: 'IntTune' }],
      },
      rank: { ...rankField('Rank', 'Rows of A, columns of B, and both sides of N.'), source: 'Guo et al. 2025: 128 for 7B models', default: 32 },
      alpha: { ...alphaField, default: 32 },
      start: {
        kind: 'choice', label: 'Middle starts', default: 'block', help: 'As the authors’ code has it: the corner of the weight as it is. Or its pseudo-inverse, as Nyström’s approximation has it; that one is large, and is always taken away again.',
        options: [{ value: 'block', label: 'W[:r, :r]' }, { value: 'pinv', label: 'its pseudo-inverse' }],
      },
      residual: { kind: 'bool', label: 'Take the start away', help: 'On: the model starts as the base. Off, as published: the start is added to the base, which changes it before the first step.', default: false },
      coreLr: { kind: 'float', label: 'Middle learning rate', help: 'Of N, as a multiple of the learning rate.', default: 1, min: 0, max: 1000, log: true },
      dropout: dropoutField,
    },
    series: [],
    views: [
      { id: 'core', kind: 'heatmap', title: 'Middle matrix', rows: 'module', columns: 'row of N', help: 'Lengths of the rows of each layer’s N.' },
      { id: 'jump', kind: 'heatmap', title: 'Size of the start', rows: 'module', columns: 'share', help: '‖s B N A‖ / ‖W‖ before the first step. It changes the model unless the start is taken away.' },
    ],
  },

  check(sites, { rank, variant, start, residual }) {
    checkRank(sites, rank);
    const idle = variant !== 'slora' ? null : start !== 'block' ? `start: '${start}'` : residual ? 'residual: true' : null;
    if (idle) throw new ConfigError(`${idle} says how NLoRA and IntTune start, and SLoRA starts at zero`, 'Leave it as it is by default, or choose another variant.');
  },

  async prepare(host, config) {
    const found = new Map<string, Start>();
    if (config.variant === 'slora') return found as ReadonlyMap<string, Start>;
    const inverted = config.start === 'pinv';
    const total = host.sites.length * (inverted ? 2 : 1);
    for (const site of host.sites) {
      found.set(site.name, slicesOf(site, await host.weight(site), config));
      await host.progress(found.size, total);
    }
    if (!inverted) return found as ReadonlyMap<string, Start>;
    const { rank } = config;
    const blocks = [...found].map(([name, { N }]) => ({ label: `corner of ${name}`, shape: [rank, rank], data: N }));
    const inverses = await pinv(host.device, blocks, { cutoff: CUTOFF, ...watchedBy(host, found.size, total) });
    for (const [i, site] of host.sites.entries()) found.set(site.name, sized(site, await host.weight(site), { ...(found.get(site.name) as Start), N: inverses[i] as Float32Array }, config));
    return found as ReadonlyMap<string, Start>;
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { rank, variant } = config;
    const zero = variant === 'slora';
    const of = (part: 'A' | 'N' | 'B') => ({ kind: 'values', values: () => context.shared?.get(site.name)?.[part] as Float32Array }) as const;
    const outer = { trainable: variant !== 'inttune' };
    const frozen = { trainable: false };
    const A = site.param('lora_A', [rank, inn], zero ? { kind: 'kaimingUniform', fanIn: inn } : of('A'), outer);
    const N = site.param('lora_N', [rank, rank], zero ? { kind: 'kaimingUniform', fanIn: rank } : of('N'), { group: CORE });
    const B = site.param('lora_B', [out, rank], zero ? { kind: 'zeros' } : of('B'), outer);
    const common = { A, B, scale: scaleOf(config), dropout: config.dropout, stream: context.stream(site.name) };
    const values = { kind: 'values', values: () => Float32Array.of(context.shared?.get(site.name)?.size ?? 0) } as const;
    const jump = zero ? {} : { jump: site.param('jump', [1], values, frozen) };
    const product = (v: Readonly<Record<string, Float32Array>>) => ({ A: v.A as Float32Array, B: times(v.B as Float32Array, v.N as Float32Array, rank) });
    if (!takesAway(config)) {
      const joint = outer.trainable ? { B: context.joint(multipliedName(site.name), [out, rank]) } : undefined;
      const branch = { ...common, core: N.tensor, joint };
      return {
        params: { A, N, B, ...jump },
        weight: () => branchWeight(site, branch),
        apply: (x, call) => branchApply(site, x, call, branch),
        lora: (v) => ({ rank, scale: common.scale, ...product(v) }),
      };
    }
    if (variant === 'inttune') {
      // A and B stay, so that what is taken away has them too: s B (N − N₀) A.
      const N0 = site.param('start_N', [rank, rank], of('N'), frozen);
      const branch = () => ({ ...common, core: axpby(N.tensor, N0.tensor, 1, -1) });
      return {
        params: { A, N, B, N0, ...jump },
        weight: () => branchWeight(site, branch()),
        apply: (x, call) => branchApply(site, x, call, branch()),
        lora: (v) => ({ rank, scale: common.scale, ...product({ ...v, N: (v.N as Float32Array).map((x, i) => x - (v.N0?.[i] as number)) }) }),
      };
    }
    const productAt = (at: Start | undefined) => (at ? times(at.B, at.N, rank) : new Float32Array());
    const A0 = site.param('start_A', [rank, inn], of('A'), frozen);
    const B0 = site.param('start_BN', [out, rank], { kind: 'values', values: () => productAt(context.shared?.get(site.name)) }, frozen);
    const branch = { ...common, core: N.tensor, start: { A: A0, B: B0 } };
    return {
      params: { A, N, B, A0, B0, ...jump },
      weight: () => branchWeight(site, branch),
      apply: (x, call) => branchApply(site, x, call, branch),
      lora: (v) => concatenated(common.scale, rank, product(v), { A: v.A0 as Float32Array, B: v.B0 as Float32Array }),
    };
  },

  joint: (arenas) => multipliedFactors(arenas, { core: 'N' }),

  groups: ({ coreLr }, training) => ({ [CORE]: { lrScale: coreLr, weightDecay: training.weightDecay } }),

  views: (sites, { rank }) => ({
    core: rowsBySite(sites, ({ N }) => Float32Array.from({ length: rank }, (_, r) => Math.hypot(...(N as Float32Array).subarray(r * rank, (r + 1) * rank)))),
    jump: rowsBySite(sites, ({ jump }) => jump ?? [0]),
  }),

  trainable: ([out, inn], { rank, variant }) => rank * rank + (variant === 'inttune' ? 0 : rank * (out + inn)),
});

/** SLoRA starts at zero; the pseudo-inverse's product is as large as W and more, and of no use without taking it away. */
const takesAway = ({ variant, start, residual }: { variant: string; start: string; residual: boolean }) => variant !== 'slora' && (residual || start === 'pinv');

type Settings = { readonly rank: number; readonly alpha: number };

function slicesOf(site: LinearSite, weight: Float32Array, config: Settings): Start {
  const [out, inn] = site.shape;
  const { rank } = config;
  const B = Float32Array.from({ length: out * rank }, (_, at) => weight[Math.floor(at / rank) * inn + (at % rank)] as number);
  return sized(site, weight, { A: weight.slice(0, rank * inn), N: B.slice(0, rank * rank), B }, config);
}

/** With ‖s B N A‖ / ‖W‖, a row at a time. */
function sized({ shape: [out, inn] }: LinearSite, weight: Float32Array, { A, N, B }: Omit<Start, 'size'>, config: Settings): Start {
  const { rank } = config;
  const left = times(B, N, rank);
  let [change, base] = [0, 0];
  const row = new Float64Array(inn);
  for (let o = 0; o < out; o++) {
    row.fill(0);
    for (let r = 0; r < rank; r++) for (let i = 0; i < inn; i++) row[i] = (row[i] as number) + (left[o * rank + r] as number) * (A[r * inn + i] as number);
    for (let i = 0; i < inn; i++) {
      change += (row[i] as number) ** 2;
      base += (weight[o * inn + i] as number) ** 2;
    }
  }
  return { A, N, B, size: base > 0 ? (scaleOf(config) * Math.sqrt(change)) / Math.sqrt(base) : 0 };
}

/** B N, [out, r]. */
function times(B: Float32Array, N: Float32Array, rank: number): Float32Array {
  return Float32Array.from(B, (_, at) => {
    const [row, column] = [Math.floor(at / rank) * rank, at % rank];
    let sum = 0;
    for (let j = 0; j < rank; j++) sum += (B[row + j] as number) * (N[j * rank + column] as number);
    return sum;
  });
}
