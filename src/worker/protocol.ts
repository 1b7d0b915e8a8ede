// What page and worker say to each other: plain data and one interface of calls. Comlink carries it; errors cross as
// `Failure` {name, message, hint}. Every number here was measured or computed from shapes; a field that could not be is absent.
import type { DataSource, ModelSource, RunConfig } from '../training/config';
import type { HeatmapData, MethodCard, Plan, StepTimes } from '../training/card';
import type { ExploreApi, ExportFormat, ExportRequest } from '../training/explore-card';
import type { Picture, RunEvent, RunStatus, SampleResult, Shown } from '../training/events';
import type { Fields } from '../training/fields';
import type { TaskName } from '../training/tasks';
import type { Failure } from '../util/errors';
import type { WeightKind } from '../util/packed';

export type { DataSource, Failure, Fields, HeatmapData, MethodCard, ModelSource, Plan, RunConfig, RunStatus, SampleResult };
export type { StepTimes, ViewSpec } from '../training/card';
export type { Cut } from '../training/cut';
export type {
  CutTexts, ExploreCard, ExploreSource, ExploredModule, ExportDtype, ExportFormat, ExportRequest, Measured, ModuleDetail, OverlapCard, SiteOverlap,
} from '../training/explore-card';
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
/** A fast kernel after its trial against the plain one of its family; 'plain' is that one itself. One that failed is off on this device. */
export interface GateRow { family: string; kernel: string; outcome: 'passed' | 'failed' | 'plain'; reason?: string }
export interface SelfTest { products: SelfTestRow[]; gates: GateRow[] }
/** What the engine holds on the device now, and the kernels that it runs there; `off`: those that failed their trial, and how. */
export interface DeviceState { bytes: number; peakBytes: number; pipelines: number; kernels: KernelChoice[]; off: { kernel: string; reason: string }[] }

export interface BuiltinModel {
  id: string;
  title: string;
  kind: string;
  parameters: number;
  bytes: number;
  summary: string;
  licence: string;
}
export interface BuiltinData { id: string; title: string; format: 'text' | 'rows' | 'pictures'; bytes: number; rows: number; summary: string; licence: string; prompt: string }

export interface SiteCard { name: string; depth: number; module: string; shape: [out: number, inn: number] }
export interface ModelCard {
  name: string;
  /** What methods say they adapt. */
  kind: MethodCard['models'][number];
  /** What its checkpoint was made for. */
  task: TaskName;
  architecture: string;
  parameters: number;
  bytes: number;
  layers: number;
  hidden: number;
  heads: number;
  kvHeads: number;
  vocab: number;
  context: number;
  /** In the file, and as the frozen weights are kept here. */
  dtype: string;
  weights: WeightKind;
  sites: SiteCard[];
  /** What an adapter of this model can be written as. */
  formats: ExportFormat[];
}

/** One row as the model sees it. */
export interface TokenRow { tokens: string[]; /** true where the token carries loss */ loss: boolean[]; total: number; cut: number }
export type DataForm = 'text' | 'pair' | 'chat' | 'label' | 'pair-label' | 'picture-label' | 'picture-caption' | 'text-pair' | 'tagged-words';
export type Columns = NonNullable<RunConfig['columns']>;
/** What src/data/dataset.ts says of a data set. */
export interface DataCard {
  name: string;
  format: 'text' | 'rows' | 'pictures';
  form: DataForm;
  /** SHA-256 of the file, hex. */
  hash: string;
  /** SHA-256 of every token, its loss and its side of the split. */
  tokensHash: string;
  /** All columns of the file, the ones in use, and its first rows. */
  columns: string[];
  used: Columns;
  cells: string[][];
  rows: number;
  tokens: number;
  trainRows: number;
  validationRows: number;
  testRows: number;
  /** Rows longer than `seq`, which are cut at the end, and the tokens lost by it. */
  cutRows: number;
  cutTokens: number;
  /** Training rows as they are and packed, and the share of their positions that is padding. */
  packing: { on: boolean; rows: number; packedRows: number; padding: number; packedPadding: number };
  /** Rows of each class by side, largest first; null where there are none. */
  classes: { label: string; train: number; validation: number; test: number }[] | null;
  /** Held-out rows that nearly repeat a training row, and the nearest few. */
  near: { count: number; examples: { held: string; train: string; similarity: number }[] };
  /** Histogram of row lengths in tokens: `counts[i]` rows have [i·width, (i+1)·width) tokens. */
  lengths: { width: number; counts: number[] };
  preview: TokenRow[];
  /** Of pictures: what the model reads, and some of the training and of the held-out pictures as it sees them. */
  pictures?: { size: number; channels: number; preview: (Shown & { label?: string })[]; held: (Shown & { label?: string; row: number })[] };
  /** Things worth knowing that do not stop the run, whole sentences. */
  warnings: string[];
}

