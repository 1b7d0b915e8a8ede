// LoRA-Pro: plain LoRA whose two gradients are adjusted so that the step they imply for the weight is the closest one to full
// fine-tuning's (Wang et al. 2025, arXiv 2407.18242). In the AdamW form the moments stand on that implied gradient, in full shape.
import { type Eigen, divide, eigh, sylvester } from '../engine/linalg/eigen';
import { pick, product, stack } from '../engine/linalg/products';
import type { Param } from '../engine/nn/site';
import { l2Norm, matmul } from '../engine/ops';
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

  optimizer({ sites, gradient, control, lasting, report }, config) {
    const scale = scaleOf(config);
    const params = sites.map(({ params: { A, B } }) => ({ A: A as Param, B: B as Param }));
    const factors = params.map(({ A, B }) => ({ A: A.tensor, B: B.tensor }));
    const grams = gramsOf(factors, config.damping);
    const own = params.map(({ A, B }) => ({ A: gradient(A), B: gradient(B) }));
    const followed = config.form === 'sgd' ? own : adjusted(factors, grams, own, scale, false).pairs.map((pair, i) => {
      const { A, B } = factors[i] as Pair;
      const g = matmul(pair.B, A, { alpha: scale, c: matmul(B, pair.A, { alpha: scale }) });
      const name = (sites[i] as { site: { name: string } }).site.name;
      const d = wholeAdam(g, lasting(`${name}.m`, g.shape), lasting(`${name}.v`, g.shape), control, config);
      return { A: matmul(B, d, { ta: true, alpha: scale }), B: matmul(d, A, { tb: true, alpha: scale }) };
    });
    const { pairs, X } = adjusted(factors, grams, followed, scale, true);
    report('x_norm', l2Norm(X as Tensor));
    return { steps: new Map(params.flatMap(({ A, B }, i) => [[A, pairs[i]?.A as Tensor], [B, pairs[i]?.B as Tensor]] as const)) };
  },

  trainable: ([out, inn], { rank }) => rank * (out + inn),
});

/** Factors or their gradients: A [r, in], B [out, r]. */
export interface Pair {
  readonly A: Tensor;
  readonly B: Tensor;
}

/** Eigenvalues and inverses of BᵀB and A Aᵀ, stacks over sites. */
export interface Grams {
  readonly left: Eigen;
  readonly right: Eigen;
  /** (BᵀB + δI)⁻¹ and (A Aᵀ + δI)⁻¹ of each site, [r, r]. */
  readonly inverses: readonly { readonly left: Tensor; readonly right: Tensor }[];
}

export function gramsOf(factors: readonly Pair[], damping: number): Grams {
  const left = eigh(stack(factors.map(({ B }) => matmul(B, B, { ta: true }))));
  const right = eigh(stack(factors.map(({ A }) => matmul(A, A, { tb: true }))));
  const inverse = ({ values, vectors }: Eigen) => product(vectors, divide(vectors, values, { damping, relative: RELATIVE }), { ta: true });
  const [leftInverses, rightInverses] = [inverse(left), inverse(right)];
  return { left, right, inverses: factors.map((_, i) => ({ left: pick(leftInverses, i), right: pick(rightInverses, i) })) };
}

/**
 * The adjusted pair of every site from the pair that autograd gives, or would give for another gradient of W:
 * g_A = (BᵀB)⁻¹ g_Aᴸ / s² + X A,  g_B = (I − P_B) g_Bᴸ (A Aᵀ)⁻¹ / s² − B X. `joined`: X keeps both near their own, as the solution of
 * (BᵀB) X + X (A Aᵀ) = −(BᵀB)⁻¹ g_Aᴸ Aᵀ / s², else it is 0. With B = 0 its own g_Aᴸ is 0, and so are g_A and X. X is [sites, r, r]. Recorded.
 */
export function adjusted(factors: readonly Pair[], { left, right, inverses }: Grams, own: readonly Pair[], scale: number, joined: boolean): { pairs: Pair[]; X: Tensor | null } {
  const alpha = 1 / scale ** 2;
  const gA = own.map((g, i) => matmul((inverses[i] as Grams['inverses'][number]).left, g.A, { alpha }));
  const X = joined ? sylvester(left, right, stack(factors.map(({ A }, i) => matmul(gA[i] as Tensor, A, { tb: true, alpha: -1 })))) : null;
  const pairs = factors.map(({ A, B }, i) => {
    const inverse = inverses[i] as Grams['inverses'][number];
    const x = X && pick(X, i);
    const outer = matmul((own[i] as Pair).B, inverse.right, { alpha });
    // (I − P_B) t − B X = t − B ((BᵀB)⁻¹ Bᵀ t + X).
    const inner = matmul(inverse.left, matmul(B, outer, { ta: true }), x ? { c: x } : {});
    return { A: x ? matmul(x, A, { c: gA[i] as Tensor }) : (gA[i] as Tensor), B: matmul(B, inner, { alpha: -1, c: outer }) };
  });
  return { pairs, X };
}
