// Hydra: beside each frozen layer a head that reads its input, as LoRA does, and a head that reads its frozen output (Kim et al. 2023,
// arXiv 2309.06922). Both are linear, so both merge. Follows the authors' image code; A starts as in their language code.
import type { LinearSite, Param } from '../engine/nn/site';
import type { Init } from '../engine/nn/init';
import { lowRankSingularValues } from '../engine/linalg/host/svd';
import { add, addColumns, axpby, dropout, matmul, scale as scaled } from '../engine/ops';
import type { Tensor } from '../engine/tensor/tensor';
import { type SiteValues, defineMethod } from '../training/contract';
import type { HeatmapData } from '../training/card';
import { ConfigError } from '../util/errors';
import { checkRank, dropoutField, rankField } from './shared/low-rank';

export const hydra = defineMethod({
  info: {
    slug: 'hydra',
    name: 'Hydra',
    summary: 'Two low-rank heads beside each layer: one reads its input and adds directions, one reads its output and mixes anew what is there.',
    goodFor: 'tasks that want what a layer already computes mixed anew, beside the new directions of a LoRA.',
    formula: 'y₀ = W x + b,  y = y₀ + s·(Bₚ(Aₚ x + aₚ) + cₚ) + s·(Bₛ(Aₛ y₀ + aₛ) + cₛ)',
    paper: { title: 'Hydra: Multi-head Low-rank Adaptation for Parameter Efficient Fine-tuning', authors: 'Kim et al.', year: 2023, venue: 'arXiv', url: 'https://arxiv.org/abs/2309.06922' },
    family: 'low-rank',
    models: ['decoder', 'encoder'],
    exports: 'lora-exact',
    fields: {
      parallelRank: { ...rankField('Parallel rank', 'Of the head that reads the layer’s input; 0 leaves it out.'), default: 2, min: 0, log: false },
      sequentialRank: { ...rankField('Sequential rank', 'Of the head that reads the layer’s frozen output; 0 leaves it out, and Hydra is LoRA.'), default: 2, min: 0, log: false },
      scale: { kind: 'float', label: 'Scale s', help: 'Strength of both heads, not divided by a rank. What suits differs between data sets: 0.1 to 4.5 in the authors’ settings.', source: 'Kim et al. 2023, code: vtab1k/configs', default: 1, min: 0.01, max: 100, log: true },
      biases: { kind: 'bool', label: 'Inner biases', help: 'Biases in both heads, as in the authors’ image code. Layers without a bias of their own, as in Llama, can then not be merged; the adapter exports with lora_bias.', default: false },
      init: {
        kind: 'choice', label: 'A starts', default: 'kaiming', help: 'Uniform in ±1/√in as in LoRA and the authors’ language code, or Xavier uniform as in their image code.',
        options: [{ value: 'kaiming', label: '±1/√in' }, { value: 'xavier', label: 'Xavier' }],
      },
      dropout: { ...dropoutField, help: 'Share of a head’s rank-wide middle that is dropped in training.', default: 0.1 },
    },
    series: [],
    views: [{ id: 'heads', kind: 'heatmap', title: 'Heads', rows: 'module', columns: 'parallel, sequential', help: 's·‖B A‖ of either head (Frobenius): of the input the parallel one, of the layer’s own output the sequential one.' }],
  },

  check(sites, { parallelRank, sequentialRank }) {
    if (parallelRank + sequentialRank === 0) throw new ConfigError('parallelRank and sequentialRank are both 0, so there is nothing to train', 'Give one of them a value from 1 on.');
    checkRank(sites, parallelRank, 'parallelRank');
    checkRank(sites, sequentialRank, 'sequentialRank');
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { scale: s, biases } = config;
    const head = (prefix: string, rank: number, reads: number): Head | undefined => {
      if (rank === 0) return undefined;
      // Xavier's bound is √(6 / (in + out)), Kaiming's with a = 0 is √(6 / fan).
      const init: Init = config.init === 'xavier' ? { kind: 'kaimingUniform', fanIn: reads + rank, a: 0 } : { kind: 'kaimingUniform', fanIn: reads };
      const bias = (name: string, size: number) => (biases ? site.param(name, [size], { kind: 'zeros' }) : undefined);
      return {
        rank,
        A: site.param(`${prefix}_A`, [rank, reads], init), a: bias(`${prefix}_A_bias`, rank),
        B: site.param(`${prefix}_B`, [out, rank], { kind: 'zeros' }), c: bias(`${prefix}_B_bias`, out),
        stream: context.stream(`${site.name} ${prefix}`),
      };
    };
    // The parallel head alone is LoRA, by name and by numbers.
    const [parallel, sequential] = [head('lora', config.parallelRank, inn), head('sequential', config.sequentialRank, out)];
    const hasShift = biases || (site.bias !== undefined && sequential !== undefined);

    const middleOf = ({ A, a, stream }: Head, reads: Tensor, training: boolean) => {
      const low = matmul(reads, A.tensor, { tb: true });
      const middle = a ? addColumns(low, a.tensor) : low;
      return training ? dropout(middle, config.dropout, stream) : middle;
    };
    const through = ({ B }: Head, middle: Tensor, y: Tensor) => matmul(middle, B.tensor, { tb: true, alpha: s, c: y });
    /** Δb / s [out]: what the heads add whatever the input is. */
    const shift = () => summed([
      parallel?.a && matmul(parallel.a.tensor, parallel.B.tensor, { tb: true }),
      sequential && mixedBias(site, sequential),
      parallel?.c?.tensor, sequential?.c?.tensor,
    ]) as Tensor;
    const outer = [parallel?.c, sequential?.c].flatMap((c) => (c ? [c.tensor] : []));
    return {
      params: named(parallel, sequential),
      weight() {
        const w = parallel ? matmul(parallel.B.tensor, parallel.A.tensor, { alpha: s, c: site.weight }) : site.weight;
        return sequential ? matmul(sequential.B.tensor, matmul(sequential.A.tensor, site.weight), { alpha: s, c: w }) : w;
      },
      ...(hasShift ? { bias: () => (site.bias ? axpby(site.bias, shift(), 1, s) : scaled(shift(), s)) } : {}),
      apply(x, { training }) {
        const middle = parallel && middleOf(parallel, x, training);
        const y0 = site.base(x);
        const beside = parallel && middle ? through(parallel, middle, y0) : y0;
        const y = sequential ? through(sequential, middleOf(sequential, y0, training), beside) : beside;
        return outer.length > 0 ? addColumns(y, scaled(summed(outer) as Tensor, s)) : y;
      },
      derived: () => ({ ...(sequential ? { AW: matmul(sequential.A.tensor, site.weight) } : {}), ...(hasShift ? { shift: shift() } : {}) }),
      lora: (v) => joined(s, inn, out, [[parallel, v.A, v.B], [sequential, v.AW, v.Bs]], v.shift),
    };
  },

  views: (sites, { scale }) => ({ heads: headMap(sites, scale) }),

  trainable: ([out, inn], { parallelRank: p, sequentialRank: s, biases }) =>
    p * (inn + out) + s * 2 * out + (biases ? (p > 0 ? p + out : 0) + (s > 0 ? s + out : 0) : 0),
});

