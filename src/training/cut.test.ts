// The rules of a cut against hand-made spectra and, for the budget, against every possible choice.
import { expect, test } from 'vitest';
import { allocate, effectiveRank, energy, keepEnergy, keepLargest, keepRank } from './cut';

test('by rank: at most so many, and never one that is zero', () => {
  expect([0, 1, 3, 9].map((rank) => keepRank([3, 2, 1, 0, 0], rank))).toEqual([0, 1, 3, 3]);
});

test('by energy: the fewest with the share; 1 keeps all, 0 none', () => {
  // Squares 16, 4, 4, 1 of 25.
  const sigma = [4, 2, 2, 1, 0];
  expect([0, 0.1, 0.64, 0.65, 0.8, 0.81, 0.96, 0.97, 1].map((share) => keepEnergy(sigma, share))).toEqual([0, 1, 1, 2, 2, 3, 3, 4, 4]);
  expect(keepEnergy([0, 0], 0.9)).toBe(0);
  // Sums that round below the total must not lose the last component.
  const thirds = Array.from({ length: 7 }, () => Math.sqrt(0.1));
  expect(keepEnergy(thirds, 1)).toBe(7);
});

test('the largest of all modules', () => {
  const modules = [[5, 1], [4, 3, 2], [0, 0]];
  expect([0, 1, 3, 5, 99].map((total) => keepLargest(modules, total))).toEqual([[0, 0, 0], [1, 0, 0], [1, 2, 0], [2, 3, 0], [2, 3, 0]]);
});

test('a budget is kept, and modules of one cost get what an exhaustive search finds', () => {
  const sigmas = [[3, 2.5, 0.1], [2.8, 1, 0.9], [2, 1.9, 1.8]];
  for (let budget = 0; budget <= 9; budget++) {
    const keep = allocate(sigmas.map((sigma) => ({ sigma, cost: 1 })), budget);
    let best = 0;
    for (let a = 0; a <= 3; a++) for (let b = 0; b <= 3; b++) for (let c = 0; c <= 3; c++) {
      if (a + b + c <= budget) best = Math.max(best, [a, b, c].reduce((sum, k, i) => sum + energy(sigmas[i]!.slice(0, k)), 0));
    }
    expect(keep.reduce((x, y) => x + y)).toBeLessThanOrEqual(budget);
    expect(keep.reduce((sum, k, i) => sum + energy(sigmas[i]!.slice(0, k)), 0)).toBeCloseTo(best, 12);
  }
});

test('dear components and light modules wait; a module that no longer fits leaves room to others', () => {
  expect(allocate([{ sigma: [2, 2], cost: 10 }, { sigma: [1.9, 1.9], cost: 5 }], 10)).toEqual([0, 2]);
  expect(allocate([{ sigma: [2, 2], cost: 10 }, { sigma: [1, 1], cost: 3 }], 16)).toEqual([1, 2]);
  expect(allocate([{ sigma: [2], cost: 1, weight: 0 }, { sigma: [1], cost: 1, weight: 0.1 }], 2)).toEqual([0, 1]);
});

test('effective ranks of flat, single and empty spectra, and of one worked by hand', () => {
  for (const value of Object.values(effectiveRank([2, 2, 2, 2]))) expect(value).toBeCloseTo(4, 12);
  for (const value of Object.values(effectiveRank([7, 0, 0]))) expect(value).toBeCloseTo(1, 12);
  for (const value of Object.values(effectiveRank([0, 0]))) expect(value).toBe(0);
  // σ = 2, 1, 1: Σσ² 6, Σσ⁴ 18; shares ½, ¼, ¼ have the entropy 1.5 ln 2.
  const { entropy, stable, participation, energy90 } = effectiveRank([2, 1, 1]);
  expect([entropy, stable, participation, energy90].map((x) => Number(x.toFixed(9)))).toEqual([2.828427125, 1.5, 2, 3]);
});
