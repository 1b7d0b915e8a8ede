// The plug-in contract: what a method is. A method is one object in one file with the hooks it needs (docs/methods.md).
// Recorded hooks call ops and become part of the step that is replayed; host hooks run between steps.
import type { Adapter, Adapters, CallOptions, LinearSite, NamedWeight, Param, ParamOptions } from '../engine/nn/site';
import type { Init } from '../engine/nn/init';
import type { Flat } from '../engine/joint/table';
import type { GroupSettings } from '../engine/optim/adamw';
import type { Shape, Tensor } from '../engine/tensor/tensor';
import type { MethodCard } from './card';
import type { TrainingConfig } from './config';
import { type ConfigOf, type Fields, resolveFields } from './fields';
import type { AfterStep, BeforeStep, Preparation, RunState, Trainer } from './host';

export interface Method<F extends Fields = Fields, S = unknown> {
  readonly info: MethodCard & { readonly fields: F };
  /** Refuses what no field's range can say, for the chosen sites: a ConfigError with the valid range. Before anything is made. */
  check?(sites: readonly LinearSite[], config: ConfigOf<F>, training: TrainingConfig): void;
  /** Host, once, before the step is recorded: spectra, gradients, scores. A resumed run does without: the checkpoint has the parameters. */
  prepare?(host: Preparation, config: ConfigOf<F>): Promise<S>;
  /** Attaches to a layer, or leaves it alone. */
  attach(site: LinearSite, config: ConfigOf<F>, context: AttachContext<S>): Adapter | null;
  /** Attaches to a weight that no chosen layer has: an embedding, a norm, the bias of one. What its adapter's weight() gives stands in for it. */
  attachWeight?(weight: NamedWeight, config: ConfigOf<F>, context: AttachContext<S>): Adapter | null;
  /** Optimiser groups beyond 'default'; decay 0 unless said. */
  groups?(config: ConfigOf<F>, training: TrainingConfig): Readonly<Record<string, GroupSettings>>;
  /** Recorded: wraps one call of the model, training or not. */
  call?(next: (adapters: Adapters) => Tensor, adapters: Adapters, options: CallOptions, config: ConfigOf<F>): Tensor;
  /** Recorded: what is minimised, from the task's loss [1]; default the task's loss itself. */
  loss?(task: Tensor, forward: Forward, config: ConfigOf<F>): Tensor;
  /** Recorded: what training reads in place of single parameters, made for all layers in a few dispatches, and the way back. */
  joint?(arenas: Arenas, config: ConfigOf<F>): Joint | undefined;
  /** Recorded: what is minimised beside the task, made for all layers in a few dispatches: a penalty on the parameters. */
  penalty?(arenas: Arenas, config: ConfigOf<F>): Penalty | undefined;
  /** Recorded, between gradients and update: what is stepped along instead of some gradients; undefined where nothing is. */
  optimizer?(recorded: RecordedGradients, config: ConfigOf<F>): Directions | undefined;
  /** Recorded once, after the optimiser's update: prox, projection, reported series. */
  afterUpdate?(recorded: Recorded, config: ConfigOf<F>): void;
  /** Host, before each step: writes inputs and masks. Must depend on nothing but step, seed and state. */
  beforeStep?(host: BeforeStep, config: ConfigOf<F>, training: TrainingConfig): void;
  /** Host, after each step: growth, freezing, scores. 'reattach' attaches and records anew; what keeps its name keeps its numbers. */
  afterStep?(host: AfterStep, config: ConfigOf<F>, training: TrainingConfig): Promise<'reattach' | void> | void;
  /** Stretches of the run; default one of training.steps. */
  phases?(config: ConfigOf<F>, training: TrainingConfig): readonly Phase[];
  /** Drives the run instead of training the phases one after another. On resuming it runs again, and steps already done are passed over. */
  recipe?(run: Trainer, config: ConfigOf<F>): Promise<void>;
  /** What its views show now. */
  views?(sites: readonly SiteValues[], config: ConfigOf<F>, state: Readonly<RunState>): Readonly<Record<string, unknown>>;
  /** What is worth a line between two looks at the parameters: whole sentences. */
  events?(before: readonly SiteValues[], now: readonly SiteValues[], config: ConfigOf<F>): readonly string[];
  /** A PEFT adapter type of its own ('peft' in info.exports). */
  readonly peft?: PeftForm<F>;
  /** Trainable parameters of a site of this shape, with or without a bias: the specification's formula. */
  trainable(shape: readonly [number, number], config: ConfigOf<F>, biased?: boolean): number;
  /** Trainable parameters at a weight that it attaches to beside sites. */
  trainableWeight?(shape: Shape, config: ConfigOf<F>): number;
  /** Trainable parameters that sites share. */
  shared?(sites: readonly LinearSite[], config: ConfigOf<F>): number;
}

/** A stretch of a run with its own learning-rate schedule. */
export interface Phase {
  readonly name: string;
  readonly steps: number;
}

export interface AttachContext<S = unknown> {
  /** What `prepare` returned; null in a plan and on resuming. Only initial values may need it: read it inside an Init of kind 'values'. */
  readonly shared: S | null;
  readonly state: Readonly<RunState>;
  /** Every chosen site, in the model's order. */
  readonly sites: readonly LinearSite[];
  readonly seed: number;
  /** A number of its own for each use of dropout. */
  stream(name: string): number;
  /** A parameter that sites share: the first call makes it, later ones get it. */
  param(name: string, shape: Shape, init: Init, options?: ParamOptions): Param;
  /** f32 numbers that the host writes between steps, shared by name; `start` is what they are until then. */
  input(name: string, shape: Shape, start: number | Float32Array): Tensor;
  /** A tensor that the method's joint hook makes of parameters, in the arena `joint`; only where a call says `joint` may it be read. */
  joint(name: string, shape: Shape): Tensor;
}

