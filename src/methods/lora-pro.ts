// LoRA-Pro: plain LoRA whose two gradients are adjusted so that the step they imply for the weight is the closest one to full
// fine-tuning's (Wang et al. 2025, arXiv 2407.18242). In the AdamW form the moments stand on that implied gradient, in full shape.
import { type Matrices, type ProductsOptions, asStack, ofStack, products } from '../engine/joint/products';
import { type Eigen, divide, eigh, sylvester } from '../engine/linalg/eigen';
import { product } from '../engine/linalg/products';
import type { Param } from '../engine/nn/site';
import { l2Norm } from '../engine/ops';
import { wholeAdam } from '../engine/optim/whole-adam';
import type { Tensor } from '../engine/tensor/tensor';
import { defineMethod } from '../training/contract';
import { alphaField, branchApply, branchWeight, checkRank, dropoutField, rankField, scaleOf, scalingField } from './shared/low-rank';

/** Eigenvalues of a Gram matrix below this share of its largest are rounding: they have no inverse. */
const RELATIVE = 1e-6;

export const loraPro = defineMethod({
  info: {
    slug: 'lora-pro',
    name: 'LoRA-Pro',
    summary: 'LoRA with another optimiser: its factors move so that the weight moves as close to full fine-tuning as rank r allows.',
    goodFor: 'coming nearer to full fine-tuning at the rank of a LoRA, for more work in each step.',
    formula: 'g_A = (BᵀB)⁻¹ g_Aᴸ / s² + X A, g_B = (I − P_B) g_Bᴸ (A Aᵀ)⁻¹ / s² − B X',
    paper: { title: 'LoRA-Pro: Are Low-Rank Adapters Properly Optimized?', authors: 'Wang et al.', year: 2025, venue: 'ICLR 2025', url: 'https://arxiv.org/abs/2407.18242' },
    family: 'optimiser',
    models: ['decoder', 'encoder'],
    exports: 'lora-exact',
    fields: {
      // The eigensolver takes matrices of at most 128.
      rank: { ...rankField('Rank', 'Columns of B and rows of A. The gain is largest where the rank is at least a quarter of the layer’s width.'), max: 128 },
      alpha: alphaField,
      scaling: scalingField,
      form: {
        kind: 'choice', label: 'Form', default: 'adamw',
        help: 'AdamW: two moments in the shape of every adapted weight, as much memory as full fine-tuning. SGD: none. Either wants the learning rate of full fine-tuning.',
        options: [{ value: 'adamw', label: 'AdamW' }, { value: 'sgd', label: 'SGD' }],
      },
      beta1: { kind: 'float', label: 'β₁', help: 'Of the first moment.', default: 0.9, min: 0, max: 0.9999 },
      beta2: { kind: 'float', label: 'β₂', help: 'Of the second moment.', default: 0.999, min: 0, max: 0.99999 },
      eps: { kind: 'float', label: 'ε', help: 'Added to the root of the second moment.', default: 1e-8, min: 1e-16, max: 1, log: true },
      damping: { kind: 'float', label: 'Damping δ', help: 'Added to the diagonals of BᵀB and A Aᵀ before they are inverted.', source: 'Wang et al. 2025: 1e-8', default: 1e-8, min: 1e-12, max: 1, log: true },
      dropout: dropoutField,
    },
    series: [{ id: 'x_norm', label: '‖X‖ over all layers' }],
    views: [],
  },

  check: (sites, { rank }) => checkRank(sites, rank),

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const scale = scaleOf(config);
    const A = site.param('lora_A', [config.rank, inn], { kind: 'kaimingUniform', fanIn: inn });
    const B = site.param('lora_B', [out, config.rank], { kind: 'zeros' });
    const branch = { A, B, scale, dropout: config.dropout, stream: context.stream(site.name) };
    return {
      params: { A, B },
      weight: () => branchWeight(site, branch),
      apply: (x, call) => branchApply(site, x, call, branch),
      lora: (values) => ({ rank: config.rank, scale, A: values.A as Float32Array, B: values.B as Float32Array }),
    };
  },

  optimizer(recorded, config) {
    const { sites, at, params, gradients, directions, control, lasting, report } = recorded;
    const scale = scaleOf(config);
    const trained = sites.map(({ params: { A, B } }) => ({ A: A as Param, B: B as Param }));
    /** Both factors of every layer in an arena that is laid out as the parameters are. */
    const inArena = (flat: Tensor): Pair => {
      const of = (which: 'A' | 'B') => ({ flat, places: trained.map(({ [which]: p }) => ({ at: at(p), rows: p.tensor.shape[0] as number, columns: p.tensor.shape[1] as number })) });
      return { A: of('A'), B: of('B') };
    };
    const [factors, own] = [inArena(params), inArena(gradients)];
    const grams = gramsOf(recorded, factors, config.damping);
    const followed = config.form === 'sgd' ? own : projected(recorded, factors, adjusted(recorded, 'own', factors, grams, own, scale, false).pair, scale, (g) => {
      const kept = (which: string) => lasting(`weights.${which}`, g.shape);
      return wholeAdam(g, kept('m'), kept('v'), control, config);
    });
    const { X } = adjusted(recorded, 'joined', factors, grams, followed, scale, true, inArena(directions));
    report('x_norm', l2Norm(X as Tensor));
    return { written: new Set(trained.flatMap(({ A, B }) => [A, B])) };
  },

  trainable: ([out, inn], { rank }) => rank * (out + inn),
});

