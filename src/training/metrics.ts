// How good answers are: from the loss, and from counts of (wanted, given) class.
import { type Task, labelsOf } from '../models/model';
import type { TokenBatch } from './task';
import { type Metrics, taskCard } from './tasks';

/** What the task names, of the mean loss in nats, of counts [classes, classes] where there are classes, of pairs where they are matched, of words where they are tagged. */
export function metricsOf(task: Task, loss: number, { counts, pairs, tagged }: { readonly counts: Float64Array | null; readonly pairs: Pairs | null; readonly tagged: readonly Tagged[] }): Metrics {
  const rank = pairs && spearman(pairs.scored.map(({ cosine }) => cosine), pairs.scored.map(({ score }) => score));
  const found: Metrics = { perplexity: Math.exp(loss), ...(counts ? classMetrics(counts) : {}), ...(pairs ? recallsOf(pairs) : {}), ...(rank === null || rank === undefined ? {} : { spearman: rank }), ...entityF1(tagged, labelsOf(task) ?? []) };
  return Object.fromEntries(taskCard(task.kind).metrics.filter((name) => found[name] !== undefined).map((name) => [name, found[name]]));
}

/** Counts by [wanted, given] class, of logits [rows, classes]; rows with a negative label do not count. */
export function confusion(logits: Float32Array, labels: Int32Array, classes: number): Float64Array {
  const counts = new Float64Array(classes * classes);
  labels.forEach((label, row) => {
    if (label < 0) return;
    const at = label * classes + likeliest(logits, row, classes);
    counts[at] = (counts[at] as number) + 1;
  });
  return counts;
}

/** The class of a row's largest logit, the first of equals. */
function likeliest(logits: Float32Array, row: number, classes: number): number {
  let best = 0;
  for (let c = 1; c < classes; c++) if ((logits[row * classes + c] as number) > (logits[row * classes + best] as number)) best = c;
  return best;
}

export interface ClassMetrics {
  /** Share of right answers. */
  accuracy: number;
  /** Mean over the classes of 2 TP / (2 TP + FP + FN); a class that is neither wanted nor given is left out. */
  macro_f1: number;
  /** Matthews correlation (Gorodkin 2004 for many classes); 0 where all is one class. */
  mcc: number;
}

/** Of a confusion matrix [classes, classes] with at least one count. */
export function classMetrics(counts: Float64Array): ClassMetrics {
  const classes = Math.sqrt(counts.length);
  const range = Array.from({ length: classes }, (_, i) => i);
  const at = (wanted: number, given: number) => counts[wanted * classes + given] as number;
  const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
  const wanted = range.map((c) => sum(range.map((g) => at(c, g))));
  const given = range.map((c) => sum(range.map((w) => at(w, c))));
  const right = range.map((c) => at(c, c));
  const [all, hits] = [sum(wanted), sum(right)];
  const present = range.filter((c) => (wanted[c] as number) + (given[c] as number) > 0);
  const f1 = present.map((c) => (2 * (right[c] as number)) / ((wanted[c] as number) + (given[c] as number)));
  const both = sum(range.map((c) => (wanted[c] as number) * (given[c] as number)));
  const spread = (totals: readonly number[]) => all * all - sum(totals.map((x) => x * x));
  const scale = Math.sqrt(spread(wanted) * spread(given));
  return { accuracy: hits / all, macro_f1: sum(f1) / f1.length, mcc: scale === 0 ? 0 : (hits * all - both) / scale };
}

/** The tags of a row's words: those wanted, and those given. */
export interface Tagged { readonly wanted: readonly string[]; readonly given: readonly string[] }

/** Adds the rows of logits [rows, time, classes]; tokens with a negative label are no words. */
export function addTagged(tagged: Tagged[], logits: Float32Array, labels: Int32Array, names: readonly string[], time: number): void {
  for (let row = 0; row < labels.length / time; row++) {
    const words = Array.from({ length: time }, (_, t) => row * time + t).filter((token) => (labels[token] as number) >= 0);
    if (words.length > 0) tagged.push({ wanted: words.map((token) => names[labels[token] as number] as string), given: words.map((token) => names[likeliest(logits, token, names.length)] as string) });
  }
}

/**
 * Entities of BIO tags, each as its kind and the numbers of its first and last word. As in conlleval and seqeval, one begins at B-, and at
 * I- where no entity of that kind goes on.
 */
export function entitiesOf(tags: readonly string[]): string[] {
  const found: { kind: string; from: number; to: number }[] = [];
  tags.forEach((tag, i) => {
    if (!BIO.test(tag)) return;
    const [kind, open] = [tag.slice(2), found.at(-1)];
    if (tag.startsWith('I') && open?.to === i - 1 && open.kind === kind) open.to = i;
    else found.push({ kind, from: i, to: i });
  });
  return found.map(({ kind, from, to }) => `${from} ${to} ${kind}`);
}

