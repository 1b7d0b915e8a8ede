// The one store of the page: nine slices, and who writes each.
// engine, runs and metrics: connect.ts, from events; history.ts what earlier visits left. queue: queue.ts. project's results and artifacts: the asks in commands.ts and reconcile.ts.
// sources: the asks in commands.ts. project's draft and layout: the user, through edits.ts.
import { createStore, type StoreApi } from 'zustand/vanilla';
import type { RunConfig } from './contract';
import { type ArtifactsSlice, initialArtifacts } from './slices/artifacts';
import { type EngineSlice, initialEngine } from './slices/engine';
import { type HistorySlice, initialHistory } from './slices/history';
import { initialLayout, type LayoutSlice } from './slices/layout';
import { initialMetrics, type MetricsSlice } from './slices/metrics';
import { initialProject, type ProjectSlice } from './slices/project';
import { initialQueue, type QueueSlice } from './slices/queue';
import { initialRuns, type RunsSlice } from './slices/runs';
import { initialSources, type SourcesSlice } from './slices/sources';

export interface StudioState {
  engine: EngineSlice;
  project: ProjectSlice;
  runs: RunsSlice;
  metrics: MetricsSlice;
  artifacts: ArtifactsSlice;
  sources: SourcesSlice;
  history: HistorySlice;
  queue: QueueSlice;
  layout: LayoutSlice;
}
export type StudioStore = StoreApi<StudioState>;

export function createStudioStore(start: { draft?: RunConfig; layout?: Partial<LayoutSlice> } = {}): StudioStore {
  return createStore<StudioState>(() => ({
    engine: initialEngine,
    project: initialProject(start.draft),
    runs: initialRuns,
    metrics: initialMetrics,
    artifacts: initialArtifacts,
    sources: initialSources,
    history: initialHistory,
    queue: initialQueue,
    layout: { ...initialLayout, ...start.layout },
  }));
}

/** Replaces part of one slice. */
export function patch<K extends keyof StudioState>(store: StudioStore, slice: K, change: Partial<StudioState[K]>): void {
  store.setState((state) => ({ [slice]: { ...state[slice], ...change } }) as Pick<StudioState, K>);
}
