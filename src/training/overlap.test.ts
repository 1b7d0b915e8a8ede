// Overlap of directions: 1 with oneself, 0 across orthogonal spaces, the cosine in between, chance for random ones.
import { expect, test } from 'vitest';
import { lowRankSvd } from '../engine/linalg/low-rank-svd';
import { normals } from '../methods/testing/random';
import { overlapOf } from './overlap';

const svd = (rank: number, name: string, out = 40, inn = 30) => lowRankSvd(normals(rank * inn, `${name} A`), normals(out * rank, `${name} B`), rank, 1);
const unit = (...at: number[]) => at.map((k) => Float64Array.from({ length: 8 }, (_, i) => Number(i === k)));
const one = (left: Float64Array[], right = left) => [{ site: 'a', svd: { sigma: Float64Array.from(left, (_, i) => left.length - i), left, right } }];

test('an adapter and itself', () => {
  const explored = [{ site: 'a', svd: svd(4, 'x') }];
  const { sites: [same], unmatched } = overlapOf(explored, explored);
  for (let i = 0; i < 4; i++) for (let j = 0; j < 4; j++) expect(same!.left[i * 4 + j]).toBeCloseTo(1, 6);
  // acos loses half the digits at 1.
  expect(same!.leftDistance).toBeLessThan(1e-6);
  expect(unmatched).toEqual([]);
});

test('axes: shared, orthogonal and at 60 degrees', () => {
  const { sites: [shared] } = overlapOf(one(unit(0, 1, 2)), one(unit(1, 5)));
  // First i of (e0, e1, e2) against first j of (e1, e5).
  expect([...shared!.left]).toEqual([0, 0, 1, 0.5, 1, 0.5]);
  expect(shared!.leftDistance).toBeCloseTo(Math.PI / 2, 12);
  expect(shared!.leftChance).toBeCloseTo(3 / 8, 12);
  const tilted = Float64Array.from({ length: 8 }, (_, i) => (i === 0 ? 0.5 : i === 3 ? Math.sqrt(0.75) : 0));
  const { sites: [angle] } = overlapOf(one(unit(0)), one([tilted], unit(0)));
  expect(angle!.left[0]).toBeCloseTo(0.25, 12);
  expect(angle!.leftDistance).toBeCloseTo(Math.PI / 3, 12);
  expect(angle!.rightDistance).toBeCloseTo(0, 6);
});

test('random directions overlap by chance, and layers of one side only are named', () => {
  const [a, b] = [Array.from({ length: 60 }, (_, i) => ({ site: `s${i}`, svd: svd(5, `a${i}`) })), Array.from({ length: 59 }, (_, i) => ({ site: `s${i}`, svd: svd(3, `b${i}`) }))];
  const { sites, unmatched } = overlapOf(a, b);
  expect(unmatched).toEqual(['s59']);
  const mean = sites.reduce((sum, { left }) => sum + left.at(-1)!, 0) / sites.length;
  // Expected max(a, b) / n = 5/40; the mean of 59 has a spread of about 0.01.
  expect(Math.abs(mean - sites[0]!.leftChance)).toBeLessThan(0.03);
});
