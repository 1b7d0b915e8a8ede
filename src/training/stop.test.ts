// Stop strings: found whatever pieces the text comes in, and nothing of them shown.
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { stopAt } from './generate';

function shown(pieces: readonly string[], stops: readonly string[]): string {
  const stop = stopAt(stops);
  let text = '';
  for (const piece of pieces) {
    const { show, end } = stop(piece);
    text += show;
    if (end) return text;
  }
  return text + stop('', true).show;
}

it('a stop string that comes in pieces ends the text before its first letter', () => {
  expect(shown(['One', ' two', '\n', '\n', 'three'], ['\n\n'])).toBe('One two');
  expect(shown(['ab', 'abac', 'x'], ['abac'])).toBe('ab');
  expect(shown(['a </', 's', 'b'], ['</s>'])).toBe('a </sb');
  expect(shown(['x'], [])).toBe('x');
  expect(shown(['', 'x', ''], [''])).toBe('x');
});

it('any text cut anywhere is shown up to the earliest stop string', () => {
  const letters = fc.string({ unit: fc.constantFrom('a', 'b', '\n'), maxLength: 24 });
  fc.assert(fc.property(fc.array(letters), fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '\n'), minLength: 1, maxLength: 4 }), { maxLength: 3 }), (pieces, stops) => {
    const text = pieces.join('');
    const at = Math.min(text.length, ...stops.map((stop) => text.indexOf(stop)).filter((found) => found >= 0));
    expect(shown(pieces, stops)).toBe(text.slice(0, at));
  }));
});
