// From events to state: the only writer of the engine, runs and metrics slices.
// Numbers go straight into the MetricLog; state changes are gathered and set once a frame, whatever the event rate.
import type { DeviceCard, EngineEvent, Failure, Hello, RunId } from './contract';
import type { MetricLog } from './metric-log';
import { withHello } from './slices/engine';
import { bumped } from './slices/metrics';
import { activeRun, afterEvent, newRun, type PendingRun, type RunRecord, type RunsSlice, withRun } from './slices/runs';
import { patch, type StudioStore } from './studio';

export interface Connection {
  /** Takes an event of the engine. */
  receive(event: EngineEvent): void;
  hello(hello: Hello): void;
  /** A new device after one was lost: nothing is loaded on it yet. */
  recovered(device: DeviceCard): void;
  crashed(failure: Failure): void;
  /** Announces the run that the next unknown run id belongs to: its first events come before `start` answers. */
  expect(run: PendingRun): void;
  /** Makes sure that a run has a record, also when no event came yet. */
  adopt(run: RunId): void;
  /** A start that failed: whatever was already shown of that run goes, or the run stands as it stood before. */
  abandon(before?: RunRecord): void;
  /** Changes a record outside any event. */
  update(run: RunId, change: (run: RunRecord) => RunRecord): void;
  /** An answer to the user's own prompt. */
  answer(run: RunId, sample: RunRecord['own'][number]): void;
  select(run: RunId): void;
  /** Sets everything gathered now; a frame does the same. */
  flush(): void;
}

export interface Clock {
  /** Calls back once, soon: a frame in a page, a timer elsewhere. */
  frame(callback: () => void): void;
  /** Milliseconds, monotonic. */
  now(): number;
}

/** A page's frames; a hidden page gets no frames, and its runs go on. */
export const pageClock: Clock = {
  frame: (callback) => {
    if (document.hidden) setTimeout(callback, 200);
    else requestAnimationFrame(callback);
  },
  now: () => performance.now(),
};

/** Reports over which the pace of a run is measured. */
const PACE_WINDOW = 24;

