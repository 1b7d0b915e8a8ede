// The Euclidean norm, not squared: for penalties that pull with constant strength, and for reports.
import normSource from '../../../shaders/reduce/l2_norm.wgsl?raw';
import { kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';
import { scaleBy } from './add';

const normKernel = rowFamily((LANES, ROWS) => kernel('reduce/l2_norm', normSource, () => [1], { overrides: { LANES, ROWS } }));

/** √Σ x² as [1]; its gradient at 0 is 0. */
export function l2Norm(x: Tensor): Tensor {
  const [y, inverse] = [output('l2_norm', [1]), output('l2_norm.inverse', [1])];
  dispatch(normKernel, { x, y, inverse }, { n: elements(x) }, 2 * elements(x));
  node('l2_norm', { x }, [y], ([dy]) => ({ x: dy && scaleBy(scaleBy(x, inverse), dy) }));
  return y;
}
