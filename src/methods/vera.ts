// VeRA: one pair of random frozen matrices for the whole model; every layer trains two vectors that scale them (Kopiczko et al. 2024,
// arXiv 2310.11454). As PEFT has it: the pair is as large as the largest layers, smaller ones take its first columns and rows.
import { drawn } from '../engine/nn/init';
import type { LinearSite } from '../engine/nn/site';
import { dropout, matmul, scaleColumns, scaleRows, add } from '../engine/ops';
import type { Shape } from '../engine/tensor/tensor';
import { defineMethod } from '../training/contract';
import { ConfigError } from '../util/errors';
import { dropoutField, rankField } from './shared/low-rank';
import { numberOf, uniformRank } from './shared/peft-config';

const [SHARED_A, SHARED_B] = ['base_model.vera_A', 'base_model.vera_B'];

export const vera = defineMethod({
  info: {
    slug: 'vera',
    name: 'VeRA',
    summary: 'All layers share two frozen random matrices; each trains only two vectors that scale them. Very small files of what is trained.',
    formula: 'y = W x + λ_b ⊙ B (λ_d ⊙ A x)',
    paper: { title: 'VeRA: Vector-based Random Matrix Adaptation', authors: 'Kopiczko, Blankevoort, Asano', year: 2024, venue: 'ICLR 2024', url: 'https://arxiv.org/abs/2310.11454' },
    family: 'baseline',
    models: ['decoder'],
    exports: 'peft',
    fields: {
      rank: { ...rankField('Rank', 'Rows of A and columns of B. It may be larger than the layers are wide: only a number of each rank trains.'), default: 256, max: 4096, source: 'Kopiczko et al. 2024: 256 to 1024' },
      dInitial: { kind: 'float', label: 'λ_d at the start', help: 'Every entry of λ_d starts here; λ_b starts at zero.', source: 'Kopiczko et al. 2024: 0.1', default: 0.1, min: 1e-7, max: 10, log: true },
      dropout: dropoutField,
    },
    series: [],
    views: [],
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { rank } = config;
    const [widest, tallest] = [Math.max(...context.sites.map(({ shape }) => shape[1])), Math.max(...context.sites.map(({ shape }) => shape[0]))];
    const whole = (name: string, shape: Shape, fanIn: number) => drawn({ kind: 'kaimingUniform', fanIn, a: 0 }, shape, context.seed, name);
    const frozen = { trainable: false } as const;
    // One for each width that occurs; all are parts of the same draw.
    const A = context.param(`vera_A.${inn}`, [rank, inn], { kind: 'values', values: () => firstColumns(whole('vera_A', [rank, widest], widest), widest, inn) }, frozen);
    const B = context.param(`vera_B.${out}`, [out, rank], { kind: 'values', values: () => whole('vera_B', [tallest, rank], rank).slice(0, out * rank) }, frozen);
    const d = site.param('vera_lambda_d', [rank], { kind: 'values', values: () => new Float32Array(rank).fill(config.dInitial) });
    const b = site.param('vera_lambda_b', [out], { kind: 'zeros' });
    const stream = context.stream(site.name);
    return {
      params: { A, B, d, b },
      weight: () => matmul(scaleRows(B.tensor, b.tensor), scaleRows(A.tensor, d.tensor), { c: site.weight }),
      apply(x, call) {
        const low = scaleColumns(matmul(call.training ? dropout(x, config.dropout, stream) : x, A.tensor, { tb: true }), d.tensor);
        return add(site.base(x), scaleColumns(matmul(low, B.tensor, { tb: true }), b.tensor));
      },
    };
  },

  peft: {
    type: 'VERA',
    reads: ({ peft_type }) => peft_type === 'VERA',
    shared: (name) => name === SHARED_A || name === SHARED_B,
    // The key seeds a generator of torch's, which is not this one: the matrices themselves go along.
    config: (_, { rank, dInitial, dropout: p }) => ({ r: rank, d_initial: dInitial, vera_dropout: p, projection_prng_key: 0, save_projection: true, bias: 'none', init_weights: true, layers_pattern: null, layers_to_transform: null, modules_to_save: null }),
    tensors(sites, { rank }) {
      const largest = (side: 0 | 1) => sites.reduce((a, b) => (b.site.shape[side] > a.site.shape[side] ? b : a));
      const [wide, tall] = [largest(1), largest(0)];
      return new Map([
        [SHARED_A, { shape: [rank, wide.site.shape[1]], data: wide.values.A as Float32Array }],
        [SHARED_B, { shape: [tall.site.shape[0], rank], data: tall.values.B as Float32Array }],
        ...sites.flatMap(({ site: { name, shape: [out] }, values: { d, b } }) => [
          [`${name}.vera_lambda_d`, { shape: [rank], data: d as Float32Array }] as const,
          [`${name}.vera_lambda_b`, { shape: [out], data: b as Float32Array }] as const,
        ]),
      ]);
    },
    fields(config) {
      uniformRank(config);
      if (config.save_projection === false) throw new ConfigError('adapter_config.json: save_projection is false: the shared matrices are not in the file and come from a generator of PyTorch', 'Save the adapter with save_projection=True.');
      return { rank: numberOf(config, 'r'), dInitial: numberOf(config, 'd_initial', 0.1), dropout: numberOf(config, 'vera_dropout', 0) };
    },
    async values({ name, shape: [out, inn] }: LinearSite, get) {
      const [A, B, d, b] = [await get(SHARED_A), await get(SHARED_B), await get(`${name}.vera_lambda_d`), await get(`${name}.vera_lambda_b`)];
      return { A: firstColumns(A, A.length / d.length, inn), B: B.slice(0, out * d.length), d, b };
    },
  },

  trainable: ([out], { rank }) => rank + out,
});

/** The first `count` columns of x [rows, columns]. */
function firstColumns(x: Float32Array, columns: number, count: number): Float32Array {
  const rows = x.length / columns;
  const y = new Float32Array(rows * count);
  for (let r = 0; r < rows; r++) y.set(x.subarray(r * columns, r * columns + count), r * count);
  return y;
}
