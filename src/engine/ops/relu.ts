// The rectifier, also around a diagonal that is known beside it.
import reluSource from '../../../shaders/elementwise/relu.wgsl?raw';
import backwardSource from '../../../shaders/elementwise/relu_backward.wgsl?raw';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, elements, lastOf, wantShape } from '../tensor/tensor';
import { elementwise } from './elementwise';

const reluKernel = elementwise('elementwise/relu', reluSource);
const backwardKernel = elementwise('elementwise/relu_backward', backwardSource);

export interface ReluOptions {
  /** s [n] for square x [n, n]: relu(x + diag(s)) − diag(s), which is exactly 0 where x is 0 and s ≥ 0. Not differentiated. */
  readonly diagonal?: Tensor;
  /** With a diagonal: entries beside it keep their signs. */
  readonly keepSigns?: boolean;
}

/** max(x, 0); its gradient at 0 is 0. */
export function relu(x: Tensor, { diagonal, keepSigns = false }: ReluOptions = {}): Tensor {
  const columns = lastOf(x);
  if (diagonal) {
    wantShape('relu: x', x, [columns, columns]);
    wantShape('relu: diagonal', diagonal, [columns]);
  }
  const params = { size: elements(x), columns, use_diagonal: Number(diagonal !== undefined), keep_signs: Number(keepSigns && diagonal !== undefined) };
  const y = output('relu', x.shape);
  dispatch(reluKernel, { x, s: diagonal ?? x, y }, params, elements(x));
  node('relu', { x }, [y], ([dy]) => {
    if (!dy) return {};
    const dx = output('relu.dx', x.shape);
    dispatch(backwardKernel, { x, s: diagonal ?? x, dy, dx }, params, elements(x));
    node('relu_backward', { x, dy }, [dx], null);
    return { x: dx };
  });
  return y;
}
