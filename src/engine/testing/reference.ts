// What the f64 references share: numbers on the host, and bounds of what f32 arithmetic on the device may be off by.
// Every bound is in units of EPSILON, half of the spacing of f32 numbers at 1, and is derived where it is used, never tuned:
//   one rounded operation        1 of the result (all drivers round to nearest)
//   a sum of k terms, any order  k − 1 of the sum of the terms' magnitudes (Higham, Accuracy and Stability, 4.2)
//   a builtin                    what the WGSL specification allows it ("Floating point accuracy"), given below
// First-order terms only; the 8 that `sum` adds covers the roundings inside a term and the second order.
import type { Shape } from '../tensor/tensor';
import { sizeOf } from '../tensor/tensor';

export const EPSILON = 2 ** -24;
/** Below this, results may be flushed to zero: WGSL does not promise subnormal numbers, nor products of such. */
export const TINY = 1e-30;

/** Numbers on the host, integers too. */
export interface Host {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** What an op should give, and for each element how far f32 may be from it, in units of EPSILON. */
export interface Expected extends Host {
  readonly error: Float64Array;
}

/** A value with its own error bound, in units of EPSILON. */
export interface Bounded {
  readonly value: number;
  readonly error: number;
}

/** x / y: 2.5 ULP, and an ULP is at most two EPSILON of the value. */
export const DIVISION = 5;
/** sqrt(x) inherits from 1 / inverseSqrt(x): 2 ULP and a division. */
export const SQUARE_ROOT = 4 + DIVISION;
/** exp(x): 3 + 2 |x| ULP. */
export const exponential = (x: number): number => 6 + 4 * Math.abs(x);
/** log(x), absolute: 2^-21 on [0.5, 2], 3 ULP elsewhere. */
export const logarithm = (x: number): number => Math.max(8, 6 * Math.abs(Math.log(x)));
/** tanh(x), absolute: 1e-5, which is more than what sinh / cosh would give it within ±10. */
export const TANH = 1e-5 / EPSILON;

/** Σ terms; each may carry an error of its own. Bound: (k + 8) Σ|terms| and the terms' own errors. */
export function sum(terms: Iterable<number | Bounded>): Bounded {
  let [value, magnitude, own, count] = [0, 0, 0, 0];
  for (const term of terms) {
    const { value: v, error } = typeof term === 'number' ? { value: term, error: 0 } : term;
    value += v;
    magnitude += Math.abs(v);
    own += error;
    count++;
  }
  return { value, error: (count + 8) * magnitude + own };
}

/** An array of a shape, one element at a time from its flat index. */
export function expected(shape: Shape, at: (i: number) => Bounded): Expected {
  const size = sizeOf(shape);
  const [data, error] = [new Float64Array(size), new Float64Array(size)];
  for (let i = 0; i < size; i++) {
    const { value, error: bound } = at(i);
    data[i] = value;
    error[i] = bound;
  }
  return { shape, data, error };
}

/** Numbers that only move: the device must give them back bit for bit. */
export const exact = (value: number): Bounded => ({ value, error: 0 });

/** [..., c] read as a matrix. */
export function matrix({ shape, data }: Host): { rows: number; columns: number; at(row: number, column: number): number } {
  const columns = shape[shape.length - 1] ?? 1;
  return { rows: data.length / columns, columns, at: (row, column) => data[row * columns + column] as number };
}

/** 0 … n − 1. */
export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
