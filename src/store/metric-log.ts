// The numbers of every run, kept outside React: growing Float32Arrays by series, sparse evaluations, and view snapshots.
// The store holds only a version number a run, so a thousand steps a second cost the page one render a frame.
import type { HeatmapData, RunId } from './contract';

export interface Snapshot { step: number; data: HeatmapData }

/** Snapshots kept a view; beyond it every second one is dropped, so that old and new stay evenly covered. */
const MAX_SNAPSHOTS = 128;

interface RunLog {
  length: number;
  columns: Map<string, Float32Array>;
  evalSteps: number[];
  evalLosses: number[];
  snapshots: Map<string, Snapshot[]>;
  /** Seconds of training at some steps, as reports came. */
  timeSteps: number[];
  timeSeconds: number[];
}

/** The numbers of a run as plain data, for keeping. */
export interface KeptLog {
  length: number;
  columns: Record<string, Float32Array>;
  evals: { steps: number[]; losses: number[] };
  times: { steps: number[]; seconds: number[] };
  snapshots: Record<string, Snapshot[]>;
}
/** Bytes of view snapshots that are kept a view; beyond it every second one is left out. */
const KEPT_VIEW_BYTES = 1 << 20;
/** Marks of time kept a run; beyond it every second one is dropped. */
const MAX_TIMES = 4096;

export class MetricLog {
  readonly #runs = new Map<RunId, RunLog>();

  /** Adds columns: `values[i * series.length + j]` is series j at step `from + i`. A `from` already passed rewinds (a resumed run). */
  append(run: RunId, from: number, series: readonly string[], values: Float32Array): void {
    if (series.length === 0) return;
    const rows = Math.floor(values.length / series.length);
    const log = this.#log(run);
    const end = from - 1 + rows;
    for (const name of series) grow(log, name, end);
    // A column that this batch does not name has no value for these steps, nor has any in a gap before them.
    for (const column of log.columns.values()) column.fill(Number.NaN, Math.min(log.length, from - 1), Math.min(end, column.length));
    series.forEach((name, j) => {
      const column = log.columns.get(name) as Float32Array;
      for (let i = 0; i < rows; i++) column[from - 1 + i] = values[i * series.length + j] as number;
    });
    log.length = end;
  }

  appendEval(run: RunId, step: number, loss: number): void {
    const log = this.#log(run);
    while (log.evalSteps.length > 0 && (log.evalSteps.at(-1) as number) >= step) {
      log.evalSteps.pop();
      log.evalLosses.pop();
    }
    log.evalSteps.push(step);
    log.evalLosses.push(loss);
  }

  appendTime(run: RunId, step: number, seconds: number): void {
    const log = this.#log(run);
    while (log.timeSteps.length > 0 && (log.timeSteps.at(-1) as number) >= step) {
      log.timeSteps.pop();
      log.timeSeconds.pop();
    }
    if (log.timeSteps.length >= MAX_TIMES) {
      log.timeSteps = log.timeSteps.filter((_, i) => i % 2 === 0);
      log.timeSeconds = log.timeSeconds.filter((_, i) => i % 2 === 0);
    }
    log.timeSteps.push(step);
    log.timeSeconds.push(seconds);
  }

  /** Seconds of training at a step, between the reports around it; null outside what was reported. */
  secondsAt(run: RunId, step: number): number | null {
    const log = this.#runs.get(run);
    if (step === 0) return 0;
    const at = log?.timeSteps.findIndex((known) => known >= step) ?? -1;
    if (!log || at < 0) return null;
    const [s1, t1] = [log.timeSteps[at] as number, log.timeSeconds[at] as number];
    const [s0, t0] = at === 0 ? [0, 0] : [log.timeSteps[at - 1] as number, log.timeSeconds[at - 1] as number];
    return s1 === s0 ? t1 : t0 + ((t1 - t0) * (step - s0)) / (s1 - s0);
  }

  appendSnapshot(run: RunId, view: string, step: number, data: HeatmapData): void {
    const log = this.#log(run);
    let kept = log.snapshots.get(view) ?? [];
    while (kept.length > 0 && (kept.at(-1) as Snapshot).step >= step) kept.pop();
    if (kept.length >= MAX_SNAPSHOTS) kept = kept.filter((_, i) => i % 2 === 0);
    kept.push({ step, data });
    log.snapshots.set(view, kept);
  }

