// What a run has on the device: an attachment with its optimiser, the compiled step, and the evaluator that reads the same parameters.
import { free, allocate } from '../engine/tensor/memory';
import { type Step, compile } from '../engine/tensor/step';
import type { Tensor } from '../engine/tensor/tensor';
import type { Device } from '../engine/gpu/device';
import { type Attachment, attach, detach, initialise } from './attach';
import { type Checkpoint, loadCheckpoint } from './checkpoint';
import type { RunConfig } from './config';
import type { BoundMethod } from './contract';
import { Evaluator } from './evaluate';
import type { RunState } from './host';
import type { PeftAdapter } from '../formats/peft';
import type { LoadedModel } from './loaded';
import { startFrom } from './start-from';
import { type TrainingStep, groupSettings, recordTraining } from './step';
import { Vectors } from './vectors';
import { shapeOf } from './task';

export interface LiveOptions {
  readonly device: Device;
  readonly loaded: LoadedModel;
  readonly bound: BoundMethod;
  readonly config: RunConfig;
  /** Kernels compiled, and measured where there is a choice, out of all. */
  readonly progress?: (done: number, total: number) => void;
}

export interface LiveRun extends TrainingStep {
  readonly attachment: Attachment;
  readonly compiled: Step;
  readonly evaluator: Evaluator;
  readonly vectors: Vectors;
}

/** What a fresh attachment starts from. */
export interface Start {
  readonly shared: unknown;
  readonly state: RunState;
  /** Numbers to load over the start; `carry`: only those that fit. */
  readonly from?: { readonly checkpoint: Pick<Checkpoint, 'file' | 'where'>; readonly carry: boolean };
  /** An adapter file in place of the random start. */
  readonly adapter?: PeftAdapter;
}

/** Attaches, initialises and compiles; on failure nothing stays allocated. */
export async function goLive(options: LiveOptions, { shared, state, from, adapter }: Start): Promise<LiveRun> {
  const { device, loaded, bound, config, progress } = options;
  const { training } = config;
  const attachment = attach(loaded.network, bound, config.targets, { shared, state, seed: training.seed });
  const recorded = recordTraining(loaded, bound, attachment, training);
  const { adamw, ring, lasting } = recorded;
  try {
    adamw.allocate(device, groupSettings(bound, training));
    ring.allocate(device);
    for (const t of lasting.values()) allocate(device, t);
    // What comes from a file needs no start of its own, and its method may not have one to give any more.
    initialise(device, { ...attachment, params: attachment.params.filter((p) => from?.checkpoint.file.byName.get(`param.${p.name}`)?.shape.join() !== p.tensor.shape.join()) }, training.seed);
    if (adapter) startFrom(device, attachment, adapter);
    if (from) await loadCheckpoint(device, { attachment, adamw, lasting }, from.checkpoint, from.carry);
    const compiled = await compile(device, recorded.graph, { place: adamw.places(device, recorded.gradients, recorded.directions, recorded.jointGradients), ...(progress ? { progress } : {}) });
    const evaluator = await Evaluator.create(device, loaded, attachment.adapters, shapeOf(loaded, training), { bound, heads: attachment.heads });
    return { ...recorded, attachment, compiled, evaluator, vectors: new Vectors(device, loaded, bound, attachment, adamw, training) };
  } catch (error) {
    releaseNumbers(device, recorded, attachment);
    throw error;
  }
}

/** Frees the activations: the parameters stay, for export and samples. */
export function releaseStep({ evaluator, compiled, vectors }: LiveRun): void {
  evaluator.dispose();
  compiled.dispose();
  vectors.dispose();
}

/** Frees parameters, optimiser state and everything else that lasts. */
export function releaseNumbers(device: Device, { adamw, ring, lasting, inputs }: TrainingStep, attachment: Attachment): void {
  adamw.dispose(device);
  ring.dispose(device);
  detach(device, attachment);
  for (const t of [...(Object.values(inputs) as Tensor[]), ...lasting.values()]) free(device, t);
}
