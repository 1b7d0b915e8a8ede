// How the explorer's components reach its session.
import { useStore } from 'zustand';
import type { ExploreState } from '../../store/explore';
import { useApp } from '../context';

export function useExplore<T>(selector: (state: ExploreState) => T): T {
  return useStore(useApp().explore.store, selector);
}