  /** Steps that have metrics: 1 to length. */
  length(run: RunId): number {
    return this.#runs.get(run)?.length ?? 0;
  }

  series(run: RunId): string[] {
    return [...(this.#runs.get(run)?.columns.keys() ?? [])];
  }

  /** The values of a series; index 0 is step 1. A view on live memory: read it, don't keep it. Empty when never reported. */
  column(run: RunId, series: string): Float32Array {
    const log = this.#runs.get(run);
    const column = log?.columns.get(series);
    if (!log || !column) return new Float32Array(0);
    return column.subarray(0, log.length);
  }

  /** The newest number of a series, or undefined. */
  last(run: RunId, series: string): number | undefined {
    const column = this.column(run, series);
    for (let i = column.length - 1; i >= 0; i--) {
      const value = column[i] as number;
      if (!Number.isNaN(value)) return value;
    }
    return undefined;
  }

  evals(run: RunId): { steps: readonly number[]; losses: readonly number[] } {
    const log = this.#runs.get(run);
    return { steps: log?.evalSteps ?? [], losses: log?.evalLosses ?? [] };
  }

  snapshots(run: RunId, view: string): readonly Snapshot[] {
    return this.#runs.get(run)?.snapshots.get(view) ?? [];
  }

  /** Everything as a table: one row a step, one column a series, validation last. */
  toCsv(run: RunId): string {
    const series = this.series(run);
    const { steps, losses } = this.evals(run);
    const validation = new Map(steps.map((step, i) => [step, losses[i] as number]));
    const cell = (value: number | undefined) => (value === undefined || Number.isNaN(value) ? '' : String(Number(value.toPrecision(7))));
    const rows = [['step', ...series, 'validation_loss'].join(',')];
    const first = validation.has(0) ? 0 : 1;
    const end = Math.max(this.length(run), steps.at(-1) ?? 0);
    const columns = series.map((name) => this.column(run, name));
    for (let step = first; step <= end; step++) {
      rows.push([step, ...columns.map((column) => cell(column[step - 1])), cell(validation.get(step))].join(','));
    }
    return `${rows.join('\n')}\n`;
  }

  kept(run: RunId): KeptLog {
    const log = this.#log(run);
    const columns = Object.fromEntries([...log.columns].map(([name, column]) => [name, column.slice(0, log.length)]));
    const snapshots = Object.fromEntries([...log.snapshots].map(([view, all]) => [view, thinned(all)]));
    return { length: log.length, columns, snapshots, evals: { steps: [...log.evalSteps], losses: [...log.evalLosses] }, times: { steps: [...log.timeSteps], seconds: [...log.timeSeconds] } };
  }

  restore(run: RunId, { length, columns, evals, times, snapshots }: KeptLog): void {
    this.#runs.set(run, {
      length, columns: new Map(Object.entries(columns).map(([name, column]) => [name, column.slice()])), evalSteps: [...evals.steps], evalLosses: [...evals.losses],
      timeSteps: [...times.steps], timeSeconds: [...times.seconds], snapshots: new Map(Object.entries(snapshots).map(([view, all]) => [view, [...all]])),
    });
  }

  drop(run: RunId): void {
    this.#runs.delete(run);
  }

  #log(run: RunId): RunLog {
    let log = this.#runs.get(run);
    if (!log) {
      log = { length: 0, columns: new Map(), evalSteps: [], evalLosses: [], snapshots: new Map(), timeSteps: [], timeSeconds: [] };
      this.#runs.set(run, log);
    }
    return log;
  }
}

function thinned(all: readonly Snapshot[]): Snapshot[] {
  let kept = [...all];
  const bytes = () => kept.reduce((sum, { data }) => sum + data.values.byteLength, 0);
  // The newest always stays.
  while (kept.length > 1 && bytes() > KEPT_VIEW_BYTES) kept = kept.filter((_, i) => (kept.length - 1 - i) % 2 === 0);
  return kept;
}

/** Doubles the room of a column until it holds `length`; new room is NaN, which means "no value". */
function grow(log: RunLog, name: string, length: number): void {
  const old = log.columns.get(name);
  if (old && old.length >= length) return;
  let capacity = Math.max(256, old?.length ?? 0);
  while (capacity < length) capacity *= 2;
  const column = new Float32Array(capacity).fill(Number.NaN);
  if (old) column.set(old);
  log.columns.set(name, column);
}
