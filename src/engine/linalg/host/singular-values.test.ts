import { describe, expect, test } from 'vitest';
import { normal } from '../../../util/random';
import { lowRankSingularValues, singularValues } from './svd';

const random = (length: number, stream: number) => Float64Array.from({ length }, (_, i) => normal(1, stream, i));

describe('singular values', () => {
  test('of a diagonal, of zeros, of one row', () => {
    expect([...singularValues([3, 0, 0, 0, -5, 0], 2, 3)]).toEqual([5, 3]);
    expect([...singularValues(new Float64Array(6), 3, 2)]).toEqual([0, 0]);
    expect(singularValues([3, 4], 1, 2)[0]).toBeCloseTo(5, 14);
  });

  test('their squares add up to the squared Frobenius norm, and their product is |det|', () => {
    const a = random(9, 2);
    const s = singularValues(a, 3, 3);
    expect(s.reduce((sum, x) => sum + x * x, 0)).toBeCloseTo(a.reduce((sum, x) => sum + x * x, 0), 12);
    const [a0, a1, a2, b0, b1, b2, c0, c1, c2] = a as unknown as number[];
    const det = (a0 as number) * ((b1 as number) * (c2 as number) - (b2 as number) * (c1 as number)) - (a1 as number) * ((b0 as number) * (c2 as number) - (b2 as number) * (c0 as number)) + (a2 as number) * ((b0 as number) * (c1 as number) - (b1 as number) * (c0 as number));
    expect(s.reduce((product, x) => product * x, 1)).toBeCloseTo(Math.abs(det), 12);
  });

  test('of a low-rank product, as of the product itself', () => {
    const [out, rank, inn] = [11, 3, 7];
    const [A, B] = [random(rank * inn, 3), random(out * rank, 4)];
    const product = new Float64Array(out * inn);
    for (let o = 0; o < out; o++) for (let i = 0; i < inn; i++) for (let r = 0; r < rank; r++) product[o * inn + i] = (product[o * inn + i] as number) + 2 * (B[o * rank + r] as number) * (A[r * inn + i] as number);
    const whole = singularValues(product, out, inn);
    lowRankSingularValues(A, B, rank, 2).forEach((value, i) => expect(value).toBeCloseTo(whole[i] as number, 10));
    expect(whole[rank]).toBeLessThan(1e-10);
  });

  test('of a rank larger than a side, and with a dead rank', () => {
    const A = random(4 * 2, 5);
    const B = random(3 * 4, 6);
    for (let o = 0; o < 3; o++) B[o * 4 + 1] = 0;
    const s = lowRankSingularValues(A, B, 4, 1);
    expect(s.length).toBe(4);
    expect(s[2]).toBeLessThan(1e-10);
  });
});
