// Adapters cut by singular values: the explorer's and `lowrank convert`'s one way from a cut to factors.
import { type LowRankSvd, lowRankSvd } from '../engine/linalg/low-rank-svd';
import type { LoraModule } from '../formats/peft';

export const decompose = ({ A, B, rank, scale }: LoraModule): LowRankSvd => lowRankSvd(A, B, rank, scale);

/** strength · Σ of the first `keep` components, σ split evenly between the factors. */
export function cutModule(module: LoraModule, { sigma, left, right }: LowRankSvd, keep: number, strength = 1): LoraModule {
  const { inn, out } = module;
  const [A, B] = [new Float32Array(keep * inn), new Float32Array(out * keep)];
  for (let k = 0; k < keep; k++) {
    const root = Math.sqrt(sigma[k] as number);
    const [u, v] = [left[k] as Float64Array, right[k] as Float64Array];
    for (let i = 0; i < inn; i++) A[k * inn + i] = root * (v[i] as number);
    for (let o = 0; o < out; o++) B[o * keep + k] = root * (u[o] as number);
  }
  return { ...module, rank: keep, scale: strength, A, B };
}

/**
 * The same adapter with one alpha for all modules, each one's own scale folded into its B: what tools need that read a rank by
 * module and a single alpha. alpha is the largest rank.
 */
export function withOneAlpha(modules: readonly LoraModule[]): LoraModule[] {
  const alpha = modules.reduce((most, { rank }) => Math.max(most, rank), 1);
  return modules.map((module) => {
    if (module.rank === 0) return module;
    const factor = (module.scale * module.rank) / alpha;
    return { ...module, scale: alpha / module.rank, B: factor === 1 ? module.B : module.B.map((x) => x * factor) };
  });
}

/** ‖cut − whole‖ / ‖whole‖ of all ΔW together, from the singular values. */
export function cutError(modules: readonly { readonly sigma: ArrayLike<number> }[], keep: readonly number[]): number {
  let [lost, whole] = [0, 0];
  modules.forEach(({ sigma }, m) => {
    for (let k = 0; k < sigma.length; k++) {
      const square = (sigma[k] as number) ** 2;
      whole += square;
      if (k >= (keep[m] as number)) lost += square;
    }
  });
  return whole === 0 ? 0 : Math.sqrt(lost / whole);
}
