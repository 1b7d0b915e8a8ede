// What a model makes of each held-out row: its loss, and the class that it gives.
import type { Dataset } from '../data/dataset';
import type { RowInsight, Shown } from './events';
import { type Pairs, standing } from './metrics';

/** Rows of which the content is told: of the best, of the worst, and of an even spread that is the same at every look. */
const [EXTREMES, SPREAD] = [6, 24];

/** Rows by their loss, the worst first. */
const byLoss = (rows: readonly RowInsight[]): RowInsight[] => [...rows].sort((a, b) => b.loss - a.loss || a.row - b.row);

/** The insights of a look: all rows, and what stands in some of them. A data set that does not tell has no content. */
export function insightsOf(rows: readonly RowInsight[], { shown }: Pick<Dataset, 'shown'>): { rows: RowInsight[]; shown: Record<number, Shown> } {
  const sorted = byLoss(rows);
  const spread = Array.from({ length: Math.min(SPREAD, rows.length) }, (_, i) => rows[Math.floor((i * rows.length) / Math.min(SPREAD, rows.length))] as RowInsight);
  const chosen = shown ? new Set([...sorted.slice(0, EXTREMES), ...sorted.slice(-EXTREMES), ...spread].map(({ row }) => row)) : [];
  return { rows: [...rows], shown: Object.fromEntries([...chosen].map((row) => [row, shown?.(row) as Shown])) };
}

/** Loss and given class of each row of logits [rows, classes]; rows with a negative label do not count. `first` is the number of the first. */
export function classInsights(logits: Float32Array, labels: Int32Array, names: readonly string[], first: number): RowInsight[] {
  const classes = names.length;
  return [...labels].flatMap((label, i) => {
    if (label < 0) return [];
    const row = logits.subarray(i * classes, (i + 1) * classes);
    const best = row.indexOf(row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY));
    const top = row[best] as number;
    const sum = row.reduce((total, x) => total + Math.exp(x - top), 0);
    return [{ row: first + i, loss: Math.log(sum) + top - (row[label] as number), wanted: names[label] as string, given: names[Math.max(0, best)] as string, share: 1 / sum }];
  });
}

/** The mean loss of each row's words and their tags, of logits [rows, time, classes]. */
export function tagInsights(logits: Float32Array, labels: Int32Array, names: readonly string[], time: number, first: number): RowInsight[] {
  const byRow = new Map<number, RowInsight[]>();
  for (const word of classInsights(logits, labels, names, 0)) {
    const number = Math.floor(word.row / time);
    byRow.set(number, [...(byRow.get(number) ?? []), word]);
  }
  return [...byRow].map(([row, words]) => ({
    row: first + row, loss: words.reduce((sum, { loss }) => sum + loss, 0) / words.length,
    tags: { wanted: words.map(({ wanted }) => wanted as string), given: words.map(({ given }) => given as string) },
  }));
}

/** The loss of each labelled pair among logits [batch, batch]; `both`: the mean of both directions. */
export function pairInsights(logits: Float32Array, labels: Int32Array, first: number, both: boolean): RowInsight[] {
  const size = labels.length;
  const lossAt = (at: number, other: (j: number) => number) => Math.log(Array.from({ length: size }, (_, j) => Math.exp(other(j) - other(at))).reduce((a, b) => a + b, 0));
  return [...labels].flatMap((label, i) => {
    if (label < 0) return [];
    const loss = lossAt(i, (j) => logits[i * size + j] as number);
    return [{ row: first + i, loss: both ? (loss + lossAt(i, (j) => logits[j * size + i] as number)) / 2 : loss }];
  });
}

/** The same rows with the cosine of each pair, and where its second stands among all. */
export function withStanding(rows: readonly RowInsight[], pairs: Pairs): RowInsight[] {
  const places = standing(pairs.first, pairs.second);
  return rows.map((row, i) => ({ ...row, ...places[i] }));
}

/** Best and worst as a log says them: the numbers with what stands in the row, without pixels. */
export function extremes(rows: readonly RowInsight[], shown: Readonly<Record<number, Shown>>): { best: object[]; worst: object[] } {
  const sorted = byLoss(rows);
  const words = (row: RowInsight) => {
    const { picture: _, ...content } = shown[row.row] ?? {};
    return { ...row, ...content };
  };
  return { worst: sorted.slice(0, EXTREMES).map(words), best: sorted.slice(-EXTREMES).reverse().map(words) };
}
