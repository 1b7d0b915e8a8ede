// Singular value decomposition of a product of thin factors, on the host in double precision: what truncation, spectra and
// subspaces are read from. The [out, in] product is never made: B = Q_B R_B, Aᵀ = Q_A R_A, and the core R_B R_Aᵀ is rank × rank.
import { columnsOf, hostMatrix, multiply, transpose } from './host/matrix';
import { qr } from './host/qr';
import { svd } from './host/svd';

export interface LowRankSvd {
  /** Largest first, as many as the factors have columns; those that are only rounding are exactly 0. */
  readonly sigma: Float64Array;
  /** Left singular vectors, one of `out` numbers a singular value; zero where σ is. */
  readonly left: readonly Float64Array[];
  /** Right singular vectors of `in` numbers. */
  readonly right: readonly Float64Array[];
}

/** Below this share of the largest, a singular value of double precision factors says nothing. */
const ROUNDING = 1e-10;

/** scale·B·A = Σ σᵢ uᵢ vᵢᵀ, B [out, rank], A [rank, in], row-major. */
export function lowRankSvd(A: ArrayLike<number>, B: ArrayLike<number>, rank: number, scale: number): LowRankSvd {
  if (rank === 0) return { sigma: new Float64Array(), left: [], right: [] };
  const [inn, out] = [A.length / rank, B.length / rank];
  const [b, a] = [qr(hostMatrix(out, rank, B)), qr(transpose(hostMatrix(rank, inn, A)))];
  const { U, S, Vt } = svd(multiply(b.R, transpose(a.R)));
  const [left, right] = [columnsOf(multiply(b.Q, U)), columnsOf(multiply(a.Q, transpose(Vt)))];
  const least = ROUNDING * (S[0] ?? 0);
  const isThere = (k: number) => k < S.length && (S[k] as number) > least && scale !== 0;
  // As many as the rank, also where the layer is thinner than that.
  const all = Array.from({ length: rank }, (_, k) => k);
  return {
    sigma: Float64Array.from(all, (k) => (isThere(k) ? Math.abs(scale) * (S[k] as number) : 0)),
    left: all.map((k) => (isThere(k) ? (left[k] as Float64Array).map((x) => Math.sign(scale) * x) : new Float64Array(out))),
    right: all.map((k) => (isThere(k) ? (right[k] as Float64Array) : new Float64Array(inn))),
  };
}
