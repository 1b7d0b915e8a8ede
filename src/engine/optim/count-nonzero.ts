// How many elements of an optimiser group are not exactly zero.
import source from '../../../shaders/reduce/count_nonzero.wgsl?raw';
import { kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';

const countKernel = rowFamily((LANES, ROWS) => kernel('reduce/count_nonzero', source, () => [1], { overrides: { LANES, ROWS } }));

/** The count as a tensor [1]. */
export function countNonzero(params: Tensor, blocks: Tensor, which: number): Tensor {
  const count = output('count_nonzero', [1]);
  dispatch(countKernel, { p: params, blocks, count }, { n: elements(params), which });
  return count;
}
