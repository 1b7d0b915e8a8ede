// The keys of the whole page. They rest while one types.
import { useEffect } from 'react';
import { NUMBERED } from '../../store/slices/layout';
import { activeRun } from '../../store/slices/runs';
import { resetZoom } from '../charts/chart-state';
import { useApp } from '../context';
import { openOverlay, overlays, toggleOverlay } from './overlays';

export function useShortcuts(): void {
  const app = useApp();
  useEffect(() => {
    const { store, edit, ask } = app;
    const onKeyDown = (event: KeyboardEvent) => {
      const { layout, runs } = store.getState();
      const active = activeRun(runs);
      const command = event.metaKey || event.ctrlKey;
      if (command && event.key === 'k') {
        event.preventDefault();
        toggleOverlay('palette');
        return;
      }
      if (command && event.key === '.') {
        event.preventDefault();
        if (active) void ask.stop(active.id);
        return;
      }
      if (command && event.key === 'Enter') {
        event.preventDefault();
        void ask.train();
        return;
      }
      // Under a dialog the page itself rests.
      if (command || event.altKey || event.defaultPrevented || takesKeys(event.target) || overlays.getState().open === 'palette' || overlays.getState().open === 'arms') return;
      const panel = NUMBERED[Number(event.key) - 1];
      if (panel) edit.open(panel);
      else if (event.key === 'm') edit.open('methods');
      else if (event.key === 'p') edit.open('playground');
      else if (event.key === '/') {
        event.preventDefault();
        openOverlay('palette');
      } else if (event.key === '?') toggleOverlay('keys');
      else if (event.key === 't') edit.layout({ theme: layout.theme === 'dark' ? 'light' : 'dark' });
      else if (event.key === 'l') edit.layout({ logLoss: !layout.logLoss });
      else if (event.key === '[' || event.key === ']') edit.layout({ smoothing: clampSmoothing(layout.smoothing + (event.key === '[' ? -0.05 : 0.05)) });
      else if (event.key === '0') resetZoom();
      else if (event.key === 'j' || event.key === 'k') {
        const at = runs.order.indexOf(runs.selected ?? '') + (event.key === 'j' ? 1 : -1);
        const next = runs.order[at];
        if (next) ask.select(next);
      } else if (event.key === ' ' && active && !isButton(event.target)) {
        event.preventDefault();
        void (active.status === 'paused' ? ask.resume(active.id) : ask.pause(active.id));
      }
    };
    document.addEventListener('keydown', onKeyDown);
    return () => document.removeEventListener('keydown', onKeyDown);
  }, [app]);
}

export const clampSmoothing = (value: number) => Math.min(0.99, Math.max(0, Number(value.toFixed(2))));

const takesKeys = (target: EventTarget | null) => target instanceof HTMLElement && (target.matches('input:not([type=file]), textarea, select') || target.isContentEditable);
/** Space presses what has the focus; only elsewhere does it pause. */
const isButton = (target: EventTarget | null) => target instanceof HTMLElement && target.closest('button, a, [role=slider], [role=switch], [role=radio], [role=option]') !== null;
