// What a look at the held-out rows says, put into words and tables.
import type { RowInsight, Shown } from '../../store/contract';
import type { Look } from '../../store/slices/runs';

export interface Seen { row: number; shown: Shown; now: RowInsight; before: RowInsight | null }

/** Rows that the first and the last look both tell of, evenly spread. */
export function sheetOf(first: Look, last: Look): Seen[] {
  const before = new Map(first.rows.map((row) => [row.row, row]));
  return last.rows.flatMap((now) => {
    const shown = first.shown[now.row] && last.shown[now.row];
    return shown ? [{ row: now.row, shown, now, before: first.step === last.step ? null : (before.get(now.row) ?? null) }] : [];
  });
}

/** The rows with the highest and with the lowest loss, of which the look tells all; none stands among both. */
export function extremesOf(last: Look, most: number): { worst: Seen[]; best: Seen[] } {
  const known = last.rows.flatMap((now) => (last.shown[now.row] ? [{ row: now.row, shown: last.shown[now.row] as Shown, now, before: null }] : []));
  const sorted = known.sort((a, b) => b.now.loss - a.now.loss);
  const worst = sorted.slice(0, Math.min(most, Math.ceil(sorted.length / 2)));
  return { worst, best: sorted.slice(worst.length).slice(-most).reverse() };
}

export interface Confusion { labels: string[]; /** [wanted][given] */ counts: number[][]; pairs: { wanted: string; given: string; count: number }[] }

/** Counts of what is taken for what; pairs of different classes, the commonest first. */
export function confusionOf({ rows }: Look): Confusion {
  const labels = [...new Set(rows.flatMap(({ wanted, given }) => [wanted, given]).filter((label) => label !== undefined))].sort();
  const counts = labels.map((wanted) => labels.map((given) => rows.filter((row) => row.wanted === wanted && row.given === given).length));
  const pairs = labels.flatMap((wanted, w) => labels.map((given, g) => ({ wanted, given, count: counts[w]?.[g] ?? 0 }))).filter(({ wanted, given, count }) => count > 0 && wanted !== given);
  return { labels, counts, pairs: pairs.sort((a, b) => b.count - a.count || (a.wanted < b.wanted ? -1 : 1)) };
}
