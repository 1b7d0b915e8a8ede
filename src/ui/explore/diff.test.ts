import fc from 'fast-check';
import { expect, it } from 'vitest';
import { sharedTokens } from './diff';

it('marks what was put in between, and nothing of what stayed', () => {
  expect(sharedTokens(['a', 'b', 'c'], ['a', 'x', 'b', 'c', 'y'])).toEqual([true, false, true, true, false]);
  expect(sharedTokens([], ['a'])).toEqual([false]);
  expect(sharedTokens(['a'], [])).toEqual([]);
});

it('shared tokens are a common subsequence, and all of an equal text', () => {
  const texts = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 });
  fc.assert(fc.property(texts, texts, (before, now) => {
    const kept = now.filter((_, i) => sharedTokens(before, now)[i]);
    let at = 0;
    for (const token of kept) {
      at = before.indexOf(token, at) + 1;
      expect(at).toBeGreaterThan(0);
    }
    expect(sharedTokens(now, now)).toEqual(now.map(() => true));
    // As long as from the other side.
    expect(kept.length).toBe(before.filter((_, i) => sharedTokens(now, before)[i]).length);
  }));
});
