// The bars of one row: few are numbered each, many only at their ends.
import { createElement } from 'react';
import { renderToStaticMarkup } from 'react-dom/server';
import { expect, it } from 'vitest';
import { ValueBars } from './RowDetail';

const drawn = (values: number[]) => renderToStaticMarkup(createElement(ValueBars, { values, top: 2 }));
const numbers = (html: string) => [...html.matchAll(/<b[^>]*>(\d+)<\/b>/g)].map((match) => Number(match[1]));
const heights = (html: string) => [...html.matchAll(/height:([\d.]+)%/g)].map((match) => Number(match[1]));

it('numbers each of a few bars, and draws zero hollow', () => {
  const html = drawn([2, -1, 0]);
  expect(numbers(html)).toEqual([1, 2, 3]);
  expect(heights(html)).toEqual([100, 50, 100]);
  expect(html.match(/class="zero"/g)).toHaveLength(1);
  expect(html).not.toContain('dense');
});

it('of 128 bars draws all, numbers the first and the last, and leaves no gaps', () => {
  const html = drawn(Array.from({ length: 128 }, () => 1));
  expect(heights(html)).toEqual(Array.from({ length: 128 }, () => 50));
  expect(numbers(html)).toEqual([1, 128]);
  expect(html).toContain('value-bars dense');
});
