// Runs that wait for their turn: the arms of a comparison, trained one after the other.
import type { Failure, RunConfig } from '../contract';
import type { ProjectSlice } from './project';
import type { RunRecord } from './runs';

export interface QueueItem { config: RunConfig; labels: RunRecord['labels']; facts: RunRecord['facts']; tags: readonly string[] }

export interface QueueSlice {
  /** What the runs are tagged with. */
  name: string;
  state: 'idle' | 'running' | 'paused';
  items: readonly QueueItem[];
  /** Runs it began with. */
  total: number;
  /** Runs that did not start, and why; the others go on. */
  failed: readonly { name: string; failure: Failure }[];
}

export const initialQueue: QueueSlice = { name: '', state: 'idle', items: [], total: 0, failed: [] };

export const queueRuns = (queue: QueueSlice) => queue.state === 'running' && queue.items.length > 0;

/** Whether what is loaded is what a run wants. */
export function loadedFor({ model, data }: ProjectSlice, config: RunConfig): boolean {
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  return model.status === 'ready' && data.status === 'ready' && same(model.good, config.model) && same(data.good, config.data);
}

/** The queue is about to start its next run on what is loaded: nothing else may be loaded now. */
export function queueHolds(queue: QueueSlice, project: ProjectSlice): boolean {
  const next = queue.items[0];
  return queue.state === 'running' && next !== undefined && loadedFor(project, next.config);
}
