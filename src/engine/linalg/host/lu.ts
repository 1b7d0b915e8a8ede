// LU with partial pivoting in double precision.
import { type HostMatrix, hostMatrix } from './matrix';

export interface HostLu {
  /** [m, k], unit lower trapezoidal, entries at most 1 in size, k = steps. */
  readonly L: HostMatrix;
  /** [k, n], upper trapezoidal with the pivots on its diagonal. */
  readonly U: HostMatrix;
  /** [k], the pivots: either sign, unsorted. */
  readonly d: Float64Array;
  /** [m]: row i of L belongs to row permutation[i] of a. */
  readonly permutation: Uint32Array;
}

/**
 * a [m, n]: a[permutation] = L U after `steps` = min(m, n) steps of elimination; with fewer, the first columns of L and rows of U of that
 * factorisation. Of equal candidates the first becomes the pivot.
 */
export function lu(a: HostMatrix, steps = Math.min(a.rows, a.columns)): HostLu {
  const { rows: m, columns: n } = a;
  const w = Float64Array.from(a.data);
  const permutation = Uint32Array.from({ length: m }, (_, i) => i);
  for (let j = 0; j < steps; j++) {
    let best = j;
    for (let i = j + 1; i < m; i++) if (Math.abs(w[i * n + j] as number) > Math.abs(w[best * n + j] as number)) best = i;
    if (best !== j) {
      const row = w.slice(j * n, (j + 1) * n);
      w.copyWithin(j * n, best * n, (best + 1) * n);
      w.set(row, best * n);
      [permutation[j], permutation[best]] = [permutation[best] as number, permutation[j] as number];
    }
    const pivot = w[j * n + j] as number;
    for (let i = j + 1; i < m && pivot !== 0; i++) {
      const factor = (w[i * n + j] as number) / pivot;
      for (let c = j + 1; c < n; c++) w[i * n + c] = (w[i * n + c] as number) - factor * (w[j * n + c] as number);
    }
  }
  return luFactors(w, permutation, m, n, steps);
}

/** The factors in what elimination left [m, n]: U on and above the diagonal, L times the pivots below. */
export function luFactors(w: ArrayLike<number>, permutation: Uint32Array, m: number, n: number, steps: number): HostLu {
  const [L, U, d] = [hostMatrix(m, steps), hostMatrix(steps, n), new Float64Array(steps)];
  for (let j = 0; j < steps; j++) {
    const pivot = w[j * n + j] as number;
    d[j] = pivot;
    L.data[j * steps + j] = 1;
    for (let i = j + 1; i < m && pivot !== 0; i++) L.data[i * steps + j] = (w[i * n + j] as number) / pivot;
    for (let c = j; c < n; c++) U.data[j * n + c] = w[j * n + c] as number;
  }
  return { L, U, d, permutation };
}

/** P L [m, k]: the rows of L where a has them, so that a = (P L) U. */
export function rowsBack({ L, permutation }: HostLu): HostMatrix {
  const back = hostMatrix(L.rows, L.columns);
  permutation.forEach((to, from) => back.data.set(L.data.subarray(from * L.columns, (from + 1) * L.columns), to * L.columns));
  return back;
}

/** U with the pivots divided out, so that a[permutation] = L diag(d) unitUpper; rows of zero pivots, for which there is no such row, are zero. */
export function unitUpper({ U, d }: HostLu): HostMatrix {
  return hostMatrix(U.rows, U.columns, U.data.map((x, i) => {
    const pivot = d[Math.floor(i / U.columns)] as number;
    return pivot === 0 ? 0 : x / pivot;
  }));
}
