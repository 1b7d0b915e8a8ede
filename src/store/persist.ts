// What outlives a visit: how the page is looked at, in local storage. The setup itself lives in the address.
import type { LayoutSlice } from './slices/layout';
import type { StudioStore } from './studio';

const KEY = 'lowrank.layout';

/** The kept layout; storage may be blocked or hold something else, then nothing is kept. */
export function keptLayout(storage: Pick<Storage, 'getItem'> | undefined): Partial<LayoutSlice> {
  try {
    const kept = JSON.parse(storage?.getItem(KEY) ?? '{}') as Partial<LayoutSlice>;
    const layout: Partial<LayoutSlice> = {};
    if (kept.theme === 'dark' || kept.theme === 'light') layout.theme = kept.theme;
    if (typeof kept.smoothing === 'number' && kept.smoothing >= 0 && kept.smoothing < 1) layout.smoothing = kept.smoothing;
    if (typeof kept.logLoss === 'boolean') layout.logLoss = kept.logLoss;
    if (typeof kept.notify === 'boolean') layout.notify = kept.notify;
    return layout;
  } catch {
    return {};
  }
}

/** Writes the layout whenever it changes. The theme is kept only once the user chose one. */
export function keepLayout(store: StudioStore, storage: Pick<Storage, 'setItem'> | undefined): () => void {
  const first = store.getState().layout.theme;
  let chosen = false;
  return store.subscribe((state, before) => {
    if (state.layout === before.layout) return;
    chosen ||= state.layout.theme !== first;
    const { theme, smoothing, logLoss, notify } = state.layout;
    try {
      storage?.setItem(KEY, JSON.stringify(chosen ? { theme, smoothing, logLoss, notify } : { ...keptTheme(storage), smoothing, logLoss, notify }));
    } catch {
      // Storage is full or blocked: the page works without it.
    }
  });
}

function keptTheme(storage: Pick<Storage, 'setItem'> & Partial<Pick<Storage, 'getItem'>>): { theme?: string } {
  const kept = keptLayout(storage.getItem ? { getItem: (key) => storage.getItem?.(key) ?? null } : undefined);
  return kept.theme ? { theme: kept.theme } : {};
}
