// A call of the model, wrapped by the method where it has a hook for that, and the loss of its task on it. The head of a language model
// never holds all logits where the vocabulary is large and nobody asks for them.
import type { Adapters, CallOptions } from '../engine/nn/site';
import type { ModelCall } from '../engine/nn/network';
import { type Loss, axpby, crossEntropy, headLoss, matmul } from '../engine/ops';
import { type Tensor, constant, lastOf } from '../engine/tensor/tensor';
import { type Task, forward, labelsOf } from '../models/model';
import type { BoundMethod } from './contract';
import type { LoadedModel } from './loaded';

/** What one call needs beside adapters. */
export type Call = Omit<ModelCall, 'adapters'>;
type Callable = Pick<LoadedModel, 'model' | 'config' | 'network' | 'task'>;

/** Logits of one recorded call: [batch, time, vocab], [batch, classes] of classification, [batch, time, classes] of words, or [batch, batch] of pairs. */
export function callModel({ model, config, network, task }: Callable, adapters: Adapters, call: Call, bound?: BoundMethod): Tensor {
  const next = (chosen: Adapters) => forward(model, network.scope({ ...call, adapters: chosen }), config, task);
  const options: CallOptions = { training: call.training };
  return bound?.method.call?.(next, adapters, options, bound.config) ?? next(adapters);
}

/** Whether the loss is the mean over both sides of the pairs of a batch. */
export const bothWays = (task: Task): boolean => task.kind === 'image-caption' || (task.kind === 'sentence-embedding' && task.symmetric);

/** A causal model's logits at a place are about the next one's label. */
const shiftOf = ({ kind }: Task) => (kind === 'causal-lm' ? 1 : 0);

/**
 * Mean cross-entropy of recorded logits against labels i32 [batch, time], or [batch] of classification and pairs. Of pictures and their
 * texts, and of pairs where asked for, the mean of both directions (Radford et al. 2021, figure 3): which text belongs to a picture, which
 * picture to a text.
 */
export function lossOf({ task }: Callable, logits: Tensor, labels: Tensor): Loss {
  const { loss, count } = crossEntropy(logits, labels, shiftOf(task));
  if (!bothWays(task)) return { loss, count };
  const size = lastOf(logits);
  // Logits are turned by a product with the identity: no kernel reads them by columns.
  const turned = matmul(logits, constant(`identity ${size}`, [size, size], 'f32', () => Float32Array.from({ length: size * size }, (_, i) => Number(i % (size + 1) === 0))), { ta: true });
  return { loss: axpby(loss, crossEntropy(turned, labels, 0).loss, 0.5, 0.5), count };
}

/** The same of one recorded call; `logits` records them where they are asked for. */
export function taskLoss(loaded: LoadedModel, adapters: Adapters, call: Call, labels: Tensor, bound?: BoundMethod): Loss & { logits: () => Tensor } {
  const { model, config, network, info, task } = loaded;
  if (bound?.method.call || labelsOf(task) || info.image || task.kind === 'sentence-embedding') {
    const logits = callModel(loaded, adapters, call, bound);
    return { ...lossOf(loaded, logits, labels), logits: () => logits };
  }
  const scope = network.scope({ ...call, adapters });
  const hidden = model.trunk(scope, config);
  return { ...headLoss(hidden, (rows) => model.head(scope, config, rows, task), info.vocab, labels, shiftOf(task)), logits: () => model.head(scope, config, hidden, task) };
}