/** Factors of every layer or their gradients: A [r, in], B [out, r]. */
export interface Pair {
  readonly A: Matrices;
  readonly B: Matrices;
}
type Tables = Parameters<typeof products>[0];

/** Eigenvalues of BᵀB and A Aᵀ, stacks over layers; (BᵀB + δI)⁻¹ and (A Aᵀ + δI)⁻¹ of each, [r, r]. */
export interface Grams {
  readonly left: Eigen;
  readonly right: Eigen;
  readonly inverses: { readonly left: Matrices; readonly right: Matrices };
}

export function gramsOf(tables: Tables, { A, B }: Pair, damping: number): Grams {
  const left = eigh(asStack(products(tables, 'BᵀB', B, B, { ta: true })));
  const right = eigh(asStack(products(tables, 'A Aᵀ', A, A, { tb: true })));
  const inverse = ({ values, vectors }: Eigen) => ofStack(product(vectors, divide(vectors, values, { damping, relative: RELATIVE }), { ta: true }));
  return { left, right, inverses: { left: inverse(left), right: inverse(right) } };
}

/** What autograd would give the factors for Adam's direction in place of the gradient that the pair implies for the weights. */
function projected(tables: Tables, { A, B }: Pair, pair: Pair, scale: number, adam: (g: Tensor) => Tensor): Pair {
  const g = products(tables, 'implied', pair.B, A, { alpha: scale, c: products(tables, 'implied by A', B, pair.A, { alpha: scale }) });
  const d = { flat: adam(g.flat), places: g.places };
  return { A: products(tables, 'Bᵀd', B, d, { ta: true, alpha: scale }), B: products(tables, 'd Aᵀ', d, A, { tb: true, alpha: scale }) };
}

/**
 * The adjusted pair of every layer from the pair that autograd gives, or would give for another gradient of W:
 * g_A = (BᵀB)⁻¹ g_Aᴸ / s² + X A,  g_B = (I − P_B) g_Bᴸ (A Aᵀ)⁻¹ / s² − B X. `joined`: X keeps both near their own, as the solution of
 * (BᵀB) X + X (A Aᵀ) = −(BᵀB)⁻¹ g_Aᴸ Aᵀ / s², else it is 0. With B = 0 its own g_Aᴸ is 0, and so are g_A and X. X is [layers, r, r].
 * `name` tells the tables of one use from those of another; `into`: where the pair is to stand. Recorded.
 */
export function adjusted(tables: Tables, name: string, { A, B }: Pair, { left, right, inverses }: Grams, own: Pair, scale: number, joined: boolean, into?: Pair): { pair: Pair; X: Tensor | null } {
  const alpha = 1 / scale ** 2;
  const step = (part: string, ...[a, b, options]: [Matrices, Matrices, ProductsOptions?]) => products(tables, `${name} ${part}`, a, b, options);
  const gA = step('g_A', inverses.left, own.A, { alpha });
  const X = joined ? sylvester(left, right, asStack(step('X', gA, A, { tb: true, alpha: -1 }))) : null;
  const outer = step('outer', own.B, inverses.right, { alpha });
  // (I − P_B) t − B X = t − B ((BᵀB)⁻¹ Bᵀ t + X).
  const inner = step('inner', inverses.left, step('Bᵀ outer', B, outer, { ta: true }), X ? { c: ofStack(X) } : {});
  const pair = {
    A: X ? step('A', ofStack(X), A, { c: gA, ...(into ? { into: into.A } : {}) }) : gA,
    B: step('B', B, inner, { alpha: -1, c: outer, ...(into ? { into: into.B } : {}) }),
  };
  return { pair, X };
}
