import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { normal, philox, shuffle, uniform, type Words } from './random';

const u32 = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe('philox', () => {
  // Known answers published with the generator (Random123, kat_vectors, philox4x32 with 10 rounds).
  it.each<[Words, [number, number], Words]>([
    [[0, 0, 0, 0], [0, 0], [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [[0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]],
  ])('gives the published words (%#)', (counter, key, words) => {
    expect(philox(counter, key)).toEqual(words);
  });

  it('multiplies as 64-bit integers do', () => {
    // One round of a bijection on the counter: compare every round's product with BigInt by redoing the whole function in it.
    const mask = 0xffffffffn;
    const slow = (counter: Words, key: [number, number]): number[] => {
      let [a, b, c, d] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
      let [k, l] = key.map(BigInt) as [bigint, bigint];
      for (let round = 0; round < 10; round++) {
        const p = 0xd2511f53n * a, q = 0xcd9e8d57n * c;
        [a, b, c, d] = [(q >> 32n) ^ b ^ k, q & mask, (p >> 32n) ^ d ^ l, p & mask];
        k = (k + 0x9e3779b9n) & mask;
        l = (l + 0xbb67ae85n) & mask;
      }
      return [a, b, c, d].map(Number);
    };
    fc.assert(fc.property(fc.tuple(u32, u32, u32, u32), fc.tuple(u32, u32), (counter, key) => {
      expect(philox(counter, key)).toEqual(slow(counter, key));
    }));
  });
});

describe('draws', () => {
  it('are pure functions of seed, stream and counter', () => {
    expect(uniform(7, 1, 12)).toBe(uniform(7, 1, 12));
    expect(new Set([uniform(7, 1, 12), uniform(8, 1, 12), uniform(7, 2, 12), uniform(7, 1, 13), uniform(7, 1, 12 + 4 * 2 ** 32)]).size).toBe(5);
  });

  it('uniform has mean 1/2, variance 1/12 and stays in [0, 1)', () => {
    const n = 40_000, values = Array.from({ length: n }, (_, i) => uniform(3, 0, i));
    const mean = values.reduce((sum, v) => sum + v, 0) / n;
    const variance = values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / n;
    expect(Math.min(...values.slice(0, 9999))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...values.slice(0, 9999))).toBeLessThan(1);
    // Five standard errors.
    expect(Math.abs(mean - 0.5)).toBeLessThan((5 * Math.sqrt(1 / 12)) / Math.sqrt(n));
    expect(Math.abs(variance - 1 / 12)).toBeLessThan((5 * Math.sqrt(1 / 180)) / Math.sqrt(n));
  });

  it('normal has mean 0, variance 1, kurtosis 3 and uncorrelated neighbours', () => {
    const n = 40_000, values = Array.from({ length: n }, (_, i) => normal(11, 4, i));
    const moment = (k: number) => values.reduce((sum, v) => sum + v ** k, 0) / n;
    expect(Math.abs(moment(1))).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(5 * Math.sqrt(2 / n));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(5 * Math.sqrt(96 / n));
    const neighbours = values.slice(1).reduce((sum, v, i) => sum + v * (values[i] as number), 0) / n;
    expect(Math.abs(neighbours)).toBeLessThan(5 / Math.sqrt(n));
  });

  it('shuffle is a permutation, and every place is equally likely', () => {
    fc.assert(fc.property(fc.integer({ min: 0, max: 300 }), u32, (count, seed) => {
      expect([...shuffle(count, seed, 1)].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
    }));
    const first = [0, 0, 0, 0];
    for (let i = 0; i < 4000; i++) {
      const value = shuffle(4, 5, 9, i * 4)[0] as number;
      first[value] = (first[value] as number) + 1;
    }
    for (const count of first) expect(Math.abs(count - 1000)).toBeLessThan(5 * Math.sqrt(4000 * 0.25 * 0.75));
  });
});
