// How the page is looked at: nothing here changes what is trained.
export const PANELS = ['build', 'train', 'explore', 'compare', 'export', 'methods', 'playground'] as const;
export type Panel = (typeof PANELS)[number];
/** Reached by their numbers, the others by a letter. */
export const NUMBERED = PANELS.filter((panel) => panel !== 'methods' && panel !== 'playground');

export interface LayoutSlice {
  panel: Panel;
  theme: 'dark' | 'light';
  /** Weight of the past in the smoothed loss, 0 to 0.99. */
  smoothing: number;
  logLoss: boolean;
  /** Other runs drawn over the chosen one are hidden when listed here. */
  hiddenRuns: readonly string[];
  /** A notice of the system when a run ends while one looks elsewhere. */
  notify: boolean;
}

export const initialLayout: LayoutSlice = { panel: 'build', theme: 'dark', smoothing: 0.9, logLoss: false, hiddenRuns: [], notify: false };
