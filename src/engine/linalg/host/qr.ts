// Householder QR in double precision.
import { type HostMatrix, columnsOf, fromColumns, hostMatrix } from './matrix';

export interface HostQr {
  /** [m, k], orthonormal columns, k = min(m, n). */
  readonly Q: HostMatrix;
  /** [k, n], upper triangular, diagonal ≥ 0: unique where a has full rank. */
  readonly R: HostMatrix;
}

/** a [m, n] = Q R by Householder reflections (Golub and Van Loan, 5.2). Q is orthonormal whatever the rank of a. */
export function qr(a: HostMatrix): HostQr {
  const { rows: m, columns: n } = a;
  const k = Math.min(m, n);
  const columns = columnsOf(a);
  // v of I − v vᵀ, with vᵀv = 2, or zeros where there is nothing to reflect.
  const reflectors: Float64Array[] = [];
  const signs: number[] = [];
  for (let j = 0; j < k; j++) {
    const x = columns[j] as Float64Array;
    let squares = 0;
    for (let i = j; i < m; i++) squares += (x[i] as number) ** 2;
    const [length, first] = [Math.sqrt(squares), x[j] as number];
    const beta = first >= 0 ? -length : length;
    const v = new Float64Array(m);
    if (length > 0) {
      const scale = 1 / Math.sqrt(length * (length + Math.abs(first)));
      for (let i = j; i < m; i++) v[i] = ((x[i] as number) - (i === j ? beta : 0)) * scale;
    }
    for (let c = j; c < n; c++) reflect(v, columns[c] as Float64Array, j);
    reflectors.push(v);
    signs.push(beta < 0 ? -1 : 1);
  }
  const Q = Array.from({ length: k }, (_, c) => {
    const q = new Float64Array(m);
    q[c] = signs[c] as number;
    for (let j = c; j >= 0; j--) reflect(reflectors[j] as Float64Array, q, j);
    return q;
  });
  const R = hostMatrix(k, n);
  for (let i = 0; i < k; i++) for (let j = i; j < n; j++) R.data[i * n + j] = (signs[i] as number) * ((columns[j] as Float64Array)[i] as number);
  return { Q: fromColumns(Q), R };
}

/** x ← (I − v vᵀ) x, from entry `start`. */
function reflect(v: Float64Array, x: Float64Array, start: number): void {
  let along = 0;
  for (let i = start; i < v.length; i++) along += (v[i] as number) * (x[i] as number);
  for (let i = start; i < v.length; i++) x[i] = (x[i] as number) - along * (v[i] as number);
}
