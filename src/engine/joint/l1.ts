// A penalty on the size of all numbers of an optimiser group: weight · Σ |p|.
import backSource from '../../../shaders/joint/l1_back.wgsl?raw';
import source from '../../../shaders/joint/l1.wgsl?raw';
import { kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import { rowFamily } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';
import type { Flat } from './table';

const sumKernel = rowFamily((LANES, ROWS) => kernel('joint/l1', source, () => [1], { overrides: { LANES, ROWS } }));
const backKernel = elementwise('joint/l1_back', backSource, 'n');

/** weight · Σ |p| over the elements of group `which` as [1], and its gradient, to be added to those of the loss; 0 where p is. */
export function groupL1({ params: p, gradients: g }: Flat, blocks: Tensor, which: number, weight: number): { value: Tensor; back: () => void } {
  const n = elements(p);
  const value = output('joint l1', [1]);
  dispatch(sumKernel, { p, blocks, y: value }, { n, which, weight }, 2 * n);
  return { value, back: () => dispatch(backKernel, { p, blocks, g }, { n, which, weight }, 2 * n) };
}
