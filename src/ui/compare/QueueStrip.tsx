// A comparison under way: how far it is, and pause, go on, cancel.
import { activeRun } from '../../store/slices/runs';
import { loadedFor } from '../../store/slices/queue';
import { useApp, useStudio } from '../context';
import { clock } from '../format';
import { secondsLeft } from '../shell/run-view';
import { strings } from '../strings';

const words = strings.compare.queue;

export function QueueStrip() {
  const { queue: drive } = useApp();
  const queue = useStudio((state) => state.queue);
  const run = useStudio((state) => activeRun(state.runs));
  const waits = useStudio((state) => state.queue.items[0] !== undefined && activeRun(state.runs) === null && state.queue.state === 'running' && !loadedFor(state.project, state.queue.items[0].config));
  const trains = run?.tags.includes(queue.name) ?? false;
  const waiting = queue.items.length;
  if (waiting === 0 && !trains && queue.failed.length === 0) return null;
  // The run that trains, and those that wait: each as long as this one takes by its own pace.
  const left = run && secondsLeft(run);
  const whole = run?.secondsPerStep === null || !run ? null : run.secondsPerStep * run.config.training.steps;
  const done = queue.total - waiting - (trains ? 1 : 0);
  return (
    <div className="queue-strip" data-testid="queue" role="status">
      {(waiting > 0 || trains) && (
        <>
          <i className={queue.state === 'running' ? 'live-dot' : 'live-dot still'} />
          <b>{words.progress(queue.name, queue.total - waiting, queue.total)}</b>
          <span className="track"><i className={queue.state === 'running' ? '' : 'still'} style={{ width: `${(100 * (done + (run && trains ? run.step / run.config.training.steps : 0))) / Math.max(1, queue.total)}%` }} /></span>
          {waits && <span className="hint">{words.waits}</span>}
          {left !== null && whole !== null && <span className="num hint">{words.left(clock(left + whole * waiting))}</span>}
          {queue.state === 'paused' && run === null && <span className="hint">{words.earlier}</span>}
          <span className="end">
            {queue.state === 'running' ? <button type="button" className="btn" data-testid="queue-pause" onClick={() => void drive.pause()}>{words.pause}</button> : waiting > 0 && <button type="button" className="btn" data-testid="queue-resume" onClick={() => void drive.resume()}>{words.resume}</button>}
            <button type="button" className="btn" data-testid="queue-cancel" onClick={() => void drive.cancel()}>{words.cancel}</button>
          </span>
        </>
      )}
      {queue.failed.length > 0 && <span className="danger breaks">{words.failed(queue.failed.map(({ name, failure }) => `${name} (${failure.message})`).join('; '))}</span>}
    </div>
  );
}