const BIO = /^[BI]-./;

/** 2 · right / (wanted + given) over the entities of all rows, 0 where there are none; nothing where tags are not BIO. */
function entityF1(tagged: readonly Tagged[], names: readonly string[]): { entity_f1?: number } {
  if (!names.some((name) => BIO.test(name)) || !names.every((name) => name === 'O' || BIO.test(name))) return {};
  let [right, all] = [0, 0];
  for (const row of tagged) {
    const [wanted, given] = [entitiesOf(row.wanted), entitiesOf(row.given)];
    right += given.filter((entity) => wanted.includes(entity)).length;
    all += wanted.length + given.length;
  }
  return { entity_f1: all === 0 ? 0 : (2 * right) / all };
}

/** What belongs together by number, pictures and their texts or first and second texts, each of length one in the space that they share. */
export interface Pairs {
  readonly first: Float32Array[];
  readonly second: Float32Array[];
  /** Cosines of pairs with a score, those too that do not belong together. */
  readonly scored: { readonly cosine: number; readonly score: number }[];
}

const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);

/** Cosines [rows, others] of rows of length one, [rows, size] and [others, size]. */
export function cosinesOf(first: Float32Array, second: Float32Array, size: number): Float32Array {
  const [rows, others] = [first, second].map((all) => Array.from({ length: all.length / size }, (_, i) => all.subarray(i * size, (i + 1) * size))) as [Float32Array[], Float32Array[]];
  return Float32Array.from(rows.flatMap((row) => others.map((other) => dot(row, other))));
}

/** Adds the labelled rows of [batch, size], and the cosines of those with a score. */
export function addPairs(pairs: Pairs, first: Float32Array, second: Float32Array, { labels, scores }: Pick<TokenBatch, 'labels' | 'scores'>, size: number): void {
  labels.forEach((label, row) => {
    const [a, b] = [first, second].map((all) => all.slice(row * size, (row + 1) * size)) as [Float32Array, Float32Array];
    const score = scores?.[row] ?? Number.NaN;
    if (!Number.isNaN(score)) pairs.scored.push({ cosine: dot(a, b), score });
    if (label < 0) return;
    pairs.first.push(a);
    pairs.second.push(b);
  });
}

/** The cosine of each row with its own among others, and the place of that, from 1; what is equally like comes behind nothing. */
export function standing(rows: readonly Float32Array[], among: readonly Float32Array[]): { cosine: number; rank: number }[] {
  return rows.map((row, i) => {
    const cosine = dot(row, among[i] as Float32Array);
    return { cosine, rank: among.reduce((rank, other) => rank + Number(dot(row, other) > cosine), 1) };
  });
}

type Recall = 'text_recall_1' | 'text_recall_5' | 'picture_recall_1' | 'picture_recall_5' | 'recall_1' | 'recall_5';

/**
 * Share of pictures whose own text is among the 1 or 5 likest of all, and the other way round; of pairs of texts the same for the first
 * ones. What says the same stands at one place.
 */
export function recallsOf({ first, second }: Pick<Pairs, 'first' | 'second'>): Record<Recall, number> {
  const share = (places: readonly { rank: number }[], k: number) => places.filter(({ rank }) => rank <= k).length / places.length;
  const [forward, back] = [standing(first, second), standing(second, first)];
  const [recall_1, recall_5] = [share(forward, 1), share(forward, 5)];
  return { recall_1, recall_5, text_recall_1: recall_1, text_recall_5: recall_5, picture_recall_1: share(back, 1), picture_recall_5: share(back, 5) };
}

/** Spearman's rank correlation, equal numbers at their mean rank; undefined where one side is all the same. */
export function spearman(a: readonly number[], b: readonly number[]): number | undefined {
  const [x, y] = [a, b].map((values) => centred(ranks(values))) as [number[], number[]];
  const product = (p: number[], q: number[]) => p.reduce((sum, v, i) => sum + v * (q[i] as number), 0);
  const scale = Math.sqrt(product(x, x) * product(y, y));
  return scale === 0 ? undefined : product(x, y) / scale;
}

function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((i, j) => (values[i] as number) - (values[j] as number));
  const found = new Array<number>(values.length);
  for (let from = 0, to = 0; from < order.length; from = to) {
    while (to < order.length && values[order[to] as number] === values[order[from] as number]) to++;
    for (const i of order.slice(from, to)) found[i] = (from + to - 1) / 2;
  }
  return found;
}

function centred(values: readonly number[]): number[] {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  return values.map((value) => value - mean);
}
