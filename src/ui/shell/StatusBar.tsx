// The foot of every screen: the engine's state, or the run that goes on while one looks elsewhere.
import { activeRun, totalSteps } from '../../store/slices/runs';
import { useApp, useStudio, useVersion } from '../context';
import { bytes, clock, count, loss, rate } from '../format';
import { strings } from '../strings';
import { lastValidation, rateUnit, secondsLeft } from './run-view';

export function StatusBar() {
  const status = useStudio((state) => state.engine.status);
  const failure = useStudio((state) => state.engine.failure);
  const progress = useStudio((state) => state.engine.progress);
  const seed = useStudio((state) => state.project.draft.training.seed);
  const word = status === 'starting' || status === 'ready' ? strings.engine[status] : (failure?.message ?? strings.engine[status]);
  return (
    <footer className="foot">
      <QueueLine />
      <RunStatusLine fallback={<span className={status === 'ready' || status === 'starting' ? 'ell' : 'danger ell'}>{word}</span>} />
      {progress && (
        <span className="row">
          {progress.task}
          <span className="track"><i style={{ width: `${(100 * progress.done) / Math.max(1, progress.total)}%` }} /></span>
          <span className="num">{Math.floor((100 * progress.done) / Math.max(1, progress.total))} %</span>
        </span>
      )}
      <span className="end">{strings.shell.seed} <span className="num">{seed}</span></span>
    </footer>
  );
}

function QueueLine() {
  const { edit } = useApp();
  const queue = useStudio((state) => state.queue);
  const active = useStudio((state) => activeRun(state.runs) !== null);
  if (queue.items.length === 0 && !(queue.total > 0 && active)) return null;
  return <button type="button" className="foot-link" onClick={() => edit.open('compare')}>{strings.shell.queue(queue.total - queue.items.length, queue.total)}</button>;
}

function RunStatusLine({ fallback }: { fallback: React.ReactNode }) {
  const { log } = useApp();
  const run = useStudio((state) => activeRun(state.runs));
  useVersion(run?.id ?? null);
  if (!run) return fallback;
  const steps = totalSteps(run);
  const validation = lastValidation(log, run.id);
  const left = secondsLeft(run);
  return (
    <>
      <span className="row"><i className={run.status === 'running' ? 'live-dot' : 'live-dot still'} />{run.name}</span>
      <span className="track"><i className={run.status === 'paused' ? 'still' : ''} style={{ width: `${(100 * run.step) / steps}%` }} /></span>
      <span>{strings.train.step.toLowerCase()} <span className="num">{count(run.step)}</span> {strings.common.of} <span className="num">{count(steps)}</span></span>
      {validation !== null && <span className="desk">{strings.train.validationShort} <span className="num">{loss(validation)}</span></span>}
      {run.tokensPerSecond !== null && <span className="desk"><span className="num">{rate(run.tokensPerSecond)}</span> {strings.train[rateUnit(run)]}</span>}
      {run.saved && <span className="desk" title={bytes(run.saved.bytes)}>{strings.train.keptAt(run.saved.step)}</span>}
      {left !== null && <span><span className="num">{clock(left)}</span> {strings.train.left}</span>}
    </>
  );
}
