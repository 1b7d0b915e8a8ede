// A row's hidden states as one vector: their mean, padding left out.
import backwardSource from '../../../shaders/elementwise/mean_pool_backward.wgsl?raw';
import source from '../../../shaders/reduce/mean_pool.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements } from '../tensor/tensor';
import { elementwise } from './elementwise';

const meanKernel = elementwise('reduce/mean_pool', source);
const backwardKernel = elementwise('elementwise/mean_pool_backward', backwardSource);

/** Mean of x [batch, time, c] over the times with mask u32 [batch, time] ≠ 0: [batch, c]; zeros where a row has none. */
export function meanPool(x: Tensor, mask: Tensor): Tensor {
  const [batch, time, columns] = x.shape;
  if (batch === undefined || time === undefined || columns === undefined || mask.dtype !== 'u32' || elements(mask) !== batch * time) {
    throw new ShapeError(`mean_pool: wants x [batch, time, c] and a u32 mask [batch, time], got ${describe(x)} and ${describe(mask)} ${mask.dtype}`);
  }
  const [y, share] = [output('mean_pool', [batch, columns]), output('mean_pool.share', [batch])];
  dispatch(meanKernel, { x, mask, y, share }, { size: elements(y), time, columns }, elements(x));
  node('mean_pool', { x }, [y], ([dy]) => {
    if (!dy) return {};
    const dx = output('mean_pool_backward', x.shape);
    dispatch(backwardKernel, { dy, mask, share, dx }, { size: elements(dx), time, columns }, elements(dx));
    node('mean_pool_backward', { dy }, [dx], null);
    return { x: dx };
  });
  return y;
}
