// How components reach the store, the log and the asks.
import { createContext, useContext } from 'react';
import { useStore } from 'zustand';
import { useShallow } from 'zustand/react/shallow';
import type { StudioApp } from '../store/app';
import type { RunRecord } from '../store/slices/runs';
import type { StudioState } from '../store/studio';

export const AppContext = createContext<StudioApp | null>(null);

export function useApp(): StudioApp {
  const app = useContext(AppContext);
  if (!app) throw new Error('useApp: no StudioApp above this component');
  return app;
}

export function useStudio<T>(selector: (state: StudioState) => T): T {
  return useStore(useApp().store, selector);
}

/** For selectors that build a new array or object each time: equal parts, no render. */
export function useShallowStudio<T>(selector: (state: StudioState) => T): T {
  return useStore(useApp().store, useShallow(selector));
}

export function useSelectedRun(): RunRecord | null {
  return useStudio((state) => (state.runs.selected === null ? null : (state.runs.byId[state.runs.selected] ?? null)));
}

/** Renders again when numbers of this run came; read them from `useApp().log`. */
export function useVersion(run: string | null): number {
  return useStudio((state) => (run === null ? 0 : (state.metrics.version[run] ?? 0)));
}
