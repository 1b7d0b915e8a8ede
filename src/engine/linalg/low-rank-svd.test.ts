// The decomposition of thin products: it rebuilds the product, its vectors are orthonormal, and degenerate factors are no exception.
import { expect, test } from 'vitest';
import { normal } from '../../util/random';
import { lowRankSingularValues } from './host/svd';
import { lowRankSvd } from './low-rank-svd';
import { dot } from './host/matrix';

const numbers = (count: number, stream: number) => Float32Array.from({ length: count }, (_, i) => normal(5, stream, i));

/** scale·B·A [out, in] in double precision. */
function product(A: Float32Array, B: Float32Array, rank: number, scale: number): Float64Array {
  const [inn, out] = [A.length / rank, B.length / rank];
  return Float64Array.from({ length: out * inn }, (_, at) => {
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += B[Math.floor(at / inn) * rank + k]! * A[k * inn + (at % inn)]!;
    return scale * sum;
  });
}

function rebuilt({ sigma, left, right }: ReturnType<typeof lowRankSvd>, out: number, inn: number): Float64Array {
  return Float64Array.from({ length: out * inn }, (_, at) => sigma.reduce((sum, s, i) => sum + s * left[i]![Math.floor(at / inn)]! * right[i]![at % inn]!, 0));
}

const cases = [
  { name: 'tall', rank: 5, out: 40, inn: 17, scale: 2 },
  { name: 'one column', rank: 1, out: 9, inn: 30, scale: -0.5 },
  { name: 'more columns than the layer is wide', rank: 12, out: 7, inn: 20, scale: 1 },
] as const;

test.each(cases)('$name: the product again, from orthonormal vectors, with the known singular values', ({ rank, out, inn, scale }) => {
  const [A, B] = [numbers(rank * inn, 1), numbers(out * rank, 2)];
  const svd = lowRankSvd(A, B, rank, scale);
  const [want, got] = [product(A, B, rank, scale), rebuilt(svd, out, inn)];
  const size = Math.sqrt(dot(want, want));
  expect(Math.max(...want.map((x, i) => Math.abs(x - got[i]!)))).toBeLessThan(1e-13 * size);
  const values = lowRankSingularValues(A, B, rank, scale);
  svd.sigma.forEach((s, i) => expect(Math.abs(s - Math.abs(values[i]!))).toBeLessThan(1e-12 * size));
  const kept = [...svd.sigma].filter((s) => s > 0).length;
  expect(kept).toBe(Math.min(rank, out, inn));
  for (const vectors of [svd.left, svd.right]) {
    for (let i = 0; i < rank; i++) for (let j = 0; j <= i; j++) expect(Math.abs(dot(vectors[i]!, vectors[j]!) - (i === j && i < kept ? 1 : 0))).toBeLessThan(1e-12);
  }
});

test('equal columns, a zero factor and no columns at all', () => {
  const row = numbers(8, 3);
  const twice = lowRankSvd(new Float32Array([...row, ...row]), Float32Array.of(1, 1, 2, 2, 3, 3), 2, 1);
  expect(twice.sigma[1]).toBe(0);
  expect(twice.sigma[0]).toBeCloseTo(2 * Math.sqrt(14) * Math.hypot(...row), 10);
  expect([...lowRankSvd(row, new Float32Array(4), 1, 1).sigma]).toEqual([0]);
  expect(lowRankSvd(new Float32Array(), new Float32Array(), 0, 1).sigma.length).toBe(0);
});
