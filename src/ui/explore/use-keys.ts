// The explorer's own keys: R to the slider, W to the smallest cut within 1 %, A held shows the base model's text.
import { useEffect } from 'react';
import { create } from 'zustand';
import { useApp } from '../context';

/** Whether A is held. */
export const useHeld = create<{ held: boolean }>(() => ({ held: false }));
export const SLIDER = 'cut-slider';
export const SMALLEST_WITHIN = 0.01;

export function useKeys(): void {
  const { explore } = useApp();
  useEffect(() => {
    const typing = (target: EventTarget | null) => target instanceof HTMLElement && (target.matches('input:not([type=range]):not([type=file]), textarea, select') || target.isContentEditable);
    const onDown = (event: KeyboardEvent) => {
      if (event.metaKey || event.ctrlKey || event.altKey || event.repeat || typing(event.target)) return;
      if (event.key === 'r') document.getElementById(SLIDER)?.focus();
      else if (event.key === 'w') void explore.smallest(SMALLEST_WITHIN);
      else if (event.key === 'a') useHeld.setState({ held: true });
    };
    const onUp = (event: KeyboardEvent) => {
      if (event.key === 'a') useHeld.setState({ held: false });
    };
    const onBlur = () => useHeld.setState({ held: false });
    document.addEventListener('keydown', onDown);
    document.addEventListener('keyup', onUp);
    addEventListener('blur', onBlur);
    return () => {
      document.removeEventListener('keydown', onDown);
      document.removeEventListener('keyup', onUp);
      removeEventListener('blur', onBlur);
    };
  }, [explore]);
}
