// f64 forms of add.ts.
import type { Shape } from '../tensor/tensor';
import { type Expected, type Host, exact, expected, sum } from '../testing/reference';

/** alpha·x + beta·y; the device holds alpha and beta as f32. */
export function axpby(x: Host, y: Host, alpha: number, beta: number): Expected {
  const [a, b] = [Math.fround(alpha), Math.fround(beta)];
  return expected(x.shape, (i) => sum([a * (x.data[i] as number), b * (y.data[i] as number)]));
}

export const add = (x: Host, y: Host): Expected => axpby(x, y, 1, 1);

export const scale = (x: Host, alpha: number): Expected => expected(x.shape, (i) => sum([Math.fround(alpha) * (x.data[i] as number)]));

export const fill = (shape: Shape, value: number): Expected => expected(shape, () => exact(Math.fround(value)));

export const copy = (x: Host): Expected => expected(x.shape, (i) => exact(x.data[i] as number));
