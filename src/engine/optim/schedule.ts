// Learning-rate schedules as shares of the peak rate. Host code, double precision.
export type ScheduleKind = 'constant' | 'linear' | 'cosine';

/**
 * Share of the peak learning rate at `step` (from 1) of `steps`: linear warm-up over `warmup` steps (the first step already
 * moves), then constant, linear to zero, or half a cosine to zero. The last step still has a share above zero.
 */
export function scheduleShare(kind: ScheduleKind, step: number, steps: number, warmup: number): number {
  if (step <= warmup) return step / warmup;
  if (kind === 'constant') return 1;
  const done = (step - 1 - warmup) / Math.max(1, steps - warmup);
  return kind === 'linear' ? 1 - done : 0.5 * (1 + Math.cos(Math.PI * done));
}
