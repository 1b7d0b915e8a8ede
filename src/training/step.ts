// One training step as one recording: forward, loss, gradients, update, the method's own hooks, metrics.
import { copy } from '../engine/ops';
import { AdamW, type GroupSettings } from '../engine/optim/adamw';
import { MetricRing } from '../engine/optim/ring';
import { Graph } from '../engine/tensor/graph';
import { type Tensor, rootOf, tensor } from '../engine/tensor/tensor';
import type { Attachment } from './attach';
import type { TrainingConfig } from './config';
import type { BoundMethod, Recorded } from './contract';
import type { LoadedModel } from './loaded';
import { taskLoss } from './task-loss';

export interface TrainingStep {
  readonly graph: Graph;
  readonly ids: Tensor;
  readonly labels: Tensor;
  readonly adamw: AdamW;
  readonly ring: MetricRing;
  readonly gradients: readonly Tensor[];
  readonly scalars: ReadonlyMap<string, Tensor>;
}

const RING_LENGTH = 1024;

export const groupSettings = ({ method, config }: BoundMethod, training: TrainingConfig): Record<string, GroupSettings> => ({
  default: { lrScale: 1, weightDecay: training.weightDecay },
  ...method.groups?.(config, training),
});

/** Allocates nothing: the plan records the same step on no device at all. */
export function recordTraining(loaded: LoadedModel, bound: BoundMethod, attachment: Attachment, training: TrainingConfig): TrainingStep {
  const shape = [training.batch, training.seq];
  const [ids, labels] = [tensor('input_ids', shape, 'input', 'u32'), tensor('labels', shape, 'input', 'i32')];
  const trained = attachment.params.filter((p) => p.trainable);
  const adamw = new AdamW(trained, training);
  const ring = new MetricRing(RING_LENGTH);
  const scalars = new Map((bound.method.scalars ?? []).map((name) => [name, tensor(name, [1], 'input')]));
  const graph = new Graph();
  const gradients = graph.record(() => {
    const { loss, count } = taskLoss(loaded, loaded.network.scope({ ids, adapters: attachment.adapters, training: true }), labels);
    const total = bound.method.loss?.(loss, [...attachment.adapters.values()], bound.config) ?? loss;
    const grads = ownTensors(graph.grad(total, trained.map((p) => p.tensor)));
    adamw.update(total);
    const recorded: Recorded = {
      params: adamw.params, blocks: adamw.blocks, control: adamw.control,
      group: (name) => adamw.groups.indexOf(name),
      scalar: (name) => scalars.get(name) as Tensor,
      report: (series, x) => ring.record(series, x),
    };
    ring.record('loss', loss);
    ring.record('grad_norm', adamw.control, 0);
    ring.record('tokens', count);
    bound.method.afterUpdate?.(recorded, bound.config);
    return grads;
  });
  return { graph, ids, labels, adamw, ring, gradients, scalars };
}

/** Gradients are computed right into their arena, so each must be a tensor of this step that is nothing else's. */
function ownTensors(gradients: readonly Tensor[]): Tensor[] {
  const seen = new Set<number>();
  return gradients.map((g) => {
    const root = rootOf(g);
    const own = root.life === 'step' && !seen.has(root.id);
    seen.add(root.id);
    return own ? g : copy(g);
  });
}
