// How good answers are: from the loss, and from counts of (wanted, given) class.
import type { Task } from '../models/model';
import { type Metrics, taskCard } from './tasks';

/** What the task names, of the mean loss in nats, of counts [classes, classes] where there are classes, of recalls where pairs are matched. */
export function metricsOf({ kind }: Task, loss: number, { counts, recalls }: { readonly counts: Float64Array | null; readonly recalls: Recalls | null }): Metrics {
  const found: Metrics = { perplexity: Math.exp(loss), ...(counts ? classMetrics(counts) : {}), ...recalls };
  return Object.fromEntries(taskCard(kind).metrics.filter((name) => found[name] !== undefined).map((name) => [name, found[name]]));
}

/** Counts by [wanted, given] class, of logits [rows, classes]; rows with a negative label do not count. */
export function confusion(logits: Float32Array, labels: Int32Array, classes: number): Float64Array {
  const counts = new Float64Array(classes * classes);
  labels.forEach((label, row) => {
    if (label < 0) return;
    let best = 0;
    for (let c = 1; c < classes; c++) if ((logits[row * classes + c] as number) > (logits[row * classes + best] as number)) best = c;
    const at = label * classes + best;
    counts[at] = (counts[at] as number) + 1;
  });
  return counts;
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

/** Rows of one number: pictures and the texts that belong to them, each of length one in the space that they share. */
export interface Pairs { readonly pictures: Float32Array[]; readonly texts: Float32Array[] }

/** Adds the labelled rows of [batch, size]. */
export function addPairs({ pictures: allPictures, texts: allTexts }: Pairs, pictures: Float32Array, texts: Float32Array, labels: Int32Array, size: number): void {
  labels.forEach((label, row) => {
    if (label < 0) return;
    allPictures.push(pictures.slice(row * size, (row + 1) * size));
    allTexts.push(texts.slice(row * size, (row + 1) * size));
  });
}

export interface Recalls { text_recall_1: number; text_recall_5: number; picture_recall_1: number; picture_recall_5: number }

/** Share of pictures whose own text is among the 1 or 5 likest of all, and the other way round. Texts that say the same stand at one place. */
export function recallsOf({ pictures, texts }: Pairs): Recalls {
  const dot = (a: Float32Array, b: Float32Array) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
  const ahead = (of: Float32Array[], among: Float32Array[]) => of.map((row, i) => {
    const own = dot(row, among[i] as Float32Array);
    return among.reduce((count, other) => count + Number(dot(row, other) > own), 0);
  });
  const share = (ranks: number[], k: number) => ranks.filter((rank) => rank < k).length / ranks.length;
  const [forTexts, forPictures] = [ahead(pictures, texts), ahead(texts, pictures)];
  return { text_recall_1: share(forTexts, 1), text_recall_5: share(forTexts, 5), picture_recall_1: share(forPictures, 1), picture_recall_5: share(forPictures, 5) };
}
