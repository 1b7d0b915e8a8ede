// Pictures cut into patches: with it a convolution whose kernels do not overlap is a matrix product.
import source from '../../../shaders/elementwise/patches.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { dispatch, node, output } from '../tensor/graph';
import { type Shape, type Tensor, describe, elements } from '../tensor/tensor';
import { elementwise } from './elementwise';

const patchesKernel = elementwise('elementwise/patches', source);

/** Pictures [batch, channels, height, width] as rows of patches [batch, patches, channels·size²], in the order of a convolution's weight. */
export function patches(x: Tensor, size: number): Tensor {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  if (x.shape.length !== 4 || height % size !== 0 || width % size !== 0) throw new ShapeError(`patches: wants pictures [batch, channels, height, width] whose sides are multiples of ${size}, got ${describe(x)}`);
  return moved(x, [batch, (height / size) * (width / size), channels * size ** 2], x.shape, size, 0);
}

/** `pictures`: the shape on the side of the pictures. */
function moved(x: Tensor, shape: Shape, pictures: Shape, edge: number, back: 0 | 1): Tensor {
  const z = output('patches', shape);
  const [, channels, height, width] = pictures as [number, number, number, number];
  dispatch(patchesKernel, { x, z }, { size: elements(x), channels, height, width, edge, back });
  node('patches', { x }, [z], ([dz]) => ({ x: dz && moved(dz, x.shape, pictures, edge, back === 0 ? 1 : 0) }));
  return z;
}
