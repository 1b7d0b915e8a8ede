// The look at single held-out rows: losses and classes from logits, and which rows are told in full.
import { describe, expect, test } from 'vitest';
import { classInsights, extremes, insightsOf } from './insights';

const NAMES = ['cat', 'dog', 'cow'];

describe('classInsights', () => {
  test('gives loss, class and probability of each labelled row', () => {
    const logits = new Float32Array([2, 0, 0, 0, 0, 5, 1, 1, 1]);
    const rows = classInsights(logits, new Int32Array([0, 1, -100]), NAMES, 10);
    expect(rows.map(({ row, wanted, given }) => [row, wanted, given])).toEqual([[10, 'cat', 'cat'], [11, 'dog', 'cow']]);
    const [first, second] = [Math.exp(2) / (Math.exp(2) + 2), 1 / (2 + Math.exp(5))];
    expect(rows[0]?.loss).toBeCloseTo(-Math.log(first), 6);
    expect(rows[0]?.share).toBeCloseTo(first, 6);
    expect(rows[1]?.loss).toBeCloseTo(-Math.log(second), 5);
  });

  test('large logits do not overflow', () => {
    const [row] = classInsights(new Float32Array([1000, 0, 0]), new Int32Array([1]), NAMES, 0);
    expect(row?.loss).toBeCloseTo(1000, 3);
    expect(row?.share).toBe(1);
  });
});

describe('insightsOf', () => {
  const rows = Array.from({ length: 100 }, (_, row) => ({ row, loss: Math.abs(row - 40.25) }));
  test('tells what stands in the best, the worst and an even spread', () => {
    const { shown } = insightsOf(rows, { shown: (row) => ({ text: `row ${row}` }) });
    for (const row of [99, 98, 94, 40, 41, 38, 0, 4, 95]) expect(shown[row], String(row)).toEqual({ text: `row ${row}` });
    expect(shown[50]).toEqual({ text: 'row 50' });
    expect(shown[97]).toBeDefined();
    expect(shown[51]).toBeUndefined();
    const { worst, best } = extremes(rows, shown);
    expect(worst[0]).toEqual({ row: 99, loss: 58.75, text: 'row 99' });
    expect(best[0]).toEqual({ row: 40, loss: 0.25, text: 'row 40' });
  });
  test('a log has texts and words, and no pixels', () => {
    const shown = { 0: { text: 'a b', words: ['a', 'b'], picture: { width: 1, height: 1, rgba: new Uint8ClampedArray(4) } }, 1: { text: 'one', second: 'two' } };
    expect(extremes([{ row: 0, loss: 2 }, { row: 1, loss: 1, rank: 3 }], shown).worst).toEqual([{ row: 0, loss: 2, text: 'a b', words: ['a', 'b'] }, { row: 1, loss: 1, rank: 3, text: 'one', second: 'two' }]);
  });
  test('data that do not tell have no content', () => {
    expect(insightsOf(rows, {}).shown).toEqual({});
  });
});
