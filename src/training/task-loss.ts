// A call of the model, wrapped by the method where it has a hook for that, and the loss of a task on it: next-token prediction, through a
// head that never holds all logits where the vocabulary is large and nobody asks for them.
import type { Adapters, CallOptions } from '../engine/nn/site';
import type { ModelCall } from '../engine/nn/network';
import { type Loss, crossEntropy, headLoss } from '../engine/ops';
import type { Tensor } from '../engine/tensor/tensor';
import { forward } from '../models/model';
import type { BoundMethod } from './contract';
import type { LoadedModel } from './loaded';

/** What one call needs beside adapters. */
export type Call = Omit<ModelCall, 'adapters'>;

/** Logits [batch, time, vocab] of one recorded call. */
export function callModel({ model, config, network }: LoadedModel, adapters: Adapters, call: Call, bound?: BoundMethod): Tensor {
  const next = (chosen: Adapters) => forward(model, network.scope({ ...call, adapters: chosen }), config);
  const options: CallOptions = { training: call.training };
  return bound?.method.call?.(next, adapters, options, bound.config) ?? next(adapters);
}

/** Mean cross-entropy of one recorded call against `labels` i32 [batch, time]; `logits` records them where they are asked for. */
export function taskLoss(loaded: LoadedModel, adapters: Adapters, call: Call, labels: Tensor, bound?: BoundMethod): Loss & { logits: () => Tensor } {
  const { model, config, network, info } = loaded;
  if (bound?.method.call) {
    const logits = callModel(loaded, adapters, call, bound);
    return { ...crossEntropy(logits, labels, 1), logits: () => logits };
  }
  const scope = network.scope({ ...call, adapters });
  const hidden = model.trunk(scope, config);
  return { ...headLoss(hidden, (rows) => model.head(scope, config, rows), info.vocab, labels, 1), logits: () => model.head(scope, config, hidden) };
}
