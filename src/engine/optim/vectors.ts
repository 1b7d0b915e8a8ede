// Arithmetic on whole arenas: y += a x, a guarded copy. Arenas of the same tensors have the same layout, and their gaps are zero.
import accumulateSource from '../../../shaders/optim/accumulate.wgsl?raw';
import keepSource from '../../../shaders/optim/keep.wgsl?raw';
import { elementwise } from '../ops/elementwise';
import { dispatch } from '../tensor/graph';
import { type Tensor, elements, wantShape } from '../tensor/tensor';

const accumulateKernel = elementwise('optim/accumulate', accumulateSource, 'n');
const keepKernel = elementwise('optim/keep', keepSource, 'n');

/** Records y ← y + a·x in place; a [1], x of y's shape. Not differentiable. */
export function accumulate(y: Tensor, a: Tensor, x: Tensor): void {
  wantShape('accumulate: x', x, y.shape);
  dispatch(accumulateKernel, { a, x, y }, { n: elements(y) }, 2 * elements(y));
}

/** Records y ← x unless the step is bad (`control` of AdamW); for state that lasts from step to step. */
export function keep(y: Tensor, x: Tensor, control: Tensor): void {
  wantShape('keep: value', x, y.shape);
  dispatch(keepKernel, { control, x, y }, { n: elements(y) });
}
