// What all charts of a run share: the step under the cursor and the zoomed range.
import { createStore } from 'zustand/vanilla';

export interface ChartState {
  /** Step under the cursor of any chart, or null. */
  hover: number | null;
  /** Steps shown, or null for all. */
  zoom: readonly [number, number] | null;
  /** Step whose texts are shown, or null for the newest. */
  sample: number | null;
}

export const newChartState = () => createStore<ChartState>(() => ({ hover: null, zoom: null, sample: null }));
export const chartState = newChartState();

export const resetZoom = () => chartState.setState({ zoom: null });

/** A run begins with its own cursor, range and texts. */
export const forgetRun = () => chartState.setState({ hover: null, zoom: null, sample: null });
