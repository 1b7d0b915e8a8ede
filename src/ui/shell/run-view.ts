// Small readings of a run that several places show.
import { tasks } from '../../store/contract';
import type { MetricLog } from '../../store/metric-log';
import { type RunRecord, totalSteps } from '../../store/slices/runs';

/** Names of the series that every run reports. */
export const SERIES = { loss: 'loss', lr: 'lr', norm: 'grad_norm' } as const;

/** The newest validation loss, or null before the first. */
export function lastValidation(log: MetricLog, run: string): number | null {
  return log.evals(run).losses.at(-1) ?? null;
}

/** Seconds until the last step at the pace measured now; null where nothing was measured. */
export function secondsLeft(run: RunRecord): number | null {
  return run.secondsPerStep === null || run.status !== 'running' ? null : run.secondsPerStep * (totalSteps(run) - run.step);
}

/** What the rate of a run counts, as a word of strings.train. */
export const rateUnit = ({ config: { task } }: RunRecord) => (tasks[task].unit === 'picture' ? 'picturesPerSecond' : 'tokensPerSecond');
