// How far a set of vectors is from orthonormal, for regularisers.
import source from '../../../shaders/reduce/off_identity.wgsl?raw';
import { kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, lastOf, wantShape } from '../tensor/tensor';
import { scaleBy } from './add';

const offKernel = rowFamily((LANES, ROWS) => kernel('reduce/off_identity', source, () => [1], { overrides: { LANES, ROWS } }));

/** ‖G − I‖_F as [1] of G [n, n]; its gradient is 0 where the norm is. */
export function offIdentity(g: Tensor): Tensor {
  const n = lastOf(g);
  wantShape('off_identity: g', g, [n, n]);
  const [y, d] = [output('off_identity', [1]), output('off_identity.d', [n, n])];
  dispatch(offKernel, { g, y, d }, { n }, 4 * n * n);
  node('off_identity', { g }, [y], ([dy]) => ({ g: dy && scaleBy(d, dy) }));
  return y;
}
