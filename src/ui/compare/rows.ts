// The table of runs as data: a row a group, a column a fact. The page draws it, and the same rows leave as CSV and Markdown.
import { againstBaseline, BASELINE, type Difference, type RunGroup, setupColumns } from '../../store/groups';
import type { MetricLog } from '../../store/metric-log';
import type { RunRecord } from '../../store/slices/runs';
import { bytes, clock, count, loss, rate } from '../format';
import { strings } from '../strings';

const words = strings.compare;

export interface Row {
  key: string;
  group: RunGroup;
  /** The run that stands for the group: its newest. */
  run: RunRecord;
  lowest: number | null;
  difference: Difference | null;
  /** Means over the group's runs; null where no run has the number. */
  seconds: number | null;
  tokensPerSecond: number | null;
}
export interface Column {
  id: string;
  label: string;
  section: 'who' | 'result' | 'cost' | 'setup' | 'words';
  align: 'left' | 'right';
  width: number;
  text(row: Row): string;
  /** What sorting goes by; undefined comes last. */
  sort(row: Row): number | string | undefined;
}

const meanOf = (values: readonly (number | null)[]): number | null => {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
};

export function rowsOf(groups: readonly RunGroup[], log: MetricLog, lossOf: (run: string) => number | null): Row[] {
  return groups.map((group) => {
    const lows = group.runs.flatMap((run) => log.evals(run.id).losses);
    return {
      key: group.key, group, run: group.runs.at(-1) as RunRecord, lowest: lows.length > 0 ? Math.min(...lows) : null, difference: againstBaseline(group, groups, lossOf),
      seconds: meanOf(group.runs.map((run) => run.seconds)), tokensPerSecond: meanOf(group.runs.map((run) => run.tokensPerSecond)),
    };
  });
}

export const signed = (value: number) => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(3)}`;
const orNothing = <T>(value: T | null | undefined, say: (value: T) => string) => (value === null || value === undefined ? '' : say(value));
const orUndefined = <T>(value: T | null | undefined) => value ?? undefined;

export function deltaText({ group, difference }: Row): string {
  if (group.config.method.slug === BASELINE) return words.baseline;
  return difference ? signed(difference.delta) : group.mean === null ? '' : words.noMatch;
}

/** A run that has not ended well says so, wherever it stands. */
export const statusText = ({ group }: Row) => [...new Set(group.runs.filter((run) => run.status !== 'finished').map((run) => (run.interrupted ? strings.train.interrupted : strings.train.status[run.status])))].join(', ');

export function columnsOf(groups: readonly RunGroup[], onlyDifferences: boolean, together: boolean): Column[] {
  const label = words.columns;
  const facts: Column[] = [
    { id: 'run', label: label.run, section: 'who', align: 'left', width: 190, text: ({ group }) => group.name, sort: ({ group }) => group.name },
    { id: 'method', label: label.method, section: 'who', align: 'left', width: 86, text: ({ run }) => run.labels.method, sort: ({ run }) => run.labels.method },
    { id: 'loss', label: label.loss, section: 'result', align: 'right', width: 132, text: ({ group }) => orNothing(group.mean, loss), sort: ({ group }) => orUndefined(group.mean) },
    { id: 'spread', label: label.spread, section: 'result', align: 'right', width: 74, text: ({ group }) => orNothing(group.spread, (value) => value.toFixed(3)), sort: ({ group }) => orUndefined(group.spread) },
    { id: 'seeds', label: label.seeds, section: 'result', align: 'right', width: 56, text: ({ group }) => String(group.losses.length), sort: ({ group }) => group.losses.length },
    { id: 'delta', label: label.delta, section: 'result', align: 'right', width: 112, text: deltaText, sort: ({ difference }) => difference?.delta },
    { id: 'best', label: label.best, section: 'result', align: 'right', width: 70, text: ({ lowest }) => orNothing(lowest, loss), sort: ({ lowest }) => orUndefined(lowest) },
    { id: 'status', label: label.status, section: 'result', align: 'left', width: 110, text: statusText, sort: statusText },
    { id: 'trainable', label: label.trainable, section: 'cost', align: 'right', width: 96, text: ({ run }) => orNothing(run.facts?.trainable, count), sort: ({ run }) => run.facts?.trainable },
    { id: 'memory', label: label.memory, section: 'cost', align: 'right', width: 86, text: ({ run }) => orNothing(run.facts?.peakBytes, bytes), sort: ({ run }) => run.facts?.peakBytes },
    { id: 'time', label: label.time, section: 'cost', align: 'right', width: 66, text: ({ seconds }) => orNothing(seconds, clock), sort: ({ seconds }) => orUndefined(seconds) },
    { id: 'rate', label: label.rate, section: 'cost', align: 'right', width: 76, text: ({ tokensPerSecond }) => orNothing(tokensPerSecond, rate), sort: ({ tokensPerSecond }) => orUndefined(tokensPerSecond) },
  ];
  const setup = setupColumns(groups, onlyDifferences, together).map(({ id, label: name, value }): Column => ({
    id, label: name, section: 'setup', align: 'right', width: Math.max(58, 24 + name.length * 7), text: ({ group }) => value(group.config),
    sort: ({ group }) => (Number.isFinite(Number(value(group.config))) && value(group.config) !== '' ? Number(value(group.config)) : value(group.config)),
  }));
  const said: Column[] = [
    { id: 'tags', label: label.tags, section: 'words', align: 'left', width: 120, text: ({ group }) => [...new Set(group.runs.flatMap((run) => run.tags))].join(', '), sort: ({ run }) => run.tags[0] },
    { id: 'remark', label: label.remark, section: 'words', align: 'left', width: 160, text: ({ run }) => run.remark, sort: ({ run }) => run.remark },
    { id: 'sample', label: label.sample, section: 'words', align: 'left', width: 260, text: ({ run }) => run.samples.at(-1)?.on.trim().replace(/\s+/g, ' ') ?? '', sort: ({ run }) => run.samples.at(-1)?.on },
  ];
  return [...facts, ...setup, ...said];
}

/** The table as it is shown, for people: head and rows. */
export const textTable = (rows: readonly Row[], columns: readonly Column[]): string[][] => [columns.map((column) => column.label), ...rows.map((row) => columns.map((column) => column.text(row)))];

/** Every single run with all its numbers in full, for programs: nothing is rounded, grouped or left out. */
export function fullTable(groups: readonly RunGroup[], lossOf: (run: string) => number | null): string[][] {
  const runs = groups.flatMap(({ runs: members }) => members);
  const setup = setupColumns(groups, false, false);
  const cell = (value: number | null | undefined) => (value === null || value === undefined ? '' : String(value));
  const head = ['run', 'method', 'status', 'step', 'validation_loss', 'trainable', 'peak_bytes_planned', 'flops_per_step', 'seconds', 'tokens_per_second', ...setup.map(({ label }) => label), 'tags', 'note'];
  return [head, ...runs.map((run) => [
    run.name, run.config.method.slug, run.interrupted ? 'interrupted' : run.status, String(run.step), cell(lossOf(run.id)), cell(run.facts?.trainable), cell(run.facts?.peakBytes), cell(run.facts?.flopsPerStep), cell(run.seconds), cell(run.tokensPerSecond),
    ...setup.map(({ value }) => value(run.config)), run.tags.join(' '), run.remark,
  ])];
}
