// What page and worker say to each other: plain data and one interface of calls. Comlink carries it; errors cross as
// `Failure` {name, message, hint}. Every number here was measured or computed from shapes; a field that could not be is absent.
import type { DataSource, ModelSource, RunConfig } from '../training/config';
import type { HeatmapData, MethodCard, Plan, StepTimes } from '../training/card';
import type { RunEvent, RunStatus, SampleResult } from '../training/events';
import type { Fields } from '../training/fields';
import type { Failure } from '../util/errors';

export type { DataSource, Failure, Fields, HeatmapData, MethodCard, ModelSource, Plan, RunConfig, RunStatus, SampleResult };
export type { StepTimes, ViewSpec } from '../training/card';
export type { Field, FieldValue } from '../training/fields';
export type RunId = string;

export interface DeviceCard {
  vendor: string;
  architecture: string;
  description: string;
  /** The adapter computes on the CPU (SwiftShader, lavapipe). */
  software: boolean;
  features: string[];
  limits: Record<string, number>;
  /** Kernel families chosen on this device, by work, with the measured rate where one was measured. */
  kernels: { work: string; variant: string; gflops?: number }[];
}

/** A kernel that was chosen for some work, and why. */
export interface KernelChoice {
  family: string;
  sizes: string;
  kernel: string;
  reason: 'measured' | 'kept' | 'only';
  /** Milliseconds of every candidate that was timed on this visit. */
  times: { kernel: string; ms: number }[];
}
export interface SelfTestRow { kernel: string; shape: string; passed: boolean; /** Largest error as a share of its bound. */ error: number; ms: number; gflops: number }
/** What the engine holds on the device now. */
export interface DeviceState { bytes: number; peakBytes: number; pipelines: number; kernels: KernelChoice[] }

export interface BuiltinModel { id: string; title: string; kind: string; parameters: number; bytes: number; summary: string; licence: string }
export interface BuiltinData { id: string; title: string; format: 'text' | 'rows'; bytes: number; rows: number; summary: string; licence: string; prompt: string }

export interface SiteCard { name: string; depth: number; module: string; shape: [out: number, inn: number] }
export interface ModelCard {
  name: string;
  architecture: string;
  parameters: number;
  bytes: number;
  layers: number;
  hidden: number;
  heads: number;
  kvHeads: number;
  vocab: number;
  context: number;
  dtype: string;
  sites: SiteCard[];
}

/** One row as the model sees it. */
export interface TokenRow { tokens: string[]; /** true where the token carries loss */ loss: boolean[]; total: number; cut: number }
export interface DataCard {
  name: string;
  format: 'text' | 'rows';
  /** SHA-256 of the file, hex. */
  hash: string;
  rows: number;
  tokens: number;
  trainRows: number;
  validationRows: number;
  /** Rows longer than `seq`, which are cut at the end. */
  cutRows: number;
  /** Histogram of row lengths in tokens: `counts[i]` rows have [i·width, (i+1)·width) tokens. */
  lengths: { width: number; counts: number[] };
  preview: TokenRow[];
  /** Things worth knowing that do not stop the run, whole sentences. */
  warnings: string[];
}

export interface ExportFile { name: string; bytes: Uint8Array }
export interface ExportResult {
  files: ExportFile[];
  receipt: {
    /** Largest |logit difference| between the trained adapter and the written file attached afresh, over `tokens` tokens. */
    maxLogitDifference: number;
    /** Largest |logit difference| between adapter on and off on the same tokens: what the adapter does at all. */
    effect: number;
    tokens: number;
    bytes: number;
    sha256: string;
    modules: number;
    droppedModules: string[];
    ranks: Record<string, number>;
  };
}

export type EngineEvent =
  | { kind: 'progress'; task: string; done: number; total: number }
  | ({ run: RunId } & RunEvent)
  /** The state of a run was written to this browser's storage; or could not be, and why. */
  | { kind: 'saved'; run: RunId; step: number; bytes: number; problem?: string }
  | { kind: 'lost'; message: string };

export interface Hello { device: DeviceCard | null; failure?: Failure; methods: MethodCard[]; models: BuiltinModel[]; data: BuiltinData[] }

/** Files of a dropped folder. */
export interface NamedFile { name: string; file: File }

/** Every call of the page on the worker. A call that fails rejects with an Error whose `name`, `message` and `hint` are the Failure's. */
export interface EngineApi {
  /** First call: finds a device, self-tests, lists what there is. Never rejects for want of a device: `failure` says why. */
  hello(listener: (event: EngineEvent) => void): Promise<Hello>;
  /** Loads a model and makes it the current one. `files` for kind 'files'. */
  loadModel(source: ModelSource, files?: NamedFile[]): Promise<ModelCard>;
  /** Tokenises with the current model's tokenizer. `text` for kind 'file'. */
  loadData(source: DataSource, options: { holdout: number; seq: number; seed: number; batch?: number }, text?: string): Promise<DataCard>;
  /** Allocates nothing. Wants the model loaded; the data need not be. */
  plan(config: RunConfig): Promise<Plan>;
  /**
   * Starts training on the current model and data; resolves once it runs. `again` names a run of this or an earlier visit that is
   * to go on from its kept state, or from the beginning where none was kept.
   */
  start(config: RunConfig, again?: RunId): Promise<RunId>;
  /** Makes a run of an earlier visit whole again from its kept state, for samples and export, without training it. */
  restore(run: RunId, config: RunConfig): Promise<void>;
  /** Frees a run and deletes its kept state. */
  forget(run: RunId): Promise<void>;
  /** After the device was lost: a new one. Models, data and runs have to be loaded again. */
  recover(): Promise<DeviceCard>;
  deviceState(): Promise<DeviceState>;
  selfTest(): Promise<SelfTestRow[]>;
  /** Times steps of a setup on the current model, on parameters of their own. */
  timeStep(config: RunConfig): Promise<StepTimes>;
  pause(run: RunId): Promise<void>;
  resume(run: RunId): Promise<void>;
  /** Stops at the next step boundary and keeps the adapter. */
  stop(run: RunId): Promise<void>;
  sample(run: RunId, prompt: string, maxTokens: number, temperature: number): Promise<SampleResult>;
  /** The PEFT folder with its receipt. */
  exportPeft(run: RunId): Promise<ExportResult>;
}
