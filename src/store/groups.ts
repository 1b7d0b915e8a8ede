// Runs as a comparison sees them: those that differ in nothing but the seed are one group, with mean and spread; and each group
// against the LoRA that trains as many parameters.
import type { RunConfig, RunId } from './contract';
import type { RunRecord } from './slices/runs';

export interface RunGroup {
  key: string;
  /** One seed each; at least one. */
  runs: readonly RunRecord[];
  config: RunConfig;
  name: string;
  /** Final validation losses, by run; those without one are left out. */
  losses: readonly number[];
  mean: number | null;
  /** Standard deviation over seeds; null for fewer than two. */
  spread: number | null;
}
export interface Difference {
  baseline: string;
  /** Mean over the seeds that both have of loss minus the baseline's loss. */
  delta: number;
  spread: number | null;
  seeds: number;
  /** |delta| is more than twice its spread. */
  beyondChance: boolean;
}

/** The method that all are held against. */
export const BASELINE = 'lora';
/** Sizes that count as equal: ranks are whole numbers, so a few per cent remain. */
const EQUAL_SHARE = 0.05;

export const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
export function deviation(values: readonly number[]): number | null {
  if (values.length < 2) return null;
  const centre = mean(values);
  return Math.sqrt(values.reduce((sum, value) => sum + (value - centre) ** 2, 0) / (values.length - 1));
}

/** Everything of a setup but its name and its seed. */
const setupKey = ({ model, data, holdout, method, targets, training: { seed: _, ...training } }: RunConfig) =>
  JSON.stringify([model, data, holdout, method.slug, Object.entries(method.fields).sort(), targets, Object.entries(training).sort()]);
/** What two runs must share for their losses to be held against each other. */
const taskKey = ({ model, data, holdout, training: { steps, batch, seq } }: RunConfig) => JSON.stringify([model, data, holdout, steps, batch, seq]);

export function groupRuns(runs: readonly RunRecord[], lossOf: (run: RunId) => number | null, together: boolean): RunGroup[] {
  const groups = new Map<string, RunRecord[]>();
  for (const run of runs) {
    const key = together ? setupKey(run.config) : run.id;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups].map(([key, members]) => {
    const first = members[0] as RunRecord;
    const losses = members.map((run) => lossOf(run.id)).filter((loss) => loss !== null && Number.isFinite(loss)) as number[];
    const name = members.length === 1 ? first.name : first.name.replace(/-s\d+(-\d+)?$/, '');
    return { key, runs: members, config: first.config, name, losses, mean: losses.length > 0 ? mean(losses) : null, spread: deviation(losses) };
  });
}

/** A group against the best baseline of equal size on the same task; null where there is none, or where the group is the baseline. */
export function againstBaseline(group: RunGroup, groups: readonly RunGroup[], lossOf: (run: RunId) => number | null): Difference | null {
  const size = group.runs[0]?.facts?.trainable;
  if (group.mean === null || size === undefined || group.config.method.slug === BASELINE) return null;
  const equal = groups.filter(({ config, runs, mean: loss }) => {
    const other = runs[0]?.facts?.trainable;
    return config.method.slug === BASELINE && loss !== null && other !== undefined && Math.abs(other / size - 1) <= EQUAL_SHARE && taskKey(config) === taskKey(group.config);
  });
  const best = equal.sort((a, b) => (a.mean as number) - (b.mean as number))[0];
  if (!best) return null;
  const bySeed = new Map(best.runs.map((run) => [run.config.training.seed, lossOf(run.id)]));
  const deltas = group.runs.flatMap((run) => {
    const [own, other] = [lossOf(run.id), bySeed.get(run.config.training.seed)];
    return own === null || other === null || other === undefined ? [] : [own - other];
  });
  // No seed in common: the held-out rows differ, and so nothing can be said.
  if (deltas.length === 0) return null;
  const delta = mean(deltas);
  const spread = deviation(deltas);
  return { baseline: best.name, delta, spread, seeds: deltas.length, beyondChance: spread !== null && Math.abs(delta) > 2 * spread };
}

export interface SetupColumn { id: string; label: string; value(config: RunConfig): string }

/** Settings in which the groups differ, or all of them. The seed is not among them where seeds stand together. */
export function setupColumns(groups: readonly RunGroup[], onlyDifferences: boolean, together: boolean): SetupColumn[] {
  const fields = [...new Set(groups.flatMap(({ config }) => Object.keys(config.method.fields)))];
  const said = (value: unknown) => (value === undefined ? '' : String(value));
  const columns: SetupColumn[] = [
    { id: 'model', label: 'model', value: ({ model }) => (model.kind === 'builtin' ? model.id : model.name) },
    { id: 'data', label: 'data', value: ({ data }) => (data.kind === 'builtin' ? data.id : data.name) },
    ...fields.map((name): SetupColumn => ({ id: `field.${name}`, label: name, value: ({ method }) => said(method.fields[name]) })),
    ...(['lr', 'steps', 'batch', 'seq', 'schedule', 'warmup', 'weightDecay', 'clip', 'evalEvery'] as const).map((name): SetupColumn => ({ id: `training.${name}`, label: name, value: ({ training }) => said(training[name]) })),
    { id: 'targets', label: 'targets', value: ({ targets }) => targets },
    { id: 'holdout', label: 'holdout', value: ({ holdout }) => said(holdout) },
    ...(together ? [] : [{ id: 'training.seed', label: 'seed', value: ({ training }: RunConfig) => said(training.seed) }]),
  ];
  return onlyDifferences ? columns.filter(({ value }) => new Set(groups.map(({ config }) => value(config))).size > 1) : columns;
}

/** Groups that no other beats in both size and loss, by size. */
export function frontier<T extends { x: number; y: number }>(points: readonly T[]): T[] {
  const kept: T[] = [];
  for (const point of [...points].sort((a, b) => a.x - b.x || a.y - b.y)) if (kept.length === 0 || point.y < (kept.at(-1) as T).y) kept.push(point);
  return kept;
}

const escaped = (cell: string) => (/[",\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell);
export const toCsv = (rows: readonly (readonly string[])[]) => `${rows.map((row) => row.map(escaped).join(',')).join('\n')}\n`;
export function toMarkdown(rows: readonly (readonly string[])[]): string {
  const line = (row: readonly string[]) => `| ${row.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const [head = [], ...body] = rows;
  return `${[line(head), line(head.map(() => '---')), ...body.map(line)].join('\n')}\n`;
}
