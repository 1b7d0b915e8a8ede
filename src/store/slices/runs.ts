// The runs of this visit: what each was asked to do, how far it is, and what it wrote on the way.
import type { EngineEvent, Failure, RunConfig, RunId, RunStatus, SampleResult } from '../contract';

export interface RunRecord {
  id: RunId;
  name: string;
  config: RunConfig;
  /** Names as shown when the run began; the catalogue or the files may change later. */
  labels: { method: string; model: string; data: string };
  status: RunStatus;
  step: number;
  /** Seconds of training as the engine measured them, once it reported any. */
  seconds: number | null;
  tokensPerSecond: number | null;
  /** Seconds a step, measured over the last reports; null while paused or before two reports came. */
  secondsPerStep: number | null;
  samples: readonly SampleResult[];
  /** Answers to the user's own prompts, newest last. */
  own: readonly SampleResult[];
  notes: readonly { step: number; text: string }[];
  phases: readonly { name: string; from: number; steps: number }[];
  error: Failure | null;
}

export interface RunsSlice {
  byId: Readonly<Record<RunId, RunRecord>>;
  order: readonly RunId[];
  selected: RunId | null;
}

export const initialRuns: RunsSlice = { byId: {}, order: [], selected: null };

export const isActive = (status: RunStatus) => status === 'preparing' || status === 'running' || status === 'paused';

/** Every step of the run: a method may train in several phases, of which the settings name only the first. */
export const totalSteps = (run: RunRecord) => run.phases.reduce((most, phase) => Math.max(most, phase.from + phase.steps), run.config.training.steps);

export function activeRun(runs: RunsSlice): RunRecord | null {
  const id = runs.order.find((run) => isActive((runs.byId[run] as RunRecord).status));
  return id === undefined ? null : (runs.byId[id] as RunRecord);
}

export function withRun(runs: RunsSlice, record: RunRecord): RunsSlice {
  return { byId: { ...runs.byId, [record.id]: record }, order: [...runs.order, record.id], selected: record.id };
}

export function newRun(id: RunId, name: string, config: RunConfig, labels: RunRecord['labels']): RunRecord {
  return {
    id, name, config, labels, status: 'preparing', step: 0, seconds: null, tokensPerSecond: null, secondsPerStep: null,
    samples: [], own: [], notes: [], phases: [], error: null,
  };
}

/** The record after an event that concerns it. Numbers of series and views live in the MetricLog and change nothing here. */
export function afterEvent(run: RunRecord, event: Extract<EngineEvent, { run: RunId }>): RunRecord {
  switch (event.kind) {
    case 'status':
      return { ...run, status: event.status, step: event.step, secondsPerStep: event.status === 'running' ? run.secondsPerStep : null };
    case 'phase':
      return { ...run, phases: [...run.phases, { name: event.name, from: event.from, steps: event.steps }] };
    case 'metrics': {
      const rows = event.series.length === 0 ? 0 : Math.floor(event.values.length / event.series.length);
      return { ...run, step: event.from - 1 + rows, seconds: event.seconds, tokensPerSecond: event.tokensPerSecond };
    }
    case 'sample':
      // A step that is reached again after a rewind replaces what it wrote before.
      return { ...run, samples: [...run.samples.filter((sample) => sample.step < event.sample.step), event.sample] };
    case 'note':
      return { ...run, notes: [...run.notes, { step: event.step, text: event.text }] };
    case 'ended':
      return { ...run, status: event.reason, step: event.step, seconds: event.seconds, secondsPerStep: null, error: event.error ?? null };
    case 'eval':
    case 'view':
      return run;
  }
}

/** `lora-king-james`, then `lora-king-james-2`, …: a name that no run of this visit has. */
export function freshName(runs: RunsSlice, wanted: string): string {
  const taken = new Set(Object.values(runs.byId).map((run) => run.name));
  if (!taken.has(wanted)) return wanted;
  for (let n = 2; ; n++) if (!taken.has(`${wanted}-${n}`)) return `${wanted}-${n}`;
}