interface Head {
  readonly rank: number;
  /** [rank, what it reads], and its bias [rank] */
  readonly A: Param;
  readonly a: Param | undefined;
  /** [out, rank], and its bias [out] */
  readonly B: Param;
  readonly c: Param | undefined;
  readonly stream: number;
}

function named(parallel: Head | undefined, sequential: Head | undefined): Record<string, Param> {
  const all = { A: parallel?.A, a: parallel?.a, B: parallel?.B, c: parallel?.c, As: sequential?.A, as: sequential?.a, Bs: sequential?.B, cs: sequential?.c };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, Param] => entry[1] !== undefined));
}

const summed = (parts: readonly (Tensor | undefined)[]): Tensor | undefined => parts.reduce((sum, part) => (sum && part ? add(sum, part) : (sum ?? part)), undefined);

/** Bₛ (Aₛ b + aₛ), [out]; nothing where neither bias is there. */
function mixedBias(site: LinearSite, { A, a, B }: Head): Tensor | undefined {
  const middle = summed([site.bias && matmul(site.bias, A.tensor, { tb: true }), a?.tensor]);
  return middle && matmul(middle, B.tensor, { tb: true });
}

/** One LoRA of both: A' = [Aₚ; Aₛ W], B' = [Bₚ, Bₛ]. Exact. */
function joined(scale: number, inn: number, out: number, heads: readonly (readonly [Head | undefined, Float32Array | undefined, Float32Array | undefined])[], bias: Float32Array | undefined) {
  const rank = heads.reduce((sum, [head]) => sum + (head?.rank ?? 0), 0);
  const [A, B] = [new Float32Array(rank * inn), new Float32Array(out * rank)];
  let first = 0;
  for (const [head, a, b] of heads) {
    if (!head || !a || !b) continue;
    A.set(a, first * inn);
    for (let o = 0; o < out; o++) B.set(b.subarray(o * head.rank, (o + 1) * head.rank), o * rank + first);
    first += head.rank;
  }
  return { rank, scale, A, B, bias };
}

function headMap(sites: readonly SiteValues[], scale: number): HeatmapData {
  const norm = (A: Float32Array | undefined, B: Float32Array | undefined, rank = 0) => (A && B ? Math.hypot(...lowRankSingularValues(A, B, rank, scale)) : 0);
  const values = sites.flatMap(({ params, values: { A, B, As, Bs } }) => [norm(A, B, params.A?.tensor.shape[0]), norm(As, Bs, params.As?.tensor.shape[0])]);
  return { rows: sites.map(({ site }) => site.name), columns: 2, values: Float32Array.from(values) };
}
