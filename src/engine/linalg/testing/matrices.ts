// What the tests of linear algebra share: matrices with known spectra, residuals in double precision, and devices that stand for others.
import { normal } from '../../../util/random';
import type { Device } from '../../gpu/device';
import { type HostMatrix, combine, diagonal, fromRows, frobenius, hostMatrix, identity, multiply, scaleRows, transpose } from '../host/matrix';
import { qr } from '../host/qr';
import type { Source } from '../work';

/** Standard normal numbers [rows, columns]. */
export const random = (rows: number, columns: number, seed = 1): HostMatrix => hostMatrix(rows, columns, Float64Array.from({ length: rows * columns }, (_, i) => normal(seed, 77, i)));

/** A matrix [rows, columns] with these singular values, between random orthonormal bases. */
export function withValues(rows: number, columns: number, values: readonly number[], seed = 1): HostMatrix {
  const [U, V] = [qr(random(rows, values.length, seed)).Q, qr(random(columns, values.length, seed + 1)).Q];
  return multiply(U, scaleRows(transpose(V), values));
}

/** vectorsᵀ diag(values) vectors of a random orthonormal basis. */
export function symmetric(values: readonly number[], seed = 1): HostMatrix {
  const V = qr(random(values.length, values.length, seed)).Q;
  return multiply(multiply(V, diagonal(values)), transpose(V));
}

export const gram = (a: HostMatrix): HostMatrix => multiply(a, transpose(a));

/** The matrix as f32 rounds it, which is what the device gets. */
export const rounded = (a: HostMatrix): HostMatrix => hostMatrix(a.rows, a.columns, Float32Array.from(a.data));
export const source = (a: HostMatrix, label = `${a.rows} × ${a.columns}`): Source => ({ label, shape: [a.rows, a.columns], data: Float32Array.from(a.data) });

/** ‖a − b‖ / ‖b‖, Frobenius; the size of a where b is zero. */
export const distance = (a: HostMatrix, b: HostMatrix): number => frobenius(combine(a, b, 1, -1)) / (frobenius(b) || 1);
/** ‖a aᵀ − I‖: how far rows are from orthonormal. */
export const unorthonormal = (rows: HostMatrix): number => frobenius(combine(gram(rows), identity(rows.rows), 1, -1));
export const stacked = (matrices: readonly HostMatrix[]): Float32Array => Float32Array.from(fromRows(matrices.map(({ data }) => data)).data);

/** Values that are not in order, or below zero. */
export const disorder = (values: ArrayLike<number>): string[] =>
  Array.from(values).flatMap((value, i) => [...(value >= 0 ? [] : [`value ${i} is ${value}`]), ...(i > 0 && !((values[i - 1] as number) >= value) ? [`value ${i} is ${value}, after ${values[i - 1]}`] : [])]);

/** The same device as one of the other kind sees it: kernels for GPUs run on a software adapter too, slowly. */
export const pretending = (device: Device, software: boolean): Device => Object.create(device, { profile: { value: { ...device.profile, software } } }) as Device;

/** Matrices that are hard on an SVD, by name. */
export const HARD: readonly (readonly [string, HostMatrix])[] = [
  ['of rank 3 in 9 × 6', withValues(9, 6, [4, 2, 1, 0, 0, 0])],
  ['of rank 2 in 5 × 8', withValues(5, 8, [3, 1, 0, 0, 0])],
  ['of equal values', withValues(8, 6, [2, 2, 2, 1, 1, 1])],
  ['of values over nine decades', withValues(6, 6, [1, 1e-2, 1e-4, 1e-6, 1e-8, 1e-9])],
  ['of zeros', hostMatrix(4, 3)],
  ['of one number among zeros', hostMatrix(3, 3, [0, 0, 0, 0, 0, -2, 0, 0, 0])],
  ['the identity', identity(5)],
];
