// The loss of a task: next-token prediction, through a head that never holds all logits where the vocabulary is large.
import { type Loss, headLoss } from '../engine/ops';
import type { Scope } from '../engine/nn/network';
import type { Tensor } from '../engine/tensor/tensor';
import type { LoadedModel } from './loaded';

/** Mean cross-entropy of one recorded model call against `labels` i32 [batch, time]. */
export function taskLoss({ model, config, info }: LoadedModel, scope: Scope, labels: Tensor): Loss {
  return headLoss(model.trunk(scope, config), (rows) => model.head(scope, config, rows), info.vocab, labels, 1);
}
