// How the comparison is looked at: kept while the page is open, shared by its panes.
import { createStore } from 'zustand/vanilla';
import { newChartState } from '../charts/chart-state';

export type XAxis = 'step' | 'time' | 'flops';
export type Cost = 'trainable' | 'memory' | 'time';

export const compareState = createStore<{ axis: XAxis; cost: Cost; log: boolean; onlyDifferences: boolean; together: boolean; tag: string }>(() => ({ axis: 'step', cost: 'trainable', log: false, onlyDifferences: true, together: true, tag: '' }));

/** The cursor of the curves here; on steps they share the one of Train only in kind. */
export const compareCharts = newChartState();
