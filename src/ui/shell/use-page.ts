// What the page does to its surroundings: title, address, theme, and asking before it is left in the middle of a run.
import { useEffect } from 'react';
import { toHash } from '../../store/link';
import { activeRun, totalSteps } from '../../store/slices/runs';
import { useApp, useStudio } from '../context';
import { strings } from '../strings';

export function usePage(): void {
  const { store } = useApp();
  const theme = useStudio((state) => state.layout.theme);
  const percent = useStudio((state) => {
    const run = activeRun(state.runs);
    return run ? Math.floor((100 * run.step) / totalSteps(run)) : null;
  });
  const training = percent !== null;

  useEffect(() => {
    document.documentElement.dataset.theme = theme;
  }, [theme]);

  useEffect(() => {
    document.title = percent === null ? strings.common.name : strings.shell.title(percent);
  }, [percent]);

  useEffect(() => {
    if (!training) return;
    const guard = (event: BeforeUnloadEvent) => {
      event.preventDefault();
      // Older browsers show their question only when a value is returned.
      event.returnValue = strings.shell.leaving;
    };
    addEventListener('beforeunload', guard);
    return () => removeEventListener('beforeunload', guard);
  }, [training]);

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const write = () => history.replaceState(null, '', toHash(store.getState().project.draft));
    const unsubscribe = store.subscribe((state, before) => {
      if (state.project.draft === before.project.draft) return;
      clearTimeout(timer);
      // Browsers refuse an address that changes with every pixel of a slider.
      timer = setTimeout(write, 300);
    });
    return () => {
      clearTimeout(timer);
      unsubscribe();
    };
  }, [store]);
}
