// One training step as one recording: forward, loss, gradients, update, the method's own hooks, metrics.
import type { Adapters, Param } from '../engine/nn/site';
import { add, copy, fill } from '../engine/ops';
import { AdamW, type GroupSettings } from '../engine/optim/adamw';
import { MetricRing } from '../engine/optim/ring';
import { keep } from '../engine/optim/vectors';
import { Graph } from '../engine/tensor/graph';
import { type Shape, type Tensor, rootOf, sameShape, tensor } from '../engine/tensor/tensor';
import { ShapeError, StudioError } from '../util/errors';
import { type Attachment, inputOf } from './attach';
import type { TrainingConfig } from './config';
import type { Arenas, BoundMethod, Recorded } from './contract';
import type { LoadedModel } from './loaded';
import { type BatchTensors, batchTensors, callOf, shapeOf } from './task';
import { callModel, taskLoss } from './task-loss';

export interface TrainingStep {
  readonly graph: Graph;
  readonly inputs: BatchTensors;
  readonly adamw: AdamW;
  readonly ring: MetricRing;
  /** Of the trained parameters, in order; undefined where the method's joint hook writes it. */
  readonly gradients: readonly (Tensor | undefined)[];
  /** Of joint tensors. */
  readonly jointGradients: readonly Tensor[];
  /** What is stepped along instead, where the method has an optimiser hook; empty otherwise, and undefined where the hook writes it. */
  readonly directions: readonly (Tensor | undefined)[];
  /** What the method's recorded hooks keep from step to step, by name. */
  readonly lasting: ReadonlyMap<string, Tensor>;
}

const RING_LENGTH = 1024;

export const groupSettings = ({ method, config }: BoundMethod, training: TrainingConfig): Record<string, GroupSettings> => ({
  default: { lrScale: 1, weightDecay: training.weightDecay },
  ...method.groups?.(config, training),
});

/** The arenas of a run, for the hooks that record kernels over all layers. */
export function arenasOf({ sites, adapters, inputs, joint }: Attachment, adamw: AdamW): Arenas {
  return {
    params: adamw.params, gradients: adamw.gradients, joint: adamw.joint, jointGradients: adamw.jointGradients, frozen: adamw.frozen, blocks: adamw.blocks,
    group: (name) => adamw.groups.indexOf(name),
    sites: sites.map((site) => ({ site, params: adapters.get(site.name)?.params ?? {} })),
    at: (param) => adamw.at(param.tensor),
    jointOf: (name) => joint.get(name),
    atJoint(name) {
      const found = joint.get(name);
      return found && adamw.at(found);
    },
    table: (name, words) => adamw.table(name, words),
    input: (name) => inputNamed(inputs, name),
  };
}

/** The optimiser of an attachment, with all its arenas. */
export function optimiserOf({ params, joint }: Attachment, training: TrainingConfig): AdamW {
  const frozen = joint.size > 0 ? params.filter((p) => !p.trainable).map((p) => p.tensor) : [];
  return new AdamW(params.filter((p) => p.trainable), training, { joint: [...joint.values()], frozen });
}

/** The loss [1] that is minimised on a batch, the task's own, and how many labels carry it. Recorded. */
export function recordLoss(loaded: LoadedModel, bound: BoundMethod, attachment: Attachment, inputs: BatchTensors, adamw: AdamW) {
  const { method, config } = bound;
  const { adapters, heads, inputs: written } = attachment;
  const arenas = arenasOf(attachment, adamw);
  const joint = method.joint?.(arenas, config);
  const call = callOf(inputs, { training: true, joint: true, heads });
  const { loss, count, logits } = taskLoss(loaded, adapters, call, inputs.labels, bound);
  const forward = { adapters, logits, input: (name: string) => inputNamed(written, name), again: (others: Adapters) => callModel(loaded, others, call) };
  const own = method.loss?.(loss, forward, config) ?? loss;
  const penalty = method.penalty?.(arenas, config);
  return { total: penalty ? add(own, penalty.value) : own, loss, count, penalty, joint };
}

