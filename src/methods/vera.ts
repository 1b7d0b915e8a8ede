// VeRA: one pair of random frozen matrices for the whole model; every layer trains two vectors that scale them (Kopiczko et al. 2024,
// arXiv 2310.11454). As PEFT has it: the pair is as large as the largest layers, smaller ones take its first columns and rows.
import { MOST_GATED } from '../engine/joint/gates';
import type { Param } from '../engine/nn/site';
import { add, dropout, matmul, scaleColumns, scaleRows } from '../engine/ops';
import { firstRows } from '../engine/tensor/tensor';
import { defineMethod } from '../training/contract';
import { ConfigError } from '../util/errors';
import { gatedFactors, gatedName } from './shared/gated';
import { dropoutField, rankField } from './shared/low-rank';
import { numberOf, tensorsBySite, uniformRank } from './shared/peft-config';

const [SHARED_A, SHARED_B] = ['base_model.vera_A', 'base_model.vera_B'];

export const vera = defineMethod({
  info: {
    slug: 'vera',
    name: 'VeRA',
    summary: 'All layers share two frozen random matrices; each trains only two vectors that scale them. Very small files of what is trained.',
    goodFor: 'training as few numbers as possible at any rank; it wants ten times the learning rate of LoRA.',
    formula: 'y = W x + λ_b ⊙ B (λ_d ⊙ A x)',
    paper: { title: 'VeRA: Vector-based Random Matrix Adaptation', authors: 'Kopiczko, Blankevoort, Asano', year: 2024, venue: 'ICLR 2024', url: 'https://arxiv.org/abs/2310.11454' },
    family: 'baseline',
    models: ['decoder', 'encoder'],
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
    // Both with the rank along columns, so that the first rows are what a smaller layer takes of either.
    const shared = (name: string, rows: number, fanIn: number) => context.param(name, [rows, rank], { kind: 'kaimingUniform', fanIn, a: 0 }, { trainable: false });
    const [A, B] = [shared('vera_A', widest, widest), shared('vera_B', tallest, rank)];
    const [a, up] = [firstRows(A.tensor, inn), firstRows(B.tensor, out)];
    const d = site.param('vera_lambda_d', [rank], { kind: 'values', values: () => new Float32Array(rank).fill(config.dInitial) });
    const b = site.param('vera_lambda_b', [out], { kind: 'zeros' });
    const stream = context.stream(site.name);
    const scaled = rank <= MOST_GATED ? context.joint(gatedName(site.name), [out, rank]) : undefined;
    return {
      params: { A, B, d, b },
      weight: () => matmul(scaleRows(up, b.tensor), scaleColumns(a, d.tensor), { tb: true, c: site.weight }),
      apply(x, call) {
        const plain = matmul(call.training ? dropout(x, config.dropout, stream) : x, a);
        if (call.joint && scaled) return matmul(plain, scaled, { tb: true, c: site.base(x) });
        const low = scaleColumns(plain, d.tensor);
        return add(site.base(x), scaleColumns(matmul(low, up, { tb: true }), b.tensor));
      },
    };
  },

  // Λ_b B Λ_d of every layer, and from its gradient those of both vectors.
  joint: (arenas) => gatedFactors(arenas, false, ({ B, d, b }) => ({ B: B as Param, gate: d as Param, rows: b as Param })),

  peft: {
    type: 'VERA',
    reads: ({ peft_type }) => peft_type === 'VERA',
    shared: (name) => name === SHARED_A || name === SHARED_B,
    // The key seeds a generator of torch's, which is not this one: the matrices themselves go along.
    config: (_, { rank, dInitial, dropout: p }) => ({ r: rank, d_initial: dInitial, vera_dropout: p, projection_prng_key: 0, save_projection: true, bias: 'none', init_weights: true, layers_pattern: null, layers_to_transform: null, modules_to_save: null }),
    tensors(sites, { rank }) {
      const [{ values: { A, B } }] = sites as unknown as [{ values: { A: Float32Array; B: Float32Array } }];
      return tensorsBySite(sites, ({ site: { shape: [out] }, values: { d, b } }) => ({ vera_lambda_d: [[rank], d], vera_lambda_b: [[out], b] }))
        .set(SHARED_A, { shape: [rank, A.length / rank], data: turned(A, rank) })
        .set(SHARED_B, { shape: [B.length / rank, rank], data: B });
    },
    fields(config) {
      uniformRank(config);
      if (config.save_projection === false) throw new ConfigError('adapter_config.json: save_projection is false: the shared matrices are not in the file and come from a generator of PyTorch', 'Save the adapter with save_projection=True.');
      return { rank: numberOf(config, 'r'), dInitial: numberOf(config, 'd_initial', 0.1), dropout: numberOf(config, 'vera_dropout', 0) };
    },
    async values({ name }, get) {
      const [A, B, d, b] = [await get(SHARED_A), await get(SHARED_B), await get(`${name}.vera_lambda_d`), await get(`${name}.vera_lambda_b`)];
      return { A: turned(A, A.length / d.length), B, d, b };
    },
  },

  trainable: ([out], { rank }) => rank + out,
});

/** x [rows, columns] turned. */
function turned(x: Float32Array, columns: number): Float32Array {
  const rows = x.length / columns;
  return Float32Array.from(x, (_, at) => x[(at % rows) * columns + Math.floor(at / rows)] as number);
}
