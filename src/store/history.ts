// Runs that outlive a visit: read when the page opens, written as they change. Numbers of a run that trains are written every few
// seconds; its state, from which it can go on, is the worker's business.
import { parseRunConfig } from '../training/config';
import type { HistoryBox } from './history-box';
import { keptRun, readKept } from './kept-run';
import type { MetricLog } from './metric-log';
import { initialQueue, type QueueSlice } from './slices/queue';
import { isActive, type RunRecord } from './slices/runs';
import { patch, type StudioStore } from './studio';
import type { RunId } from './contract';

/** Rest before a change is written: numbers of a run that trains come all the time, words are typed letter by letter, and what the
 *  page says of a run's life must be true after a reload. */
const WRITE_MS = { numbers: 4000, words: 250, life: 0 };

/** Runs of earlier visits that are drawn at once. */
const DRAWN = 6;

export interface History {
  /** Reads what earlier visits left, and keeps from then on. Resolves with the ids that were deleted for good meanwhile. */
  open(): Promise<RunId[]>;
  /** Writes all that waits, now. */
  flush(): Promise<void>;
  /** Deletes an entry for good. */
  remove(key: string): Promise<void>;
}

export function keepHistory(store: StudioStore, log: MetricLog, openBox: () => Promise<HistoryBox>): History {
  let box: HistoryBox | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let due = Number.POSITIVE_INFINITY;
  let writing = Promise.resolve();
  const dirty = new Set<RunId>();
  let queueDirty = false;
  /** The problem shown is one of writing, which the next write that goes well ends; one of reading stays. */
  let notWritten = false;

  const problem = (error: unknown) => patch(store, 'history', { problem: error instanceof Error ? error.message : String(error) });
  const write = async () => {
    due = Number.POSITIVE_INFINITY;
    const ids = [...dirty];
    dirty.clear();
    const { runs, history, queue } = store.getState();
    try {
      for (const id of ids) {
        const trashed = history.trash[id];
        const run = trashed?.run ?? runs.byId[id];
        if (run) await box?.put(id, keptRun(run, log.kept(id), trashed !== undefined));
      }
      if (queueDirty) await box?.putQueue(queue);
      queueDirty = false;
      if (notWritten) patch(store, 'history', { problem: null });
      notWritten = false;
    } catch (error) {
      notWritten = true;
      problem(error);
    }
    await lookAtRoom(store);
  };
  const flush = () => {
    clearTimeout(timer);
    writing = writing.then(write);
    return writing;
  };
  const schedule = (rest: number) => {
    const at = Date.now() + rest;
    if (at >= due) return;
    due = at;
    clearTimeout(timer);
    timer = setTimeout(() => void flush(), rest);
  };
  const watch = () =>
    store.subscribe((state, before) => {
      const touch = (id: RunId, run: RunRecord | undefined) => {
        dirty.add(id);
        const was = before.runs.byId[id];
        const lives = run !== undefined && (was?.status !== run.status || was.saved !== run.saved);
        schedule(lives ? WRITE_MS.life : run && isActive(run.status) ? WRITE_MS.numbers : WRITE_MS.words);
      };
      if (state.runs.byId !== before.runs.byId) for (const [id, run] of Object.entries(state.runs.byId)) if (run !== before.runs.byId[id]) touch(id, run);
      if (state.metrics.version !== before.metrics.version) for (const [id, version] of Object.entries(state.metrics.version)) if (version !== before.metrics.version[id]) touch(id, state.runs.byId[id]);
      if (state.history.trash !== before.history.trash) for (const id of Object.keys(state.history.trash)) if (!before.history.trash[id]) touch(id, undefined);
      if (state.queue !== before.queue) {
        queueDirty = true;
        schedule(WRITE_MS.words);
      }
    });

  return {
    open: async () => {
      try {
        box = await openBox();
      } catch (error) {
        patch(store, 'history', { status: 'unavailable' });
        problem(error);
        return [];
      }
      const gone: RunId[] = [];
      const found: RunRecord[] = [];
      const unreadable = [];
      try {
        for (const { key, value } of await box.all()) {
          try {
            const kept = readKept(value);
            if (kept.trashed) {
              gone.push(key);
              continue;
            }
            log.restore(kept.run.id, kept.log);
            found.push(kept.run);
          } catch (error) {
            unreadable.push({ key, problem: (error as Error).message, raw: value });
          }
        }
        const left = readQueue(await box.queue());
        if (left) patch(store, 'queue', left);
      } catch (error) {
        problem(error);
      }
      found.sort((a, b) => a.created - b.created);
      const { runs, metrics } = store.getState();
      store.setState({
        runs: { byId: { ...Object.fromEntries(found.map((run) => [run.id, run])), ...runs.byId }, order: [...found.map((run) => run.id), ...runs.order], selected: runs.selected ?? found.at(-1)?.id ?? null },
        metrics: { version: { ...Object.fromEntries(found.map((run) => [run.id, 1])), ...metrics.version } },
      });
      // Old runs are there, but not drawn over the new ones until asked for.
      patch(store, 'layout', { hiddenRuns: [...store.getState().layout.hiddenRuns, ...found.slice(0, -DRAWN).map((run) => run.id)] });
      patch(store, 'history', { status: 'ready', unreadable });
      watch();
      for (const id of gone) await box.remove(id).catch(problem);
      await lookAtRoom(store);
      return gone;
    },
    flush,
    remove: async (key) => {
      dirty.delete(key);
      await writing;
      await box?.remove(key).catch(problem);
      patch(store, 'history', { unreadable: store.getState().history.unreadable.filter((entry) => entry.key !== key) });
      await lookAtRoom(store);
    },
  };
}

/** What a visit before left in the queue, paused: it goes on when the user says so. */
function readQueue(value: unknown): QueueSlice | null {
  const queue = value as QueueSlice | undefined;
  if (!queue || !Array.isArray(queue.items) || queue.items.length === 0) return null;
  // A setup that this version does not take would fail at its turn; better now, by name.
  const items = queue.items.map((item) => ({ ...item, config: parseRunConfig(item.config) }));
  return { ...initialQueue, ...queue, items, state: 'paused' };
}

/** How much of the browser's room the origin uses, where the browser says. */
export async function lookAtRoom(store: StudioStore): Promise<void> {
  try {
    const { usage, quota } = await navigator.storage.estimate();
    const persisted = await navigator.storage.persisted();
    if (usage !== undefined && quota !== undefined) patch(store, 'history', { room: { used: usage, quota, persisted } });
  } catch {
    // Not every browser says.
  }
}
