// The runs of this visit and of those before: what each was asked to do, how far it is, and what it wrote on the way.
import type { EngineEvent, Failure, Metrics, RowInsight, RunConfig, RunId, RunStatus, SampleResult, Shown } from '../contract';

/** What the plan says a run takes, noted when it starts. */
export interface RunFacts { trainable: number; peakBytes: number; flopsPerStep: number }

/** How a run came through the loss of its device. */
export interface Recovery {
  reason: string;
  /** Step at which the device went. */
  lostAt: number;
  /** Step of the state that it went on from. */
  from: number;
  /** From the loss to the first new step. */
  seconds: number | null;
  /** The first loss that was computed twice came out the same, to the last bit; null until one was, or where none was. */
  repeats: boolean | null;
}

/** Held-out rows at one step, and what stands in some of them. */
export interface Look { step: number; rows: readonly RowInsight[]; shown: Readonly<Record<number, Shown>> }

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
  /** What was measured on held-out data beside the loss, one entry an evaluation. */
  scores: readonly { step: number; metrics: Metrics }[];
  /** The first look at single held-out rows, and the newest. */
  looks: readonly Look[];
  notes: readonly { step: number; text: string }[];
  phases: readonly { name: string; from: number; steps: number }[];
  error: Failure | null;
  /** When it began, milliseconds since 1970. */
  created: number;
  facts: RunFacts | null;
  tags: readonly string[];
  /** The user's own words. */
  remark: string;
  /** The engine holds it: texts and exports need no loading. */
  live: boolean;
  /** The page went away while it trained. */
  interrupted: boolean;
  /** The newest state in this browser's storage, or why there is none. */
  saved: { step: number; bytes: number; problem: string | null } | null;
  /** Seconds of training before it was resumed. */
  secondsBefore: number;
  recovery: Recovery | null;
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

/** A run whose device was lost is being brought back: nothing else may start. */
export const comingBack = (runs: RunsSlice) => runs.order.some((id) => runs.byId[id]?.recovery?.seconds === null);

/** Unfinished, and not training: it can go on. */
export const canGoOn = (run: RunRecord) => !isActive(run.status) && run.step < totalSteps(run) && run.error?.name !== 'NonFiniteError';

export function withoutRun(runs: RunsSlice, id: RunId): RunsSlice {
  const { [id]: _, ...byId } = runs.byId;
  const order = runs.order.filter((other) => other !== id);
  return { byId, order, selected: runs.selected === id ? (order.at(-1) ?? null) : runs.selected };
}

export function withRun(runs: RunsSlice, record: RunRecord): RunsSlice {
  return { byId: { ...runs.byId, [record.id]: record }, order: [...runs.order, record.id], selected: record.id };
}

/** What is known of a run before its first event. */
export interface PendingRun { name: string; config: RunConfig; labels: RunRecord['labels']; facts?: RunFacts | null; tags?: readonly string[] }

export function newRun(id: RunId, { name, config, labels, facts = null, tags = [] }: PendingRun): RunRecord {
  return {
    id, name, config, labels, status: 'preparing', step: 0, seconds: null, tokensPerSecond: null, secondsPerStep: null,
    samples: [], own: [], scores: [], looks: [], notes: [], phases: [], error: null,
    created: Date.now(), facts, tags, remark: '', live: true, interrupted: false, saved: null, secondsBefore: 0, recovery: null,
  };
}

/** The record after an event that concerns it. Numbers of series and views live in the MetricLog and change nothing here. */
export function afterEvent(run: RunRecord, event: Extract<EngineEvent, { run: RunId }>): RunRecord {
  switch (event.kind) {
    case 'status':
      return { ...run, status: event.status, step: event.step, secondsPerStep: event.status === 'running' ? run.secondsPerStep : null };
    case 'phase':
      return { ...run, phases: [...run.phases.filter((phase) => phase.from < event.from), { name: event.name, from: event.from, steps: event.steps }] };
    case 'metrics': {
      const rows = event.series.length === 0 ? 0 : Math.floor(event.values.length / event.series.length);
      return { ...run, step: event.from - 1 + rows, seconds: run.secondsBefore + event.seconds, tokensPerSecond: event.tokensPerSecond };
    }
    case 'sample':
      // A step that is reached again after a rewind replaces what it wrote before.
      return { ...run, samples: [...run.samples.filter((sample) => sample.step < event.sample.step), event.sample] };
    case 'note':
      return { ...run, notes: [...run.notes.filter((note) => note.step !== event.step || note.text !== event.text), { step: event.step, text: event.text }] };
    case 'ended':
      return { ...run, status: event.reason, step: event.step, seconds: run.secondsBefore + event.seconds, secondsPerStep: null, error: event.error ?? null };
    case 'saved':
      // A state that could not be written leaves the one before.
      return { ...run, saved: event.problem === undefined ? { step: event.step, bytes: event.bytes, problem: null } : { step: run.saved?.step ?? 0, bytes: run.saved?.bytes ?? 0, problem: event.problem } };
    case 'eval':
      return Object.keys(event.metrics).length === 0 ? run : { ...run, scores: [...run.scores.filter((score) => score.step < event.step), { step: event.step, metrics: event.metrics }] };
    case 'insights': {
      const [first] = run.looks.filter((look) => look.step < event.step);
      return { ...run, looks: [...(first ? [first] : []), { step: event.step, rows: event.rows, shown: event.shown }] };
    }
    case 'view':
      return run;
  }
}

/** `lora-king-james`, then `lora-king-james-2`, …: a name that no run has. */
export function freshName(runs: RunsSlice, wanted: string): string {
  const taken = new Set(Object.values(runs.byId).map((run) => run.name));
  if (!taken.has(wanted)) return wanted;
  for (let n = 2; ; n++) if (!taken.has(`${wanted}-${n}`)) return `${wanted}-${n}`;
}