/** What was made at the head of a step, `joint` of `params` and `frozen`, and the chain rule back. */
export interface Joint {
  /** Behind the reverse walk: `jointGradients` to `gradients` of the parameters it returns, whose slices it writes whole. */
  back(): ReadonlySet<Param>;
}

export interface Penalty {
  /** [1], added to the loss. */
  readonly value: Tensor;
  /** Adds its gradient to `gradients`, where those of the loss stand by then. */
  back(): void;
}

/** What a loss may look at beside the task's own. */
export interface Forward {
  readonly adapters: Adapters;
  /** Of the call that the task's loss is made of; recorded when asked for, since large vocabularies do without. */
  logits(): Tensor;
  /** An input by the name it was attached under; made here if it was not. */
  input(name: string): Tensor;
  /** The logits of the same batch with other adapters: `noAdapters` is the base as a teacher. */
  again(adapters: Adapters): Tensor;
}

/** Flat tensors that hold those of all layers, for kernels that walk over them at once; `gradients` are those before clipping. */
export interface Arenas extends Flat {
  /** blocks[i / 64] says to which optimiser group, by its number, element i of `params` belongs. */
  readonly blocks: Tensor;
  group(name: string): number;
  /** Adapted sites with their parameters, in order. */
  readonly sites: readonly SiteParams[];
  /** Where a parameter begins in `params`, or in `frozen` where it does not train. */
  at(param: Param): number;
  /** Where a joint tensor begins in `joint`; undefined where none of this name was attached. */
  atJoint(name: string): number | undefined;
  /** The joint tensor itself. */
  jointOf(name: string): Tensor | undefined;
  /** An input by the name it was attached under; made here if it was not. */
  input(name: string): Tensor;
}

/** What recorded hooks may touch beside. */
export interface Recorded extends Arenas {
  /** (norm, clip factor, go, halted): an update must do nothing where go is 0. */
  readonly control: Tensor;
  /** Reports x[0] as this step's value of one of the card's series. */
  report(series: string, x: Tensor): void;
  /** A tensor that lasts from step to step and stands in checkpoints; zero at the start. */
  lasting(name: string, shape: Shape): Tensor;
  /** Gives a parameter or a lasting tensor new numbers, unless the step was bad. */
  keep(target: Tensor, value: Tensor): void;
}

export interface RecordedGradients extends Recorded {
  /** Of the loss with respect to a trainable parameter, before clipping. */
  gradient(param: Param): Tensor;
  /** What is stepped along, laid out as `params`: for kernels over all layers, which write the slices of the parameters they say. */
  readonly directions: Tensor;
}

/** Parameters in none of these follow their gradients. */
export interface Directions {
  /** What AdamW, with its clipping, gets in place of the gradient. */
  readonly gradients?: ReadonlyMap<Param, Tensor>;
  /** p ← p − lr · direction: without AdamW and without clipping; decay as the group says. */
  readonly steps?: ReadonlyMap<Param, Tensor>;
  /** As `steps`, for parameters whose slices of `directions` have been written. */
  readonly written?: ReadonlySet<Param>;
}

export interface SiteParams {
  readonly site: LinearSite;
  readonly params: Readonly<Record<string, Param>>;
}
/** Numbers of all parameters of a site's adapter, by short name. Tables of whole numbers come as numbers, too. */
export interface SiteValues extends SiteParams {
  readonly values: Readonly<Record<string, Float32Array>>;
}

/** How a method writes PEFT's files of a type other than LORA, and reads them back. */
export interface PeftForm<F extends Fields = Fields> {
  readonly type: string;
  /** Whether an adapter_config.json is of this form. */
  reads(config: Readonly<Record<string, unknown>>): boolean;
  /** Whether a tensor of this name, after 'base_model.model.', belongs to all layers. */
  shared?(name: string): boolean;
  /** Keys of adapter_config.json beside those that every type has. */
  config(sites: readonly SiteValues[], config: ConfigOf<F>): Readonly<Record<string, unknown>>;
  /** Tensors by the name after 'base_model.model.', or by the whole name of what PEFT keeps beside the model: 'base_model.vera_A'. */
  tensors(sites: readonly SiteValues[], config: ConfigOf<F>): ReadonlyMap<string, { shape: Shape; data: Float32Array }>;
  /** The method's fields that attach what such a configuration describes. */
  fields(config: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>>;
  /** The numbers of one site's parameters from the file's tensors, by short name. */
  values(site: LinearSite, get: (name: string) => Promise<Float32Array>): Promise<Readonly<Record<string, Float32Array>>>;
}

/** Types `config` in every hook from `info.fields`, and `shared` from what `prepare` returns. */
export const defineMethod = <F extends Fields, S = unknown>(method: Method<F, S>): Method<F, S> => method;

/** A method with its config resolved: what a run drives. Hooks keep their meaning. */
export interface BoundMethod {
  readonly method: Method;
  readonly config: ConfigOf<Fields>;
}
export function bind(method: Method, given: Readonly<Record<string, unknown>>): BoundMethod {
  return { method, config: resolveFields(`method ${method.info.slug}`, method.info.fields, given) };
}