/** The same with the gradients of all trained parameters: `gradients` and `joint` are to be placed in their arenas. Recorded. */
export function recordGradients(graph: Graph, loaded: LoadedModel, bound: BoundMethod, attachment: Attachment, inputs: BatchTensors, adamw: AdamW) {
  const { total, loss, count, penalty, joint } = recordLoss(loaded, bound, attachment, inputs, adamw);
  const trained = attachment.params.filter((p) => p.trainable);
  const found = graph.gradients(total, [...trained.map((p) => p.tensor), ...attachment.joint.values()]);
  const written = joint?.back();
  const wanted = trained.map((p, i) => {
    if (!written?.has(p)) return found[i] ?? fill(p.tensor.shape, 0);
    if (found[i]) throw new StudioError(`${p.name}: the method's joint hook writes a gradient that the loss has as well`, 'Let the model read its joint tensor alone.');
    return undefined;
  });
  const own = ownTensors([...wanted, ...[...attachment.joint.values()].map((t, i) => found[trained.length + i] ?? fill(t.shape, 0))]);
  penalty?.back();
  return { total, loss, count, gradients: own.slice(0, trained.length), joint: own.slice(trained.length) as Tensor[] };
}

/** Allocates nothing: the plan records the same step on no device at all. */
export function recordTraining(loaded: LoadedModel, bound: BoundMethod, attachment: Attachment, training: TrainingConfig): TrainingStep {
  const inputs = batchTensors(loaded, shapeOf(loaded, training));
  const adamw = optimiserOf(attachment, training);
  const ring = new MetricRing(RING_LENGTH);
  const lasting = new Map<string, Tensor>();
  const recorded: Recorded = {
    ...arenasOf(attachment, adamw), control: adamw.control,
    report: (series, x) => ring.record(series, x),
    lasting: (name, size) => lastingTensor(lasting, name, size),
    keep: (target, value) => keep(target, value, adamw.control),
  };
  const graph = new Graph();
  return graph.record(() => {
    const { total, loss, count, gradients, joint: jointGradients } = recordGradients(graph, loaded, bound, attachment, inputs, adamw);
    adamw.guard(total);
    ring.record('loss', loss);
    ring.record('grad_norm', adamw.control, 0);
    ring.record('tokens', count);
    const trained = attachment.params.filter((p) => p.trainable);
    const gradient = (p: { name: string; tensor: Tensor }) => {
      const found = gradients[trained.findIndex((t) => t.tensor === p.tensor)];
      if (!found) throw new StudioError(`the gradient of ${p.name} is no tensor of its own`, 'A method with a joint hook reads the arena of gradients.');
      return found;
    };
    const instead = bound.method.optimizer?.({ ...recorded, gradient, directions: adamw.directions }, bound.config);
    const directionOf = (p: Param) => (instead?.written?.has(p) ? undefined : (instead?.gradients?.get(p) ?? instead?.steps?.get(p) ?? gradient(p)));
    const directions = instead ? ownTensors(trained.map(directionOf), gradients) : [];
    adamw.update(instead !== undefined, new Set([...(instead?.steps?.keys() ?? []), ...(instead?.written ?? [])].map((p) => p.tensor)));
    bound.method.afterUpdate?.(recorded, bound.config);
    return { graph, inputs, adamw, ring, gradients, jointGradients, directions, lasting };
  });
}

const inputNamed = (inputs: Attachment['inputs'], name: string): Tensor => inputs.get(name)?.tensor ?? inputOf(inputs, name, [1], 0);

function lastingTensor(all: Map<string, Tensor>, name: string, shape: Shape): Tensor {
  const found = all.get(name) ?? tensor(name, shape, 'param');
  if (!sameShape(found.shape, shape)) throw new ShapeError(`${name}: kept as [${found.shape.join(', ')}] and as [${shape.join(', ')}]`);
  all.set(name, found);
  return found;
}

/**
 * Gradients are computed right into their arena, so each must be a tensor of this step that is nothing else's. Where two parameters
 * have the same one, both get a copy: no kernel may read and write one arena.
 */
export function ownTensors<T extends Tensor | undefined>(gradients: readonly T[], taken: readonly (Tensor | undefined)[] = []): T[] {
  const uses = new Map<number, number>();
  for (const t of [...gradients, ...taken]) if (t) uses.set(rootOf(t).id, (uses.get(rootOf(t).id) ?? 0) + 1);
  return gradients.map((g) => (g && !(rootOf(g).life === 'step' && uses.get(rootOf(g).id) === 1) ? (copy(g) as T) : g));
}
