// What host hooks of a method may do: between steps, before the first one, and in a recipe.
import type { Device } from '../engine/gpu/device';
import type { LinearSite, Param } from '../engine/nn/site';
import type { HostData, Tensor } from '../engine/tensor/tensor';
import type { Phase, SiteParams, SiteValues } from './contract';

type Json = number | string | boolean | null | readonly Json[] | { readonly [key: string]: Json };
/** What a method remembers from step to step beside its parameters: ranks, counters, a growth log. Plain data; stands in checkpoints. */
export type RunState = Record<string, Json>;

/** Random numbers by name: pure functions of the run's seed, so that a resumed run draws what the whole one drew. */
export interface Random {
  /** In [0, 1). */
  uniform(name: string, counter: number): number;
  normal(name: string, counter: number): number;
  /** 0 … count − 1 in random order. */
  shuffle(name: string, count: number): Uint32Array;
}

export interface Preparation {
  readonly device: Device;
  /** Every chosen site. */
  readonly sites: readonly LinearSite[];
  readonly state: RunState;
  readonly random: Random;
  /** The base weight [out, in] of a site. */
  weight(site: LinearSite): Promise<Float32Array>;
  /**
   * The base model's mean gradient of the task's loss for each site's weight [out, in], over the first `batches` training batches. One
   * comes at a time and may be dropped before the next; they never all stand in memory.
   */
  gradients(options: { batches: number; sites?: readonly LinearSite[] }): AsyncIterable<{ site: LinearSite; gradient: Float32Array }>;
  /** Says how far it is; throws where the run was stopped meanwhile. Call it at least a few times a second. */
  progress(done: number, total: number): Promise<void>;
}

export interface BeforeStep {
  /** The step to come, from 1, in the run and in its phase. */
  readonly step: number;
  readonly phase: number;
  readonly phaseStep: number;
  readonly phaseSteps: number;
  /** Its learning rate as a share of the peak. */
  readonly lrShare: number;
  /** Names of the adapted layers. */
  readonly sites: readonly string[];
  readonly state: RunState;
  readonly random: Random;
  /** Writes an input. */
  set(input: string, values: number | Float32Array): void;
  /** Opens (1) or closes (0) the entries of a mask: closed ones are skipped by update, moments and decay. */
  setMask(mask: string, open: Uint32Array): void;
}

/** `step`, `phase` … are those of the step just handed over. Reading waits for the GPU, so read at a rhythm. */
export interface AfterStep extends BeforeStep {
  /** Adapted sites with their parameters, in order. */
  readonly adapted: readonly SiteParams[];
  /** Numbers of every parameter. */
  values(): Promise<SiteValues[]>;
  read(param: Param): Promise<Float32Array>;
  write(param: Param, values: HostData): void;
  /** Mean loss on the held-out batches; null where there are none. */
  evaluate(): Promise<number | null>;
  /** A line in the run's log. */
  note(text: string): void;
}

/** A vector over all trainable numbers: a snapshot, a gradient, a sum of such. */
export interface Vector {
  readonly tensor: Tensor;
}

/** What a recipe drives a run with. */
export interface Trainer extends Pick<AfterStep, 'sites' | 'state' | 'random' | 'values' | 'evaluate' | 'note' | 'set' | 'setMask'> {
  readonly phases: readonly Phase[];
  /** Trains a stretch to its end; false when the run was stopped before. */
  train(phase: Phase): Promise<boolean>;
  /** Attaches and records anew, after a change of `state`. What keeps its name and shape keeps its numbers. Vectors do not outlive it. */
  reattach(): Promise<void>;
  snapshot(): Vector;
  load(vector: Vector): void;
  /** The gradient of the training loss at the present numbers, on a batch of the training or of the held-out split. */
  gradient(batch: number, split?: 'train' | 'validation'): Promise<Vector>;
  /** y ← y + a·x. */
  axpy(y: Vector, a: number, x: Vector): Promise<void>;
  dot(x: Vector, y: Vector): Promise<number>;
  free(vector: Vector): void;
}
