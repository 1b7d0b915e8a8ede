// What a run tells whoever started it. Plain data.
import type { Failure } from '../util/errors';
import type { HeatmapData } from './card';
import type { Metrics } from './tasks';

export type RunStatus = 'preparing' | 'running' | 'paused' | 'finished' | 'stopped' | 'failed';
/** The same prompt written with adapters off and on, same seed. */
export interface SampleResult { prompt: string; off: string; on: string; step: number }

/** A picture as it is drawn: rgba, 4 · width · height bytes. */
export interface Picture { width: number; height: number; rgba: Uint8ClampedArray<ArrayBuffer> }
/** What stands in a held-out row: its text, or two, its words, or its picture and the name of its file. */
export interface Shown { name?: string; text?: string; second?: string; words?: string[]; picture?: Picture }
/** A held-out row by its number, and its loss in nats. */
export interface RowInsight {
  row: number;
  loss: number;
  /** Of classification: the class wanted, the class given, and the probability of the latter. */
  wanted?: string;
  given?: string;
  share?: number;
  /** Of what belongs together: the cosine of the two, and the place of the second, from 1, among those of all rows by their cosine with the first. */
  cosine?: number;
  rank?: number;
  /** Of words: the tag wanted of each that the model reads, and the tag given. */
  tags?: { wanted: string[]; given: string[] };
}

export type RunEvent =
  | { kind: 'status'; status: RunStatus; step: number }
  | { kind: 'phase'; name: string; steps: number; from: number }
  /** Columns: `values[i * series.length + j]` is series j at step `from + i`. Steps count from 1. */
  | { kind: 'metrics'; from: number; series: string[]; values: Float32Array; seconds: number; tokensPerSecond: number }
  /** `metrics`: those that the task names in tasks.ts. */
  | { kind: 'eval'; step: number; loss: number; metrics: Metrics }
  /** Every held-out row that an evaluation looks at, in their order, and what stands in the best, the worst and an even spread of them. */
  | { kind: 'insights'; step: number; rows: RowInsight[]; shown: Record<number, Shown> }
  | { kind: 'sample'; sample: SampleResult }
  | { kind: 'view'; id: string; step: number; data: HeatmapData }
  | { kind: 'note'; step: number; text: string }
  | { kind: 'ended'; reason: 'finished' | 'stopped' | 'failed'; step: number; seconds: number; error?: Failure };
