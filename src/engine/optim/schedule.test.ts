import { describe, expect, test } from 'vitest';
import { scheduleShare } from './schedule';

const shares = (kind: 'constant' | 'linear' | 'cosine', steps: number, warmup: number) => Array.from({ length: steps }, (_, i) => scheduleShare(kind, i + 1, steps, warmup));
const near = (got: readonly number[], want: readonly number[]) => want.forEach((x, i) => expect(got[i], `step ${i + 1}`).toBeCloseTo(x, 12));

describe('the share of the peak rate', () => {
  test('constant', () => {
    expect(shares('constant', 4, 0)).toEqual([1, 1, 1, 1]);
    near(shares('constant', 5, 4), [0.25, 0.5, 0.75, 1, 1]);
  });

  test('linear, from the peak towards zero', () => {
    near(shares('linear', 4, 0), [1, 0.75, 0.5, 0.25]);
    near(shares('linear', 6, 2), [0.5, 1, 1, 0.75, 0.5, 0.25]);
  });

  test('cosine, half a wave', () => {
    near(shares('cosine', 4, 0), [1, 0.5 + Math.SQRT1_2 / 2, 0.5, 0.5 - Math.SQRT1_2 / 2]);
    near(shares('cosine', 5, 1), [1, 1, 0.5 + Math.SQRT1_2 / 2, 0.5, 0.5 - Math.SQRT1_2 / 2]);
  });

  test.each(['constant', 'linear', 'cosine'] as const)('%s: every step moves, none by more than the peak, and after the warm-up it never rises', (kind) => {
    for (const steps of [1, 2, 3, 10, 257]) {
      for (const warmup of [0, 1, 2, steps - 1, steps]) {
        if (warmup > steps || warmup < 0) continue;
        const all = shares(kind, steps, warmup);
        expect(all.every((s) => s > 0 && s <= 1), `${steps} steps, ${warmup} of warm-up`).toBe(true);
        for (let i = Math.max(warmup, 1); i < steps; i++) expect(all[i]!).toBeLessThanOrEqual(all[i - 1]!);
        for (let i = 1; i < warmup; i++) expect(all[i]!).toBeGreaterThan(all[i - 1]!);
        // The peak is reached: by the last step of the warm-up, or at once.
        expect(Math.max(...all)).toBe(1);
      }
    }
  });
});
