// A run as it lies in storage, and the way back. What was written by another version, or damaged, is refused by name; nobody deletes it.
import * as z from 'zod/mini';
import { parseRunConfig } from '../training/config';
import type { KeptLog } from './metric-log';
import { isActive, type RunRecord } from './slices/runs';

const FORMAT = 'lowrank-run-1';

const number = z.number();
const step = z.int().check(z.minimum(0));
const failure = z.object({ name: z.string(), message: z.string(), hint: z.string() });
const sample = z.object({ prompt: z.string(), off: z.string(), on: z.string(), step });
const record = z.object({
  id: z.string().check(z.minLength(1)), name: z.string(), config: z.unknown(), labels: z.object({ method: z.string(), model: z.string(), data: z.string() }),
  status: z.enum(['preparing', 'running', 'paused', 'finished', 'stopped', 'failed']), step, seconds: z.nullable(number), tokensPerSecond: z.nullable(number),
  samples: z.array(sample), own: z.array(sample), scores: z._default(z.array(z.custom<RunRecord['scores'][number]>()), []), looks: z._default(z.array(z.custom<RunRecord['looks'][number]>()), []), notes: z.array(z.object({ step, text: z.string() })), phases: z.array(z.object({ name: z.string(), from: step, steps: step })),
  error: z.nullable(failure), created: number, facts: z.nullable(z.object({ trainable: number, peakBytes: number, flopsPerStep: number })), tags: z.array(z.string()), remark: z.string(),
  interrupted: z.boolean(), saved: z.nullable(z.object({ step, bytes: number, problem: z.nullable(z.string()) })),
});
const floats = z.custom<Float32Array>((value) => value instanceof Float32Array, 'not a column of numbers');
const log = z.object({
  length: step, columns: z.record(z.string(), floats), evals: z.object({ steps: z.array(step), losses: z.array(number) }), times: z.object({ steps: z.array(step), seconds: z.array(number) }),
  snapshots: z.record(z.string(), z.array(z.object({ step, data: z.object({ rows: z.array(z.string()), columns: step, values: floats }) }))),
});
const kept = z.object({ format: z.literal(FORMAT), record, log, trashed: z.boolean() });

export type KeptRun = z.infer<typeof kept>;

export function keptRun(run: RunRecord, numbers: KeptLog, trashed = false): KeptRun {
  const { live: _live, secondsPerStep: _pace, secondsBefore: _before, recovery: _recovery, samples, own, scores, looks, notes, phases, tags, error, ...plain } = run;
  const plainError = error && { name: error.name, message: error.message, hint: error.hint };
  return { format: FORMAT, trashed, log: numbers, record: { ...plain, error: plainError, samples: [...samples], own: [...own], scores: [...scores], looks: [...looks], notes: [...notes], phases: [...phases], tags: [...tags] } };
}

/** The run of an entry; throws a sentence that names the first wrong place. */
export function readKept(entry: unknown): { run: RunRecord; log: KeptLog; trashed: boolean } {
  const format = (entry as { format?: unknown } | null)?.format;
  if (format !== FORMAT) throw new Error(`written in another format: ${JSON.stringify(format ?? null)}, this version reads ${FORMAT}`);
  const result = kept.safeParse(entry);
  if (!result.success) {
    const issue = result.error.issues[0] as z.core.$ZodIssue;
    throw new Error(`${issue.path.join('.')}: ${issue.message}`);
  }
  const { record: from, log: numbers, trashed } = result.data;
  const short = Object.entries(numbers.columns).find(([, column]) => column.length !== numbers.length);
  if (short) throw new Error(`log.columns.${short[0]}: ${short[1].length} values for ${numbers.length} steps`);
  const interrupted = from.interrupted || isActive(from.status);
  const run: RunRecord = {
    ...from, config: parseRunConfig(from.config), status: isActive(from.status) ? 'stopped' : from.status, interrupted,
    live: false, secondsPerStep: null, secondsBefore: 0, recovery: null,
  };
  return { run, log: numbers, trashed };
}
