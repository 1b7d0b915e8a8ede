// Small dense linear algebra on the host in double precision: oracle and fallback for what runs on the GPU. Row-major throughout.

/** Singular values of a [rows, columns], largest first, by one-sided Jacobi (Hestenes 1958). */
export function singularValues(a: ArrayLike<number>, rows: number, columns: number): Float64Array {
  // Columns of the taller orientation are made orthogonal; their lengths are the singular values.
  const tall = rows >= columns;
  const [m, n] = tall ? [rows, columns] : [columns, rows];
  const u = Array.from({ length: n }, (_, c) => Float64Array.from({ length: m }, (_, r) => a[tall ? r * columns + c : c * columns + r] as number));
  for (let sweep = 0; sweep < 60; sweep++) {
    let turned = false;
    for (let p = 0; p < n - 1; p++) {
      for (let q = p + 1; q < n; q++) turned = rotate(u[p] as Float64Array, u[q] as Float64Array) || turned;
    }
    if (!turned) break;
  }
  return Float64Array.from(u.map((column) => Math.sqrt(dot(column, column)))).sort().reverse();
}

/** Turns two columns in their plane until they are orthogonal; false when they were. */
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

function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[i] as number);
  return sum;
}

/** R [n, n] of the QR factorisation of a [rows, n], rows ≥ 1, by modified Gram–Schmidt run twice for orthogonality. */
function rOf(a: ArrayLike<number>, rows: number, n: number): Float64Array {
  const q = Array.from({ length: n }, (_, c) => Float64Array.from({ length: rows }, (_, r) => a[r * n + c] as number));
  const R = new Float64Array(n * n);
  for (let j = 0; j < n; j++) {
    const column = q[j] as Float64Array;
    for (let pass = 0; pass < 2; pass++) {
      for (let i = 0; i < j; i++) {
        const basis = q[i] as Float64Array;
        const along = dot(basis, column);
        R[i * n + j] = (R[i * n + j] as number) + along;
        for (let r = 0; r < rows; r++) column[r] = (column[r] as number) - along * (basis[r] as number);
      }
    }
    const length = Math.sqrt(dot(column, column));
    R[j * n + j] = length;
    for (let r = 0; r < rows; r++) column[r] = length > 0 ? (column[r] as number) / length : 0;
  }
  return R;
}

/** Singular values of scale·B·A, B [out, r], A [r, in], without making the product: they are those of the r × r matrix R_B R_Aᵀ. */
export function lowRankSingularValues(A: ArrayLike<number>, B: ArrayLike<number>, rank: number, scale: number): Float64Array {
  const [inn, out] = [A.length / rank, B.length / rank];
  const at = Float64Array.from({ length: A.length }, (_, i) => A[(i % rank) * inn + Math.floor(i / rank)] as number);
  const [ra, rb] = [rOf(at, inn, rank), rOf(B, out, rank)];
  const core = new Float64Array(rank * rank);
  for (let i = 0; i < rank; i++) {
    for (let j = 0; j < rank; j++) {
      let sum = 0;
      for (let k = 0; k < rank; k++) sum += (rb[i * rank + k] as number) * (ra[j * rank + k] as number);
      core[i * rank + j] = scale * sum;
    }
  }
  return singularValues(core, rank, rank);
}
