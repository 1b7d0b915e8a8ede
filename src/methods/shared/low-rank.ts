// The additive low-rank branch y = base(x) + s·(((x Aᵀ) ⊙ g) Cᵀ) Bᵀ that LoRA and its kin share, and its delta form, which takes the
// start away again: y = base(x) + s·(x Aᵀ) Bᵀ − s·(x A₀ᵀ) B₀ᵀ. The base stays as it is in either.
import type { CallOptions, LinearSite, LoraFactors, Param } from '../../engine/nn/site';
import { dropout, matmul, scaleColumns } from '../../engine/ops';
import type { Tensor } from '../../engine/tensor/tensor';
import type { ChoiceField, FloatField, IntField } from '../../training/fields';
import { ConfigError } from '../../util/errors';

export interface Branch {
  /** [rank, in] */
  readonly A: Param;
  /** [out, rank] */
  readonly B: Param;
  /** [rank], a number for each rank: a parameter's, or what the host writes. */
  readonly gate?: Tensor | undefined;
  /** C [rank, rank] */
  readonly core?: Tensor | undefined;
  /** Frozen copies of the start, where the branch does not start at zero: A₀ [rank, in], B₀ [out, rank]. */
  readonly start?: { readonly A: Param; readonly B: Param } | undefined;
  /** What stands for A, or for B with gate and core, where a call says that it has been made: [rank', in], [out, rank']. */
  readonly joint?: { readonly A?: Tensor; readonly B?: Tensor } | undefined;
  readonly scale: number;
  /** Share of the branch's input that is dropped in training, and the stream its choice is drawn from. */
  readonly dropout: number;
  readonly stream: number;
}

/** W + s·B C diag(g) A (− s·B₀ A₀), [out, in]. */
export function branchWeight(site: LinearSite, { A, B, gate, core, start, scale }: Branch): Tensor {
  const left = core ? matmul(B.tensor, core) : B.tensor;
  const base = start ? matmul(start.B.tensor, start.A.tensor, { alpha: -scale, c: site.weight }) : site.weight;
  return matmul(gate ? scaleColumns(left, gate) : left, A.tensor, { alpha: scale, c: base });
}

/** base(x) + s·(((drop(x) Aᵀ) ⊙ g) Cᵀ) Bᵀ (− s·(x A₀ᵀ) B₀ᵀ) without ever making the [out, in] product. */
export function branchApply(site: LinearSite, x: Tensor, call: CallOptions, { A, B, gate, core, start, joint, scale, dropout: p, stream }: Branch): Tensor {
  const input = call.training ? dropout(x, p, stream) : x;
  if (call.joint && joint) return matmul(matmul(input, joint.A ?? A.tensor, { tb: true }), joint.B ?? B.tensor, { tb: true, alpha: scale, c: site.base(x) });
  const low = matmul(input, A.tensor, { tb: true });
  const gated = gate ? scaleColumns(low, gate) : low;
  const mixed = core ? matmul(gated, core, { tb: true }) : gated;
  const base = site.base(x);
  const y = start ? matmul(matmul(x, start.A.tensor, { tb: true }), start.B.tensor, { tb: true, alpha: -scale, c: base }) : base;
  return matmul(mixed, B.tensor, { tb: true, alpha: scale, c: y });
}

/** s·(B A − B₀ A₀) as one plain LoRA of the ranks together: A' = [A; A₀], B' = [B, −B₀]. Exact. */
export function concatenated(scale: number, rank: number, now: { A: Float32Array; B: Float32Array }, start: { A: Float32Array; B: Float32Array }): LoraFactors {
  const out = now.B.length / rank;
  const [A, B] = [new Float32Array(2 * now.A.length), new Float32Array(2 * now.B.length)];
  A.set(now.A);
  A.set(start.A, now.A.length);
  for (let o = 0; o < out; o++) {
    B.set(now.B.subarray(o * rank, (o + 1) * rank), 2 * o * rank);
    B.set(start.B.subarray(o * rank, (o + 1) * rank).map((x) => -x), (2 * o + 1) * rank);
  }
  return { rank: 2 * rank, scale, A, B };
}

/** The shortest side of any layer, and which layer has it. */
export function shortestSide(sites: readonly LinearSite[]): { most: number; whose: string } {
  const most = Math.min(...sites.flatMap(({ shape }) => [...shape]));
  const narrow = sites.find(({ shape }) => Math.min(...shape) === most);
  return { most, whose: `${narrow?.name} [${narrow?.shape.join(', ')}]` };
}

/** Refuses a rank above a layer's smaller side. */
export function checkRank(sites: readonly LinearSite[], rank: number, field = 'rank'): void {
  const { most, whose } = shortestSide(sites);
  if (rank > most) throw new ConfigError(`${field}: ${rank} is above the rank that ${whose} can have`, `Give a value from 1 to ${most}, or leave that layer out of the targets.`);
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
