// Adam's direction for the gradient of a whole weight, which methods project onto what they train.
import source from '../../../shaders/optim/whole_adam.wgsl?raw';
import { elementwise } from '../ops/elementwise';
import type { Family } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, elements, wantShape } from '../tensor/tensor';

/** It moves m and v, so running it again would not give the same. */
const family: Family = { ...elementwise('optim/whole_adam', source, 'n'), cheap: false };

export interface WholeAdam {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
}

/** (m / bias1) / (√(v / bias2) + eps) for g, after m and v (lasting tensors of g's shape) took it in; they stay where the step is bad. */
export function wholeAdam(g: Tensor, m: Tensor, v: Tensor, control: Tensor, { beta1, beta2, eps }: WholeAdam): Tensor {
  wantShape('whole_adam: m', m, g.shape);
  wantShape('whole_adam: v', v, g.shape);
  const d = output('whole_adam', g.shape);
  const log = (beta: number) => Math.max(Math.log(beta), -1e30);
  dispatch(family, { g, control, m, v, d }, { n: elements(g), beta1, beta2, log_beta1: log(beta1), log_beta2: log(beta2), eps }, 12 * elements(g));
  node('whole_adam', { g }, [d], null);
  return d;
}
