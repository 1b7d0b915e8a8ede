// The plug-in contract: what a method is. A method is one object in one file with the hooks it needs.
import type { Adapter, LinearSite, Param } from '../engine/nn/site';
import type { GroupSettings } from '../engine/optim/adamw';
import type { Tensor } from '../engine/tensor/tensor';
import type { MethodCard } from './card';
import type { TrainingConfig } from './config';
import { type ConfigOf, type Fields, resolveFields } from './fields';

/** A stretch of a run with its own learning-rate schedule. */
export interface Phase {
  readonly name: string;
  readonly steps: number;
}

/** What recorded hooks may touch: every trainable tensor is a slice of `params`; blocks[i / 64] says to which group element i belongs. */
export interface Recorded {
  readonly params: Tensor;
  readonly blocks: Tensor;
  /** (norm, clip factor, go, halted): an update must do nothing where go is 0. */
  readonly control: Tensor;
  group(name: string): number;
  /** A number that `beforeStep` writes, as a tensor [1]. */
  scalar(name: string): Tensor;
  /** Reports x[0] as this step's value of one of the card's series. */
  report(series: string, x: Tensor): void;
}

/** What host hooks may do. */
export interface Host {
  readonly phase: number;
  /** Step within the phase, from 1. */
  readonly phaseStep: number;
  /** This step's learning rate as a share of the peak. */
  readonly lrShare: number;
  setScalar(name: string, value: number): void;
}

/** Numbers of all parameters of a site's adapter, by short name. */
export interface SiteValues {
  readonly site: LinearSite;
  readonly params: Readonly<Record<string, Param>>;
  readonly values: Readonly<Record<string, Float32Array>>;
}

export interface Method<F extends Fields = Fields> {
  readonly info: MethodCard & { readonly fields: F };
  /** Attaches to a layer, or leaves it alone. */
  attach(site: LinearSite, config: ConfigOf<F>, context: AttachContext): Adapter | null;
  /** Optimiser groups beyond 'default'; decay 0 unless said. */
  groups?(config: ConfigOf<F>, training: TrainingConfig): Readonly<Record<string, GroupSettings>>;
  /** Scalars that `beforeStep` sets, named. */
  readonly scalars?: readonly string[];
  /** Recorded: what is minimised, from the task's loss [1]; default the task's loss itself. */
  loss?(task: Tensor, adapters: readonly Adapter[], config: ConfigOf<F>): Tensor;
  /** Recorded once, after the optimiser's update: prox, projection, masks, reported series. */
  afterUpdate?(recorded: Recorded, config: ConfigOf<F>): void;
  /** Host, before each step: writes scalars. */
  beforeStep?(host: Host, config: ConfigOf<F>, training: TrainingConfig): void;
  /** Stretches of the run; default one of training.steps. */
  phases?(config: ConfigOf<F>, training: TrainingConfig): readonly Phase[];
  /** What its views show now. */
  views?(sites: readonly SiteValues[], config: ConfigOf<F>): Readonly<Record<string, unknown>>;
  /** What is worth a line between two looks at the parameters: whole sentences. */
  events?(before: readonly SiteValues[], now: readonly SiteValues[], config: ConfigOf<F>): readonly string[];
  /** Trainable parameters of a site of this shape: the specification's formula, for the plan and its test. */
  trainable(shape: readonly [number, number], config: ConfigOf<F>): number;
}

export interface AttachContext {
  /** A number of its own for each use of dropout. */
  stream(name: string): number;
}

/** Types `config` in every hook from `info.fields`. */
export const defineMethod = <F extends Fields>(method: Method<F>): Method<F> => method;

/** A method with its config resolved: what a run drives. Hooks keep their meaning. */
export interface BoundMethod {
  readonly method: Method;
  readonly config: ConfigOf<Fields>;
}
export function bind(method: Method, given: Readonly<Record<string, unknown>>): BoundMethod {
  return { method, config: resolveFields(`method ${method.info.slug}`, method.info.fields, given) };
}
