// One training step as one recording: forward, loss, gradients, update, the method's own hooks, metrics.
import type { Adapters } from '../engine/nn/site';
import { copy } from '../engine/ops';
import { AdamW, type GroupSettings } from '../engine/optim/adamw';
import { MetricRing } from '../engine/optim/ring';
import { keep } from '../engine/optim/vectors';
import { Graph } from '../engine/tensor/graph';
import { layout } from '../engine/tensor/memory';
import { type Shape, type Tensor, rootOf, sameShape, tensor } from '../engine/tensor/tensor';
import { ShapeError } from '../util/errors';
import { type Attachment, inputOf } from './attach';
import type { TrainingConfig } from './config';
import type { BoundMethod, Recorded } from './contract';
import type { LoadedModel } from './loaded';
import { type BatchTensors, batchTensors, callOf, shapeOf } from './task';
import { callModel, taskLoss } from './task-loss';

export interface TrainingStep {
  readonly graph: Graph;
  readonly inputs: BatchTensors;
  readonly adamw: AdamW;
  readonly ring: MetricRing;
  readonly gradients: readonly Tensor[];
  /** What is stepped along instead, where the method has an optimiser hook; empty otherwise. */
  readonly directions: readonly Tensor[];
  /** What the method's recorded hooks keep from step to step, by name. */
  readonly lasting: ReadonlyMap<string, Tensor>;
}

const RING_LENGTH = 1024;

export const groupSettings = ({ method, config }: BoundMethod, training: TrainingConfig): Record<string, GroupSettings> => ({
  default: { lrScale: 1, weightDecay: training.weightDecay },
  ...method.groups?.(config, training),
});

/** The loss [1] that is minimised on a batch, the task's own, and how many labels carry it. Recorded. */
export function recordLoss(loaded: LoadedModel, bound: BoundMethod, { adapters, heads, inputs: written }: Pick<Attachment, 'adapters' | 'heads' | 'inputs'>, inputs: BatchTensors) {
  const call = callOf(inputs, { training: true, heads });
  const { loss, count, logits } = taskLoss(loaded, adapters, call, inputs.labels, bound);
  const forward = { adapters, logits, input: (name: string) => inputNamed(written, name), again: (others: Adapters) => callModel(loaded, others, call) };
  return { total: bound.method.loss?.(loss, forward, bound.config) ?? loss, loss, count };
}

/** Allocates nothing: the plan records the same step on no device at all. */
export function recordTraining(loaded: LoadedModel, bound: BoundMethod, attachment: Attachment, training: TrainingConfig): TrainingStep {
  const inputs = batchTensors(loaded, shapeOf(loaded, training));
  const trained = attachment.params.filter((p) => p.trainable);
  const adamw = new AdamW(trained, training);
  const ring = new MetricRing(RING_LENGTH);
  const lasting = new Map<string, Tensor>();
  const { starts } = layout(trained.map((p) => p.tensor));
  const recorded: Recorded = {
    params: adamw.params, blocks: adamw.blocks, gradients: adamw.gradients, control: adamw.control,
    sites: attachment.sites.map((site) => ({ site, params: attachment.adapters.get(site.name)?.params ?? {} })),
    group: (name) => adamw.groups.indexOf(name),
    at: (param) => starts[trained.indexOf(param)] as number,
    input: (name) => inputNamed(attachment.inputs, name),
    report: (series, x) => ring.record(series, x),
    lasting: (name, size) => lastingTensor(lasting, name, size),
    keep: (target, value) => keep(target, value, adamw.control),
  };
  const graph = new Graph();
  return graph.record(() => {
    const { total, loss, count } = recordLoss(loaded, bound, attachment, inputs);
    const gradients = ownTensors(graph.grad(total, trained.map((p) => p.tensor)));
    adamw.guard(total);
    ring.record('loss', loss);
    ring.record('grad_norm', adamw.control, 0);
    ring.record('tokens', count);
    const byTensor = new Map(trained.map((p, i) => [p.tensor, gradients[i] as Tensor]));
    const gradient = (p: { tensor: Tensor }) => byTensor.get(p.tensor) as Tensor;
    const instead = bound.method.optimizer?.({ ...recorded, gradient }, bound.config);
    const directions = instead ? ownTensors(trained.map((p) => instead.gradients?.get(p) ?? instead.steps?.get(p) ?? gradient(p)), gradients) : [];
    adamw.update(instead !== undefined, new Set([...(instead?.steps?.keys() ?? [])].map((p) => p.tensor)));
    bound.method.afterUpdate?.(recorded, bound.config);
    return { graph, inputs, adamw, ring, gradients, directions, lasting };
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
export function ownTensors(gradients: readonly Tensor[], taken: readonly Tensor[] = []): Tensor[] {
  const uses = new Map<number, number>();
  for (const t of [...gradients, ...taken]) uses.set(rootOf(t).id, (uses.get(rootOf(t).id) ?? 0) + 1);
  return gradients.map((g) => (rootOf(g).life === 'step' && uses.get(rootOf(g).id) === 1 ? g : copy(g)));
}
