// DoRA: the length of each output's weight row trains by itself, LoRA turns its direction (Liu et al. 2024, arXiv 2402.09353).
import { GAIN_PARTS, type Gains, makeGains } from '../engine/joint/gains';
import type { Param } from '../engine/nn/site';
import { addColumns, axpby, dropout, inverseRowNorms, matmul, scaleColumns, scaleRows } from '../engine/ops';
import { defineMethod } from '../training/contract';
import { alphaField, branchWeight, checkRank, dropoutField, rankField, scaleOf, scalingField } from './shared/low-rank';
import { numberOf, tensorsBySite, uniformRank } from './shared/peft-config';

export const dora = defineMethod({
  info: {
    slug: 'dora',
    name: 'DoRA',
    summary: 'Splits each weight into lengths and directions: LoRA changes the directions, one number an output the length.',
    goodFor: 'low ranks that should come nearer to full fine-tuning, at the price of a slower step.',
    formula: 'y = m ⊙ (W + s B A) x / ‖W + s B A‖',
    paper: { title: 'DoRA: Weight-Decomposed Low-Rank Adaptation', authors: 'Liu et al.', year: 2024, venue: 'ICML 2024', url: 'https://arxiv.org/abs/2402.09353' },
    family: 'baseline',
    models: ['decoder', 'encoder'],
    wantsF32: true,
    exports: 'peft',
    fields: {
      rank: rankField('Rank', 'Of the branch that turns the directions.'),
      alpha: alphaField,
      scaling: scalingField,
      norm: {
        kind: 'choice', label: 'Norm in gradients', default: 'held',
        help: 'Held: a constant, as the paper’s section 4.3 and PEFT have it. Followed: the gradient goes through it, too.',
        options: [{ value: 'held', label: 'held' }, { value: 'followed', label: 'followed' }],
      },
      dropout: dropoutField,
    },
    series: [],
    views: [],
  },

  check: (sites, { rank }) => checkRank(sites, rank),

  /** The lengths of the rows of every weight: m starts there. */
  async prepare({ sites, weight, progress }): Promise<ReadonlyMap<string, Float32Array>> {
    const lengths = new Map<string, Float32Array>();
    for (const site of sites) {
      lengths.set(site.name, rowLengths(await weight(site), site.shape));
      await progress(lengths.size, sites.length);
    }
    return lengths;
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { rank } = config;
    const scale = scaleOf(config);
    const A = site.param('lora_A', [rank, inn], { kind: 'kaimingUniform', fanIn: inn });
    const B = site.param('lora_B', [out, rank], { kind: 'zeros' });
    const m = site.param('lora_magnitude_vector', [out], { kind: 'values', values: () => context.shared?.get(site.name) as Float32Array });
    const stream = context.stream(site.name);
    const made = config.norm === 'held' ? context.joint(gainsName(site.name), [GAIN_PARTS, out]) : undefined;
    const gains = () => scaleColumns(m.tensor, inverseRowNorms(site.weight, B.tensor, A.tensor, scale, config.norm === 'held'));
    return {
      params: { A, B, m },
      weight: () => scaleRows(branchWeight(site, { A, B, scale, dropout: 0, stream }), gains()),
      apply(x, call) {
        const input = call.training ? dropout(x, config.dropout, stream) : x;
        const plain = matmul(input, site.weight, { tb: true });
        const turned = scaleColumns(matmul(matmul(input, A.tensor, { tb: true }), B.tensor, { tb: true, alpha: scale, c: plain }), call.joint && made ? made : gains());
        // What the adapter adds sees the input with gaps, what was there before sees all of it.
        const y = input === x ? turned : axpby(axpby(turned, plain, 1, -1), matmul(x, site.weight, { tb: true }), 1, 1);
        return site.bias ? addColumns(y, site.bias) : y;
      },
    };
  },

  joint(arenas, config) {
    const { sites, at, atJoint, jointOf } = arenas;
    const layers = sites.flatMap(({ site, params }): Gains[] => {
      const [{ A, B, m }, name] = [params as Record<'A' | 'B' | 'm', Param>, gainsName(site.name)];
      const [atGains, gains] = [atJoint(name), jointOf(name)];
      return atGains === undefined || !gains ? [] : [{ W: site.weight, B: B.tensor, A: A.tensor, m: m.tensor, scale: scaleOf(config), atM: at(m), atGains, gains }];
    });
    if (layers.length === 0) return undefined;
    const { back } = makeGains(arenas, layers);
    return {
      back() {
        back();
        return new Set(sites.map(({ params: { m } }) => m as Param));
      },
    };
  },

  peft: {
    type: 'LORA',
    reads: ({ peft_type, use_dora }) => peft_type === 'LORA' && use_dora === true,
    config: (_, { rank, alpha, scaling, dropout: p }) => ({ r: rank, lora_alpha: alpha, lora_dropout: p, use_dora: true, use_rslora: scaling === 'alpha/sqrt(r)' }),
    tensors: (sites, { rank }) => tensorsBySite(sites, ({ site: { shape: [out, inn] }, values: { A, B, m } }) => ({
      'lora_A.weight': [[rank, inn], A], 'lora_B.weight': [[out, rank], B], lora_magnitude_vector: [[out], m],
    })),
    fields(config) {
      uniformRank(config);
      return { rank: numberOf(config, 'r'), alpha: numberOf(config, 'lora_alpha'), dropout: numberOf(config, 'lora_dropout', 0), scaling: config.use_rslora === true ? 'alpha/sqrt(r)' : 'alpha/r' };
    },
    async values({ name }, get) {
      return { A: await get(`${name}.lora_A.weight`), B: await get(`${name}.lora_B.weight`), m: await get(`${name}.lora_magnitude_vector`) };
    },
  },

  trainable: ([out, inn], { rank }) => rank * (out + inn) + out,
});

const gainsName = (site: string) => `${site}.gains`;

/** ‖row‖ of a weight [out, in], summed in double precision. */
function rowLengths(weight: Float32Array, [out, inn]: readonly [number, number]): Float32Array {
  return Float32Array.from({ length: out }, (_, o) => Math.sqrt(weight.subarray(o * inn, (o + 1) * inn).reduce((sum, w) => sum + w * w, 0)));
}
