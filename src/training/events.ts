// What a run tells whoever started it. Plain data.
import type { Failure } from '../util/errors';
import type { HeatmapData } from './card';

export type RunStatus = 'preparing' | 'running' | 'paused' | 'finished' | 'stopped' | 'failed';
/** The same prompt written with adapters off and on, same seed. */
export interface SampleResult { prompt: string; off: string; on: string; step: number }

export type RunEvent =
  | { kind: 'status'; status: RunStatus; step: number }
  | { kind: 'phase'; name: string; steps: number; from: number }
  /** Columns: `values[i * series.length + j]` is series j at step `from + i`. Steps count from 1. */
  | { kind: 'metrics'; from: number; series: string[]; values: Float32Array; seconds: number; tokensPerSecond: number }
  /** `metrics`: of classification: accuracy, macro_f1, mcc. */
  | { kind: 'eval'; step: number; loss: number; metrics?: { accuracy: number; macro_f1: number; mcc: number } }
  | { kind: 'sample'; sample: SampleResult }
  | { kind: 'view'; id: string; step: number; data: HeatmapData }
  | { kind: 'note'; step: number; text: string }
  | { kind: 'ended'; reason: 'finished' | 'stopped' | 'failed'; step: number; seconds: number; error?: Failure };
