// Versions of the MetricLog, by run: whoever draws numbers subscribes to the version and reads the log.
import type { RunId } from '../contract';

export interface MetricsSlice { version: Readonly<Record<RunId, number>> }

export const initialMetrics: MetricsSlice = { version: {} };

export function bumped(metrics: MetricsSlice, runs: Iterable<RunId>): MetricsSlice {
  const version = { ...metrics.version };
  for (const run of runs) version[run] = (version[run] ?? 0) + 1;
  return { version };
}
