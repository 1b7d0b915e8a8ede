// The l1 norm, for sparsity penalties.
import signSource from '../../../shaders/elementwise/sign_times.wgsl?raw';
import normSource from '../../../shaders/reduce/l1_norm.wgsl?raw';
import { kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';
import { elementwise } from './elementwise';

const normKernel = rowFamily((LANES, ROWS) => kernel('reduce/l1_norm', normSource, () => [1], { overrides: { LANES, ROWS } }));
const signKernel = elementwise('elementwise/sign_times', signSource);

/** Σ |x| as [1]; its gradient at 0 is 0. */
export function l1Norm(x: Tensor): Tensor {
  const y = output('l1_norm', [1]);
  dispatch(normKernel, { x, y }, { n: elements(x) }, 2 * elements(x));
  node('l1_norm', { x }, [y], ([dy]) => {
    if (!dy) return {};
    const dx = output('l1_norm.dx', x.shape);
    dispatch(signKernel, { x, s: dy, y: dx }, { size: elements(x) });
    node('l1_norm_backward', { x, dy }, [dx], null);
    return { x: dx };
  });
  return y;
}
