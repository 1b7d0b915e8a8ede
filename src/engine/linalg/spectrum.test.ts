// Singular values of whole weights against Jacobi's, which is slow and exact.
import { expect, test } from 'vitest';
import { normal } from '../../util/random';
import { singularValues } from './host/svd';
import { spectrumOf } from './spectrum';

const numbers = (count: number, stream: number) => Float32Array.from({ length: count }, (_, i) => normal(8, stream, i));

test.each([[30, 12], [12, 30], [1, 5], [40, 40], [2, 1]])('%i × %i', async (rows, columns) => {
  const w = numbers(rows * columns, rows);
  const [got, want] = [await spectrumOf(w, rows, columns), singularValues(w, rows, columns)];
  expect(got.length).toBe(Math.min(rows, columns));
  // The Gram matrix squares: what is left of double precision is its root.
  got.forEach((x, i) => expect(Math.abs(x - want[i]!)).toBeLessThan(2e-8 * want[0]!));
});

test('diagonal, repeated and zero values', async () => {
  const diagonal = Float64Array.from({ length: 36 }, (_, i) => (i % 7 === 0 ? [3, 3, 1, 0, 2, 0][i / 7]! : 0));
  expect([...(await spectrumOf(diagonal, 6, 6))].map((x) => Number(x.toFixed(6)))).toEqual([3, 3, 2, 1, 0, 0]);
  expect([...(await spectrumOf(new Float32Array(12), 3, 4))]).toEqual([0, 0, 0]);
});

test('it reports progress that rises, and ends where that is refused', async () => {
  const w = numbers(64 * 64, 1);
  const seen: number[] = [];
  await spectrumOf(w, 64, 64, async (done) => { seen.push(done); });
  expect(seen.length).toBeGreaterThan(8);
  expect(seen).toEqual([...seen].sort((a, b) => a - b));
  await expect(spectrumOf(w, 64, 64, async () => { throw new Error('enough'); })).rejects.toThrow('enough');
});
