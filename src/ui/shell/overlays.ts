// What lies over the page: one at a time, opened from buttons, keys and the palette alike.
import { createStore } from 'zustand/vanilla';

export type Overlay = 'palette' | 'keys' | 'device' | 'arms';

export const overlays = createStore<{ open: Overlay | null; /** Methods that a new comparison begins with. */ arms: readonly string[] }>(() => ({ open: null, arms: [] }));
export const openOverlay = (open: Overlay | null) => overlays.setState({ open });
export const toggleOverlay = (overlay: Overlay) => openOverlay(overlays.getState().open === overlay ? null : overlay);
/** For a popover or dialog that opens and closes itself. */
export const overlayChange = (overlay: Overlay) => (open: boolean) => openOverlay(open ? overlay : null);
