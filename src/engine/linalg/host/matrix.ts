// Dense row-major matrices in double precision on the host: what the linear algebra on the GPU is checked against, and what it
// falls back to where a device is too slow to be worth asking.
import { ShapeError } from '../../../util/errors';

export interface HostMatrix {
  readonly rows: number;
  readonly columns: number;
  /** [rows, columns], row-major. */
  readonly data: Float64Array;
}

/** A matrix of a copy of `data`, or of zeros. Throws a ShapeError where sizes and length do not agree. */
export function hostMatrix(rows: number, columns: number, data?: ArrayLike<number>): HostMatrix {
  if (!Number.isInteger(rows) || !Number.isInteger(columns) || rows < 1 || columns < 1) throw new ShapeError(`matrix: ${rows} × ${columns} is no size`, 'Both sides must be whole numbers from 1.');
  if (data && data.length !== rows * columns) throw new ShapeError(`matrix: ${rows} × ${columns} wants ${rows * columns} numbers, got ${data.length}`);
  return { rows, columns, data: data ? Float64Array.from(data) : new Float64Array(rows * columns) };
}

/** diag(values), or the identity's first columns where `values` is a size. */
export function diagonal(values: ArrayLike<number>): HostMatrix {
  const d = hostMatrix(values.length, values.length);
  for (let i = 0; i < values.length; i++) d.data[i * values.length + i] = values[i] as number;
  return d;
}
export const identity = (n: number): HostMatrix => diagonal(new Float64Array(n).fill(1));

export function transpose(a: HostMatrix): HostMatrix {
  const t = hostMatrix(a.columns, a.rows);
  for (let i = 0; i < a.rows; i++) for (let j = 0; j < a.columns; j++) t.data[j * a.rows + i] = a.data[i * a.columns + j] as number;
  return t;
}

/** a b. */
export function multiply(a: HostMatrix, b: HostMatrix): HostMatrix {
  if (a.columns !== b.rows) throw new ShapeError(`multiply: inner sizes differ: ${a.rows} × ${a.columns} and ${b.rows} × ${b.columns}`);
  const y = hostMatrix(a.rows, b.columns);
  for (let i = 0; i < a.rows; i++) {
    for (let k = 0; k < a.columns; k++) {
      const factor = a.data[i * a.columns + k] as number;
      for (let j = 0; j < b.columns; j++) y.data[i * b.columns + j] = (y.data[i * b.columns + j] as number) + factor * (b.data[k * b.columns + j] as number);
    }
  }
  return y;
}

/** alpha a + beta b. */
export function combine(a: HostMatrix, b: HostMatrix, alpha = 1, beta = 1): HostMatrix {
  if (a.rows !== b.rows || a.columns !== b.columns) throw new ShapeError(`combine: sizes differ: ${a.rows} × ${a.columns} and ${b.rows} × ${b.columns}`);
  return hostMatrix(a.rows, a.columns, a.data.map((x, i) => alpha * x + beta * (b.data[i] as number)));
}

/** Row i times factors[i]. */
export function scaleRows(a: HostMatrix, factors: ArrayLike<number>): HostMatrix {
  return hostMatrix(a.rows, a.columns, a.data.map((x, i) => x * (factors[Math.floor(i / a.columns)] as number)));
}

/** The first rows of a. */
export const topRows = (a: HostMatrix, rows: number): HostMatrix => hostMatrix(rows, a.columns, a.data.subarray(0, rows * a.columns));

/** √Σ a². */
export function frobenius(a: HostMatrix): number {
  return Math.sqrt(dot(a.data, a.data));
}

export function dot(x: Float64Array, y: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[i] as number);
  return sum;
}

/** The columns of a, each on its own: what Householder and Jacobi walk along. */
export const columnsOf = (a: HostMatrix): Float64Array[] =>
  Array.from({ length: a.columns }, (_, c) => Float64Array.from({ length: a.rows }, (_, r) => a.data[r * a.columns + c] as number));

/** The matrix whose rows are `rows`. */
export function fromRows(rows: readonly Float64Array[]): HostMatrix {
  const columns = rows[0]?.length ?? 0;
  const a = hostMatrix(rows.length, columns);
  rows.forEach((row, i) => a.data.set(row, i * columns));
  return a;
}
export const fromColumns = (columns: readonly Float64Array[]): HostMatrix => transpose(fromRows(columns));
