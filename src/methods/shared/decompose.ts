// Decompositions while a method prepares: their progress is the run's, and a run that is stopped ends them.
import type { DriverOptions } from '../../engine/linalg/work';
import type { Preparation } from '../../training/host';

/** Options for a driver of engine/linalg whose matrices are `before` … of `total` (default: all there are). */
export function watchedBy(host: Preparation, before = 0, total?: number): DriverOptions {
  const stop = new AbortController();
  return {
    signal: stop.signal,
    progress(done, all) {
      // Drivers do not wait for it, so what it throws reaches them by the signal.
      host.progress(before + done, total ?? all).catch((error: unknown) => stop.abort(error));
    },
  };
}
