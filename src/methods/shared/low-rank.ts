// The additive low-rank branch y = base(x) + s·((x Aᵀ) ⊙ g) Bᵀ that LoRA and its kin share.
import type { CallOptions, LinearSite, Param } from '../../engine/nn/site';
import { dropout, matmul, scaleColumns } from '../../engine/ops';
import type { Tensor } from '../../engine/tensor/tensor';
import type { ChoiceField, FloatField, IntField } from '../../training/fields';

export interface Branch {
  /** [rank, in] */
  readonly A: Param;
  /** [out, rank] */
  readonly B: Param;
  /** [rank] */
  readonly gate?: Param;
  readonly scale: number;
  /** Share of the branch's input that is dropped in training, and the stream its choice is drawn from. */
  readonly dropout: number;
  readonly stream: number;
}

/** W + s·B diag(g) A, [out, in]. */
export function branchWeight(site: LinearSite, { A, B, gate, scale }: Branch): Tensor {
  const left = gate ? scaleColumns(B.tensor, gate.tensor) : B.tensor;
  return matmul(left, A.tensor, { alpha: scale, c: site.weight });
}

/** base(x) + s·((drop(x) Aᵀ) ⊙ g) Bᵀ without ever making the [out, in] product. */
export function branchApply(site: LinearSite, x: Tensor, call: CallOptions, { A, B, gate, scale, dropout: p, stream }: Branch): Tensor {
  const input = call.training ? dropout(x, p, stream) : x;
  const low = matmul(input, A.tensor, { tb: true });
  return matmul(gate ? scaleColumns(low, gate.tensor) : low, B.tensor, { tb: true, alpha: scale, c: site.base(x) });
}

export const rankField = (label: string, help: string): IntField => ({ kind: 'int', label, help, default: 8, min: 1, max: 256, log: true });
export const alphaField: FloatField = { kind: 'float', label: 'Alpha', help: 'Strength of the adapter: ΔW is scaled by alpha / rank.', default: 16, min: 0.125, max: 1024, log: true };
export const dropoutField: FloatField = { kind: 'float', label: 'Dropout', help: 'Share of the adapter’s input dropped in training.', default: 0, min: 0, max: 0.9 };
export const scalingField: ChoiceField = {
  kind: 'choice', label: 'Scaling', default: 'alpha/r',
  help: 'alpha / r is the original; alpha / √r keeps the update’s size as the rank grows (rank-stabilised LoRA).',
  source: 'Kalajdzievski 2023, arXiv 2312.03732',
  options: [{ value: 'alpha/r', label: 'alpha / r' }, { value: 'alpha/sqrt(r)', label: 'alpha / √r' }],
};
export const scaleOf = ({ rank, alpha, scaling }: { rank: number; alpha: number; scaling?: string }): number => alpha / (scaling === 'alpha/sqrt(r)' ? Math.sqrt(rank) : rank);
