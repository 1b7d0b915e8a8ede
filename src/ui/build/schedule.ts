// The learning rate that a schedule asks for, step by step: for drawing what is ahead, never for what was. The page holds no
// engine code, so the rule stands here a second time; a test holds it to the engine's.
import type { TrainingConfig } from '../../store/contract';

/** Rate of step `step`, counted from 1. */
export function plannedRate({ lr, schedule, warmup, steps }: Pick<TrainingConfig, 'lr' | 'schedule' | 'warmup' | 'steps'>, step: number): number {
  if (step <= warmup) return (lr * step) / Math.max(1, warmup);
  if (schedule === 'constant') return lr;
  // The first step after the warm-up still takes the whole rate; the one after the last would take none.
  const done = Math.min(1, Math.max(0, (step - 1 - warmup) / Math.max(1, steps - warmup)));
  return schedule === 'linear' ? lr * (1 - done) : (lr * (1 + Math.cos(Math.PI * done))) / 2;
}

/** About `points` steps from `from` to the end, with the corner of the warm-up always among them. */
export function plannedCurve(training: TrainingConfig, from: number, points: number): { x: number[]; y: number[] } {
  const { steps, warmup } = training;
  const stride = Math.max(1, Math.ceil((steps - from) / points));
  const x: number[] = [];
  for (let step = from; step < steps; step += stride) x.push(step);
  x.push(steps);
  if (warmup > from && warmup < steps && !x.includes(warmup)) x.push(warmup);
  x.sort((a, b) => a - b);
  return { x, y: x.map((step) => plannedRate(training, step)) };
}
