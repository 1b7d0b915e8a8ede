import { describe, expect, test } from 'vitest';
import { type Tagged, addTagged, classMetrics, confusion, entitiesOf, metricsOf } from './metrics';

/** [wanted, given] pairs as logits that favour the given class. */
function counted(pairs: readonly (readonly [wanted: number, given: number])[], classes: number): Float64Array {
  const logits = new Float32Array(pairs.length * classes);
  pairs.forEach(([, given], row) => { logits[row * classes + given] = 1; });
  return confusion(logits, Int32Array.from(pairs, ([wanted]) => wanted), classes);
}
const times = <T>(n: number, pair: T): T[] => Array.from({ length: n }, () => pair);

test('two classes: the textbook numbers', () => {
  // TP 6, FN 2, FP 1, TN 3 for class 1.
  const counts = counted([...times(6, [1, 1] as const), ...times(2, [1, 0] as const), [0, 1], ...times(3, [0, 0] as const)], 2);
  const { accuracy, macro_f1, mcc } = classMetrics(counts);
  expect(accuracy).toBeCloseTo(9 / 12, 12);
  expect(macro_f1).toBeCloseTo((12 / 15 + 6 / 9) / 2, 12);
  expect(mcc).toBeCloseTo((6 * 3 - 1 * 2) / Math.sqrt(7 * 8 * 4 * 5), 12);
});

test('three classes: F1 of each, and the correlation of the indicator variables', () => {
  const pairs = [[0, 0], [0, 0], [0, 1], [1, 1], [1, 2], [2, 2], [2, 2], [2, 0]] as const;
  const { accuracy, macro_f1, mcc } = classMetrics(counted(pairs, 3));
  expect(accuracy).toBeCloseTo(5 / 8, 12);
  expect(macro_f1).toBeCloseTo((4 / 6 + 2 / 4 + 4 / 6) / 3, 12);
  // Covariance of one-hot vectors, summed over the classes.
  const cov = (a: 0 | 1, b: 0 | 1) => [0, 1, 2].reduce((sum, c) => {
    const x = pairs.map((p) => Number(p[a] === c)), y = pairs.map((p) => Number(p[b] === c));
    const mean = (v: number[]) => v.reduce((s, n) => s + n, 0) / v.length;
    return sum + x.reduce((s, n, i) => s + (n - mean(x)) * ((y[i] as number) - mean(y)), 0);
  }, 0);
  expect(mcc).toBeCloseTo(cov(0, 1) / Math.sqrt(cov(0, 0) * cov(1, 1)), 12);
});

test('all right is 1, one answer for everything has no correlation, unlabelled rows do not count', () => {
  expect(classMetrics(counted([[0, 0], [1, 1], [2, 2]], 3))).toEqual({ accuracy: 1, macro_f1: 1, mcc: 1 });
  const lazy = classMetrics(counted([[0, 0], [0, 0], [1, 0]], 2));
  expect(lazy.mcc).toBe(0);
  expect(lazy.macro_f1).toBeCloseTo(4 / 5 / 2, 12);
  expect(counted([[-100, 1], [0, 0]], 2)).toEqual(Float64Array.of(1, 0, 0, 0));
  // A class that nobody wants and nobody gives does not pull the mean down.
  expect(classMetrics(counted([[0, 0], [1, 1]], 3)).macro_f1).toBe(1);
});

describe('entities', () => {
  test('begin at B-, and at I- where none of the kind goes on', () => {
    expect(entitiesOf(['B-PER', 'I-PER', 'O', 'B-LOC'])).toEqual(['0 1 PER', '3 3 LOC']);
    expect(entitiesOf(['B-PER', 'B-PER', 'I-LOC', 'I-LOC', 'I-PER'])).toEqual(['0 0 PER', '1 1 PER', '2 3 LOC', '4 4 PER']);
    expect(entitiesOf(['O', 'I-PER', 'O', 'I-PER', 'I-PER'])).toEqual(['1 1 PER', '3 4 PER']);
    expect(entitiesOf(['O', 'O'])).toEqual([]);
  });

  const NAMES = ['O', 'B-PER', 'I-PER', 'B-LOC'];
  const scored = (labels: readonly string[], tagged: readonly Tagged[]) => metricsOf({ kind: 'token-classification', labels }, 1, { counts: null, pairs: null, tagged });

  test('F1 wants both borders and the kind', () => {
    // Wanted: 0-1 PER, 3 LOC | 0 PER. Given: 0 PER, 1 PER, 3 LOC | 0 PER, 1 LOC. Two of them right.
    const tagged = [
      { wanted: ['B-PER', 'I-PER', 'O', 'B-LOC'], given: ['B-PER', 'B-PER', 'O', 'B-LOC'] },
      { wanted: ['B-PER', 'O'], given: ['I-PER', 'B-LOC'] },
    ];
    expect(scored(NAMES, tagged).entity_f1).toBeCloseTo((2 * 2) / (3 + 5), 12);
    // Across the border of two rows no entity goes on.
    expect(scored(NAMES, [{ wanted: ['B-PER'], given: ['B-PER'] }, { wanted: ['I-PER'], given: ['I-PER'] }]).entity_f1).toBe(1);
    expect(scored(NAMES, [{ wanted: ['O'], given: ['O'] }]).entity_f1).toBe(0);
  });

  test('there is none where tags are not BIO', () => {
    expect(scored(['NOUN', 'VERB'], [{ wanted: ['NOUN'], given: ['VERB'] }])).toEqual({});
    expect(scored(['O', 'B-PER', 'X'], [{ wanted: ['B-PER'], given: ['B-PER'] }])).toEqual({});
  });

  test('words are the labelled tokens of a row, their tags the likeliest', () => {
    const tagged: Tagged[] = [];
    const given = [0, 2, 0, 1, 1, 0, 2, 2, 2];
    const logits = Float32Array.from({ length: 27 }, (_, i) => (i % 3 === given[Math.floor(i / 3)] ? 2 : i % 2));
    addTagged(tagged, logits, Int32Array.of(-100, 1, 0, -100, 2, -100, -100, -100, -100), ['a', 'b', 'c'], 3);
    expect(tagged).toEqual([{ wanted: ['b', 'a'], given: ['c', 'a'] }, { wanted: ['c'], given: ['b'] }]);
  });
});
