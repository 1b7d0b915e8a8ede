// The learning rate over the run, as the schedule sets it.
import { useStudio } from '../context';
import { count } from '../format';
import { linearTicks } from '../charts/ticks';
import { strings } from '../strings';
import { plannedCurve } from './schedule';

const HEIGHT = 66;

export function SchedulePlot() {
  const training = useStudio((state) => state.project.draft.training);
  const { x, y } = plannedCurve(training, 0, 120);
  const px = (step: number) => (1000 * step) / training.steps;
  const path = x.map((step, i) => `${i ? 'L' : 'M'}${px(step).toFixed(1)} ${(HEIGHT - 4 - (HEIGHT - 10) * ((y[i] as number) / training.lr)).toFixed(1)}`).join('');
  const ticks = linearTicks(0, training.steps, 4);
  return (
    <div className="sched" role="img" aria-label={strings.build.schedule}>
      <span className="sched-y at-max">{strings.build.max}</span>
      <span className="sched-y at-zero">0</span>
      <div className="sched-plot">
        <svg viewBox={`0 0 1000 ${HEIGHT}`} preserveAspectRatio="none" aria-hidden="true">
          <path d={`M0 6H1000M0 ${HEIGHT - 4}H1000`} stroke="var(--line-2)" vectorEffect="non-scaling-stroke" />
          <path d={path} fill="none" stroke="var(--text)" strokeWidth="1.4" vectorEffect="non-scaling-stroke" />
        </svg>
        {ticks.map((at) => <span key={at} className="hist-tick" style={{ left: `${px(at) / 10}%` }}>{count(at)}</span>)}
      </div>
    </div>
  );
}
