// What the page is told about methods and plans: plain data that crosses to the page.
import type { Fields } from './fields';

/** What a view shows; a method names the kinds it reports, the page has one component a kind. */
export type ViewSpec =
  /** Rows × columns of values; data: HeatmapData. Zero is drawn as "nothing there". */
  | { id: string; kind: 'heatmap'; title: string; rows: string; columns: string; help: string };
export interface HeatmapData {
  /** Row labels: site names. */
  rows: string[];
  /** Columns a row, e.g. the rank. */
  columns: number;
  /** Row-major [rows, columns]. */
  values: Float32Array;
}

export interface MethodCard {
  slug: string;
  name: string;
  /** One sentence on what it does. */
  summary: string;
  /** When to take it: goes on from "Good for", without a capital, with a stop. */
  goodFor: string;
  /** The equation, plain text. */
  formula: string;
  paper: { title: string; authors: string; year: number; venue: string; url: string };
  family: 'baseline' | 'low-rank' | 'sparse' | 'initialisation' | 'optimiser' | 'quantised' | 'routing' | 'other';
  /** Kinds of model it can adapt. */
  models: ('decoder' | 'encoder' | 'vit' | 'clip' | 'conv')[];
  /** It decomposes, differentiates or copies the base's own numbers: frozen weights must be kept in f32. */
  wantsF32?: true;
  /** As ordinary PEFT LoRA, without loss or by SVD; as another PEFT type; in the studio's own format; or not at all. */
  exports: 'lora-exact' | 'lora-svd' | 'peft' | 'native' | 'none';
  fields: Fields;
  /** Extra series it reports each step, with labels. */
  series: { id: string; label: string }[];
  views: ViewSpec[];
}

export interface PlanPart { part: string; bytes: number; kind: 'base' | 'adapter' }
export interface Plan {
  trainable: number;
  total: number;
  /** Trainable parameters by module name ('q_proj'). */
  byModule: { module: string; trainable: number; sites: number }[];
  /** Bytes on the GPU, by part; the sum is the peak. */
  bytes: PlanPart[];
  peakBytes: number;
  largestBuffer: number;
  flopsPerStep: number;
  dispatchesPerStep: number;
  /** Seconds for the whole run from this device's own measured rate; absent before anything was measured. */
  seconds?: number;
  secondsSource?: string;
  /** Absent when it fits; otherwise what does not fit and what to lower. */
  problem?: { message: string; hint: string };
}

/** One training step of a setup, timed on the device at hand. */
export interface StepTimes {
  /** Median and least milliseconds over `runs` steps, each waited for. */
  ms: number;
  msLeast: number;
  runs: number;
  tokensPerSecond: number;
  gflops: number;
  dispatches: number;
  /** Each kernel by itself, over and over, the dearest first; what may overlap in a step does not here. */
  kernels: KernelTime[];
  timed: 'timestamps' | 'wall clock';
  /** What this device was measured to do at most: a copy that fits in no cache, chains of multiply-adds in f32. */
  limits: { gbps: number; gflops: number };
}
export interface KernelTime {
  kernel: string;
  /** Dispatches a step. */
  count: number;
  /** Milliseconds a step. */
  ms: number;
  gflops: number;
  /** Share of the device's limits, and which of them is nearer. Absent for kernels on matrix units, whose limit is not measured, and for those that read only parts of their tensors. */
  roofline?: { share: number; bound: 'compute' | 'memory' };
}
