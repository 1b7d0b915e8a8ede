// What a screen reader hears of a run: at most one sentence every ten seconds.
import { useEffect, useState } from 'react';
import { activeRun, totalSteps } from '../../store/slices/runs';
import { useApp } from '../context';
import { loss } from '../format';
import { strings } from '../strings';
import { lastValidation, SERIES } from './run-view';

const EVERY = 10_000;

export function LiveRegion() {
  const { store, log } = useApp();
  const [said, setSaid] = useState('');
  useEffect(() => {
    const timer = setInterval(() => {
      const run = activeRun(store.getState().runs);
      if (!run) return;
      const value = log.last(run.id, SERIES.loss);
      const validation = lastValidation(log, run.id);
      setSaid(strings.shell.live(run.step, totalSteps(run), value === undefined ? null : loss(value), validation === null ? null : loss(validation)));
    }, EVERY);
    return () => clearInterval(timer);
  }, [store, log]);
  return <p className="vh" role="status" aria-live="polite">{said}</p>;
}
