// What the page does to its surroundings: title, address, theme, and asking before it is left in the middle of a run.
import { useEffect, useLayoutEffect } from 'react';
import { toHash } from '../../store/link';
import { activeRun, isActive, type RunRecord, totalSteps } from '../../store/slices/runs';
import { useApp, useStudio } from '../context';
import { loss } from '../format';
import { strings } from '../strings';
import { lastValidation } from './run-view';

export function usePage(): void {
  const { store, log, history: kept } = useApp();
  const percent = useStudio((state) => {
    const run = activeRun(state.runs);
    return run ? Math.floor((100 * run.step) / totalSteps(run)) : null;
  });
  const training = percent !== null;

  // Before anything is rendered again: canvases read their colours from it.
  useLayoutEffect(() => {
    const put = () => {
      document.documentElement.dataset.theme = store.getState().layout.theme;
    };
    put();
    return store.subscribe(put);
  }, [store]);

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

  // What waits to be written is written when the page is put away; a phone may never bring it back.
  useEffect(() => {
    const write = () => void (document.hidden && kept.flush());
    document.addEventListener('visibilitychange', write);
    addEventListener('pagehide', write);
    return () => {
      document.removeEventListener('visibilitychange', write);
      removeEventListener('pagehide', write);
    };
  }, [kept]);

  useEffect(
    () =>
      store.subscribe((state, before) => {
        if (!state.layout.notify || !document.hidden || state.runs.byId === before.runs.byId) return;
        const ended = (run: RunRecord) => !isActive(run.status) && isActive(before.runs.byId[run.id]?.status ?? run.status);
        const run = Object.values(state.runs.byId).find(ended);
        if (!run || typeof Notification === 'undefined' || Notification.permission !== 'granted') return;
        const validation = lastValidation(log, run.id);
        new Notification(strings.shell.ended(run.name, strings.train.status[run.status]), { body: strings.shell.endedBody(run.step, validation === null ? null : loss(validation)), tag: run.id });
      }),
    [store, log],
  );

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
