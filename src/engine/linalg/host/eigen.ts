// Symmetric eigenvalue problems in double precision, and the Sylvester equation they solve.
import { type HostMatrix, hostMatrix, identity, multiply, transpose } from './matrix';

export interface HostEigen {
  /** [n], largest first. */
  readonly values: Float64Array;
  /** [n, n], row i the unit eigenvector of value i: a = vectorsᵀ diag(values) vectors. */
  readonly vectors: HostMatrix;
}

/** Of a symmetric a [n, n], by cyclic two-sided Jacobi (Golub and Van Loan, 8.5). */
export function eigh(a: HostMatrix): HostEigen {
  const n = a.rows;
  const [w, v] = [hostMatrix(n, n, a.data), identity(n)];
  for (let sweep = 0; sweep < 60; sweep++) {
    let turned = false;
    for (let p = 0; p < n - 1; p++) for (let q = p + 1; q < n; q++) turned = annihilate(w, v, p, q) || turned;
    if (!turned) break;
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => (w.data[j * n + j] as number) - (w.data[i * n + i] as number));
  const vectors = hostMatrix(n, n);
  order.forEach((from, to) => vectors.data.set(v.data.subarray(from * n, (from + 1) * n), to * n));
  return { values: Float64Array.from(order, (i) => w.data[i * n + i] as number), vectors };
}

/** Makes w[p, q] zero by a rotation of rows and columns p and q; rows of v turn along. False when it was zero. */
function annihilate({ data: w, rows: n }: HostMatrix, { data: v }: HostMatrix, p: number, q: number): boolean {
  const [pp, qq, pq] = [w[p * n + p] as number, w[q * n + q] as number, w[p * n + q] as number];
  if (Math.abs(pq) <= 1e-16 * Math.sqrt(Math.abs(pp * qq)) || pq === 0) return false;
  const zeta = (qq - pp) / (2 * pq);
  const t = Math.sign(zeta || 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
  const c = 1 / Math.hypot(1, t);
  const s = c * t;
  const turn = (data: Float64Array, first: number, second: number, stride: number) => {
    for (let i = 0; i < n; i++) {
      const [x, y] = [data[first + i * stride] as number, data[second + i * stride] as number];
      data[first + i * stride] = c * x - s * y;
      data[second + i * stride] = s * x + c * y;
    }
  };
  turn(w, p, q, n);
  turn(w, p * n, q * n, 1);
  w[p * n + q] = w[q * n + p] = 0;
  turn(v, p * n, q * n, 1);
  return true;
}

/** X [n, k] with A X + X B = C, A [n, n] and B [k, k] symmetric. Where λ_i + μ_j is at most `floor` in size, that part of X is zero. */
export function sylvester(A: HostMatrix, B: HostMatrix, C: HostMatrix, floor = 0): HostMatrix {
  const [a, b] = [eigh(A), eigh(B)];
  const turned = multiply(multiply(a.vectors, C), transpose(b.vectors));
  turned.data.forEach((c, i) => {
    const sum = (a.values[Math.floor(i / b.values.length)] as number) + (b.values[i % b.values.length] as number);
    turned.data[i] = Math.abs(sum) > floor ? c / sum : 0;
  });
  return multiply(multiply(transpose(a.vectors), turned), b.vectors);
}