export interface ExportFile { name: string; bytes: Uint8Array }
export interface ExportResult {
  files: ExportFile[];
  receipt: {
    /** Largest |logit difference| between the trained adapter and the written file read afresh, over `tokens` tokens. */
    maxLogitDifference: number;
    /** Largest |logit difference| between adapter on and off on the same tokens: what the adapter does at all. */
    effect: number;
    tokens: number;
    /** Of the first file, which holds the weights. */
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

export interface DataOptions { holdout: number; seq: number; seed: number; batch?: number; test?: number | undefined; columns?: Columns | undefined; pack?: boolean | undefined; task?: TaskName | undefined; template?: string | undefined; scale?: number | undefined; symmetric?: boolean | undefined }

/** How the Hub is reached. The token stays in the worker's memory and goes nowhere but to that address. */
export interface HubSettings { endpoint: string; token: string }
/** A repository before anything large of it is here. */
export interface HubCard {
  kind: 'model' | 'dataset';
  name: string;
  commit: string;
  gated: boolean;
  /** What would be downloaded: a model's files; or the files that can be read as data, those for training first. */
  files: { path: string; size: number }[];
  /** Bytes of them that are here already. */
  here: number;
  /** Bytes that this site may still keep; absent where the browser does not say. */
  room?: number;
  model?: { architecture: string; parameters: number; layers: number; context: number; dtype: string; /** What the present setup would take with it. */ peakBytes: number; problem?: { message: string; hint: string } };
  /** Why it cannot be used. */
  failure?: Failure;
}

/** A PEFT adapter on the loaded model. */
export interface AdapterCard { id: string; name: string; method: string; modules: number; /** Of a plain LoRA, which alone can be trained on. */ ranks?: [smallest: number, largest: number]; base: string | null; notes: string[] }
/** What writes: nothing is the base; a run's adapter and adapters from files each with a weight. */
export interface Voice { parts: { run?: RunId; adapter?: string; weight: number }[] }
export interface WriteRequest {
  prompt: string;
  /** A prompt without markers becomes a user's turn, where the model has a chat template. */
  chat: boolean;
  maxTokens: number;
  /** 0 takes the likeliest token. */
  temperature: number;
  /** 0: all. */
  topK: number;
  /** 1: all. */
  topP: number;
  stop: string[];
  seed: number;
  voices: Voice[];
}
/** Probabilities of classes, of words, or of what is matched, and cosines of the latter; `inOrder`: they stand in an order of their own. */
export interface Judged { labels: string[]; shares: number[]; cosines?: number[]; inOrder?: boolean }
/** With the picture as the model reads it. */
export interface Looked extends Judged { picture: Picture }
/** A picture for each label. */
export interface Found extends Judged { pictures: Picture[] }
/** A picture of the user's, or a held-out one by its row. */
export type PictureChoice = { name: string; file: Blob } | { row: number };
export interface Written { text: string; tokens: number; seconds: number; /** The whole request was ended by the user. */ stopped: boolean }

/** Files of a dropped folder. */
export interface NamedFile { name: string; file: File }

/** Every call of the page on the worker. A call that fails rejects with an Error whose `name`, `message` and `hint` are the Failure's. */
export interface EngineApi extends ExploreApi {
  /** First call: finds a device, self-tests, lists what there is. Never rejects for want of a device: `failure` says why. */
  hello(listener: (event: EngineEvent) => void): Promise<Hello>;
  /** Loads a model and makes it the current one. `files` for kind 'files'. */
  /** `weights`: how its frozen weights are kept; 'auto': the widest of which no weight is too large for a buffer. */
  loadModel(source: ModelSource, files?: NamedFile[], weights?: WeightKind | 'auto'): Promise<ModelCard>;
  /** Reads and arranges for the current model, which is put on the task that is wanted and can be learned from them. `file` for kind 'file': of a folder its files. */
  loadData(source: DataSource, options: DataOptions, file?: Blob | NamedFile[]): Promise<DataCard>;
  /** For all later calls that go to the Hub. */
  setHub(settings: HubSettings): Promise<void>;
  /** What a repository holds, how large it is and whether it fits, before it is downloaded. `config` is the present setup. */
  lookUp(kind: HubCard['kind'], name: string, config: RunConfig): Promise<HubCard>;
  /** Puts a PEFT adapter on the loaded model; what is wrong with it is said before anything is kept. */
  addAdapter(name: string, files: NamedFile[]): Promise<AdapterCard>;
  removeAdapter(id: string): Promise<void>;
  /** Writes on from a prompt with each voice in turn. `onText` gets each new piece with the number of its voice. */
  write(request: WriteRequest, onText: (voice: number, piece: string) => void): Promise<Written[]>;
  stopWriting(): Promise<void>;
  /** What the model makes of a picture, with the adapter of a run or, where that is null, without one. `texts` stand in for the classes, of a model that reads texts beside pictures. */
  look(picture: PictureChoice, texts: string[] | null, run: RunId | null): Promise<Looked>;
  /** Which of the held-out pictures a text belongs to; with or without the adapter of a run, as `look`. */
  find(text: string, run: RunId | null): Promise<Found>;
  /** What an encoder makes of a text, or of two: of each class, or of the likeliest words where the first one is hidden; with or without the adapter of a run, as `look`. */
  judge(text: { text: string; second?: string }, run: RunId | null): Promise<Judged>;
  /** Ends a loadModel or loadData in progress; that call rejects, and what was loaded before stays. */
  cancelLoad(): Promise<void>;
  /** Allocates nothing. Wants the model loaded; the data need not be. */
  plan(config: RunConfig): Promise<Plan>;
  /**
   * Starts training on the current model and data; resolves once it runs. `from` is an adapter on the model, to be trained on. `again`
   * names a run of this or an earlier visit that is to go on from its kept state, or from the beginning where none was kept.
   */
  start(config: RunConfig, options?: { from?: string; again?: RunId }): Promise<RunId>;
  /** Makes a run of an earlier visit whole again from its kept state, for samples and export, without training it. */
  restore(run: RunId, config: RunConfig): Promise<void>;
  /** The state that this browser keeps of a run; null where there is none, or none that can be read. */
  kept(run: RunId): Promise<{ step: number; bytes: number } | null>;
  /** Frees a run and deletes its kept state. */
  forget(run: RunId): Promise<void>;
  /** After the device was lost: a new one. Models, data and runs have to be loaded again. */
  recover(): Promise<DeviceCard>;
  deviceState(): Promise<DeviceState>;
  selfTest(): Promise<SelfTest>;
  /** Times steps of a setup on the current model, on parameters of their own. */
  timeStep(config: RunConfig): Promise<StepTimes>;
  pause(run: RunId): Promise<void>;
  resume(run: RunId): Promise<void>;
  /** Stops at the next step boundary and keeps the adapter. */
  stop(run: RunId): Promise<void>;
  sample(run: RunId, prompt: string, maxTokens: number, temperature: number): Promise<SampleResult>;
  /** Files with the receipt of reading them back. */
  exportAs(request: ExportRequest): Promise<ExportResult>;
}