export function connect(store: StudioStore, log: MetricLog, clock: Clock): Connection {
  let pending: PendingRun | null = null;
  let gathered: RunsSlice | null = null;
  let progress: { task: string; done: number; total: number } | null | undefined;
  const touched = new Set<RunId>();
  /** When the device of a run was lost, by this page's clock. */
  const lostAt = new Map<RunId, number>();
  const pace = new Map<RunId, { step: number; at: number }[]>();
  let waiting = false;

  const runs = () => gathered ?? store.getState().runs;
  const schedule = () => {
    if (waiting) return;
    waiting = true;
    clock.frame(flush);
  };
  const flush = () => {
    waiting = false;
    if (!gathered && progress === undefined && touched.size === 0) return;
    const change: Partial<ReturnType<StudioStore['getState']>> = {};
    if (gathered) change.runs = gathered;
    if (touched.size > 0) change.metrics = bumped(store.getState().metrics, touched);
    if (progress !== undefined) change.engine = { ...store.getState().engine, progress };
    gathered = null;
    progress = undefined;
    touched.clear();
    store.setState(change);
  };
  const adopt = (id: RunId) => {
    if (runs().byId[id] || !pending) return;
    gathered = withRun(runs(), newRun(id, pending));
    pending = null;
    schedule();
  };
  const update = (id: RunId, change: (run: RunRecord) => RunRecord) => {
    adopt(id);
    const run = runs().byId[id];
    if (!run) return;
    const next = change(run);
    if (next === run) return;
    gathered = { ...runs(), byId: { ...runs().byId, [id]: next } };
    schedule();
  };

  /** Seconds a step over the last reports, by this page's clock; pauses start it over. */
  const measurePace = (id: RunId, step: number): number | null => {
    const marks = pace.get(id) ?? [];
    if (marks.length > 0 && (marks.at(-1) as { step: number }).step >= step) marks.length = 0;
    marks.push({ step, at: clock.now() });
    if (marks.length > PACE_WINDOW) marks.shift();
    pace.set(id, marks);
    const first = marks[0] as { step: number; at: number };
    return step > first.step ? (clock.now() - first.at) / 1000 / (step - first.step) : null;
  };

  /** After a loss of the device, steps that had been done are done again: their first loss must come out the same. */
  const compareRepeat = ({ run: id, from, series, values }: Extract<EngineEvent, { kind: 'metrics' }>) => {
    const recovery = runs().byId[id]?.recovery;
    if (!recovery || recovery.seconds !== null) return;
    const before = log.column(id, 'loss')[from - 1];
    const now = values[series.indexOf('loss')];
    const repeats = before === undefined || Number.isNaN(before) || now === undefined ? null : before === now;
    update(id, (run) => ({ ...run, recovery: { ...recovery, repeats, seconds: (clock.now() - (lostAt.get(id) ?? clock.now())) / 1000 } }));
  };

  const receive = (event: EngineEvent) => {
    if (event.kind === 'progress') {
      progress = event.done >= event.total ? null : { task: event.task, done: event.done, total: event.total };
      schedule();
      return;
    }
    if (event.kind === 'lost') {
      flush();
      patch(store, 'engine', { status: 'lost', failure: { name: 'DeviceLostError', message: event.message, hint: '' } });
      return;
    }
    if (event.kind === 'metrics') compareRepeat(event);
    update(event.run, (run) => afterEvent(run, event));
    switch (event.kind) {
      case 'metrics': {
        log.appendTime(event.run, event.from - 1 + Math.floor(event.values.length / Math.max(1, event.series.length)), (runs().byId[event.run]?.secondsBefore ?? 0) + event.seconds);
        log.append(event.run, event.from, event.series, event.values);
        const step = log.length(event.run);
        const secondsPerStep = measurePace(event.run, step);
        update(event.run, (run) => ({ ...run, secondsPerStep }));
        break;
      }
      case 'eval':
        log.appendEval(event.run, event.step, event.loss);
        break;
      case 'view':
        log.appendSnapshot(event.run, event.id, event.step, event.data);
        break;
      case 'status':
        if (event.status !== 'running') pace.delete(event.run);
        return;
      case 'ended':
        pace.delete(event.run);
        // The end of a run is what people and tests wait for: no frame may hold it back.
        flush();
        return;
      default:
        return;
    }
    touched.add(event.run);
    schedule();
  };

  return {
    receive,
    hello: (hello) => store.setState({ engine: withHello(hello) }),
    crashed: (failure) => {
      // Nothing will report the end of a run that was going on.
      const active = activeRun(runs());
      if (active) update(active.id, (run) => ({ ...run, status: 'failed', secondsPerStep: null, error: failure }));
      flush();
      patch(store, 'engine', { status: 'crashed', failure });
    },
    recovered: (device) => {
      flush();
      const { engine, project } = store.getState();
      const byId = Object.fromEntries(Object.entries(store.getState().runs.byId).map(([id, run]) => [id, { ...run, live: false }]));
      patch(store, 'runs', { byId });
      store.setState({ project: { ...project, model: { ...project.model, status: 'idle', key: '' }, data: { ...project.data, status: 'idle', key: '' } } });
      store.setState({ engine: { ...engine, status: 'ready', device, failure: null, progress: null } });
    },
    update: (id, change) => {
      update(id, (run) => {
        const next = change(run);
        if (next.recovery && !run.recovery) lostAt.set(id, clock.now());
        return next;
      });
      flush();
    },
    expect: (run) => {
      pending = run;
    },
    adopt,
    abandon: (before) => {
      pending = null;
      if (before) update(before.id, () => before);
      const kept = runs().order.filter((id) => runs().byId[id]?.status !== 'preparing');
      if (kept.length < runs().order.length) {
        gathered = { byId: Object.fromEntries(kept.map((id) => [id, runs().byId[id] as RunRecord])), order: kept, selected: kept.at(-1) ?? null };
      }
      flush();
    },
    answer: (id, sample) => {
      update(id, (run) => ({ ...run, own: [...run.own, sample] }));
      // Whoever asked looks at once.
      flush();
    },
    select: (run) => {
      flush();
      patch(store, 'runs', { selected: run });
    },
    flush,
  };
}
