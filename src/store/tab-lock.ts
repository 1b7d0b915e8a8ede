// One tab trains a run at a time: the tab holds a lock of the browser under the run's id, which falls when the tab is gone, however.
import type { RunId } from './contract';
import { activeRun } from './slices/runs';
import type { StudioStore } from './studio';

const lockOf = (run: RunId) => `lowrank run ${run}`;
const locks = () => (typeof navigator === 'undefined' ? undefined : navigator.locks);

/** Holds the lock of whichever run trains here. */
export function lockRuns(store: StudioStore): void {
  let held: RunId | null = null;
  let release = () => {};
  store.subscribe((state) => {
    const run = activeRun(state.runs)?.id ?? null;
    if (run === held) return;
    release();
    held = run;
    if (run !== null) void locks()?.request(lockOf(run), () => new Promise<void>((done) => { release = done; })).catch(() => {});
  });
}

export async function trainsElsewhere(run: RunId): Promise<boolean> {
  const held = (await locks()?.query())?.held ?? [];
  return held.some((lock) => lock.name === lockOf(run));
}
