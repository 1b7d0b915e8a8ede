// Singular values and vectors in double precision, and what follows from them: the pseudo-inverse, the polar factor, low-rank products.
import { normal } from '../../../util/random';
import { type HostMatrix, columnsOf, dot, fromRows, hostMatrix, multiply, scaleRows, topRows, transpose } from './matrix';
import { qr } from './qr';

export interface HostSvd {
  /** [m, r], orthonormal columns. */
  readonly U: HostMatrix;
  /** [r], non-negative, largest first. */
  readonly S: Float64Array;
  /** [r, n], orthonormal rows. */
  readonly Vt: HostMatrix;
}

/** The thin a [m, n] = U diag(S) Vt, r = min(m, n), by one-sided Jacobi (Hestenes 1958) on the triangle of a QR factorisation. */
export function svd(a: HostMatrix): HostSvd {
  if (a.rows < a.columns) {
    const { U, S, Vt } = svd(transpose(a));
    return { U: transpose(Vt), S, Vt: transpose(U) };
  }
  // Rows of R turned until they are orthogonal are S Vt. Householder makes V orthonormal even where values are zero, and then
  // U and S out of a V in the same way.
  const rows = columnsOf(transpose(qr(a).R));
  orthogonalise(rows);
  rows.sort((x, y) => dot(y, y) - dot(x, x));
  const V = qr(transpose(fromRows(rows))).Q;
  const { Q, R } = qr(multiply(a, V));
  const n = a.columns;
  // Values that differ by rounding only may have changed places.
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => at(R, j) - at(R, i));
  const [Qt, Vt] = [columnsOf(Q), columnsOf(V)];
  return {
    U: transpose(fromRows(order.map((i) => Qt[i] as Float64Array))),
    S: Float64Array.from(order, (i) => at(R, i)),
    Vt: fromRows(order.map((i) => Vt[i] as Float64Array)),
  };
}
const at = (R: HostMatrix, i: number): number => R.data[i * R.columns + i] as number;

/** The first `rank` singular triplets. */
export function truncate({ U, S, Vt }: HostSvd, rank: number): HostSvd {
  return { U: transpose(topRows(transpose(U), rank)), S: S.slice(0, rank), Vt: topRows(Vt, rank) };
}

export interface SketchOptions {
  readonly rank: number;
  /** Columns of the sketch beyond the rank. */
  readonly oversample: number;
  /** Power iterations, each two products with a. */
  readonly iterations: number;
  readonly seed: number;
}

/** Ωᵀ [width, columns], standard normal: the sketch that host and GPU share. */
export const sketchMatrix = (width: number, columns: number, seed: number): Float32Array =>
  Float32Array.from({ length: width * columns }, (_, i) => normal(seed, SKETCH_STREAM, i));
/** Stream of Philox that no other part of a run draws from. */
const SKETCH_STREAM = 0x51ec7;

/** The first `rank` triplets by a random sketch and power iterations (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1). */
export function randomisedSvd(a: HostMatrix, { rank, oversample, iterations, seed }: SketchOptions): HostSvd {
  const width = Math.min(rank + oversample, a.rows, a.columns);
  const at = transpose(a);
  let Q = qr(multiply(a, transpose(hostMatrix(width, a.columns, sketchMatrix(width, a.columns, seed))))).Q;
  for (let i = 0; i < iterations; i++) Q = qr(multiply(a, qr(multiply(at, Q)).Q)).Q;
  const core = svd(multiply(transpose(Q), a));
  return truncate({ U: multiply(Q, core.U), S: core.S, Vt: core.Vt }, rank);
}

/** Turns pairs of rows in their planes until all are orthogonal. */
function orthogonalise(rows: readonly Float64Array[]): void {
  for (let sweep = 0; sweep < 60; sweep++) {
    let turned = false;
    for (let p = 0; p < rows.length - 1; p++) {
      for (let q = p + 1; q < rows.length; q++) turned = rotate(rows[p] as Float64Array, rows[q] as Float64Array) || turned;
    }
    if (!turned) return;
  }
}

/** Turns two vectors in their plane until they are orthogonal; false when they were. */
function rotate(x: Float64Array, y: Float64Array): boolean {
  const [xx, yy, xy] = [dot(x, x), dot(y, y), dot(x, y)];
  if (Math.abs(xy) <= 1e-15 * Math.sqrt(xx * yy) || xy === 0) return false;
  const zeta = (yy - xx) / (2 * xy);
  const t = Math.sign(zeta || 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
  const c = 1 / Math.hypot(1, t);
  const s = c * t;
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [x[i] as number, y[i] as number];
    x[i] = c * a - s * b;
    y[i] = s * a + c * b;
  }
  return true;
}

/** Singular values of a [rows, columns], largest first. */
export function singularValues(a: ArrayLike<number>, rows: number, columns: number): Float64Array {
  const matrix = hostMatrix(rows, columns, a);
  const vectors = columnsOf(rows >= columns ? matrix : transpose(matrix));
  orthogonalise(vectors);
  return Float64Array.from(vectors.map((v) => Math.sqrt(dot(v, v)))).sort().reverse();
}

/** Singular values of scale·B·A, B [out, r], A [r, in], without making the product: they are those of the r × r matrix R_B R_Aᵀ. */
export function lowRankSingularValues(A: ArrayLike<number>, B: ArrayLike<number>, rank: number, scale: number): Float64Array {
  const [inn, out] = [A.length / rank, B.length / rank];
  const [ra, rb] = [qr(transpose(hostMatrix(rank, inn, A))).R, qr(hostMatrix(out, rank, B)).R];
  const core = multiply(rb, transpose(ra));
  const values = singularValues(core.data, core.rows, core.columns);
  // A rank above a side adds zeros.
  return Float64Array.from({ length: rank }, (_, i) => scale * (values[i] ?? 0));
}

/** The pseudo-inverse [n, m]: singular values at or below `cutoff` of the largest count as zero. */
export function pinv(a: HostMatrix, cutoff: number): HostMatrix {
  const { U, S, Vt } = svd(a);
  const factors = S.map((s) => (s > cutoff * (S[0] as number) ? 1 / s : 0));
  return multiply(transpose(Vt), scaleRows(transpose(U), factors));
}

/** The orthogonal factor U Vt of the polar decomposition a = (U Vt)(V diag(S) Vt). */
export function polar(a: HostMatrix): HostMatrix {
  const { U, Vt } = svd(a);
  return multiply(U, Vt);
}
