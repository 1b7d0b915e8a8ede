// Elementwise sums and fills, and the two ops that the reverse walk itself needs.
import addSource from '../../../shaders/elementwise/axpby.wgsl?raw';
import scaleBySource from '../../../shaders/elementwise/scale_by.wgsl?raw';
import fillSource from '../../../shaders/elementwise/fill.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { dispatch, node, output, supplyOwnOps } from '../tensor/graph';
import { type Shape, type Tensor, describe, elements, sameShape, sizeOf } from '../tensor/tensor';
import { elementwise } from './elementwise';
import { widen } from './widen';

const axpbyKernel = elementwise('elementwise/axpby', addSource, 'n');
const scaleByKernel = elementwise('elementwise/scale_by', scaleBySource);
const fillKernel = elementwise('elementwise/fill', fillSource, 'n');

/** alpha·x + beta·y, same shapes. */
export function axpby(x: Tensor, y: Tensor, alpha: number, beta: number): Tensor {
  if (!sameShape(x.shape, y.shape)) throw new ShapeError(`add: shapes differ: ${describe(x)} and ${describe(y)}`);
  const z = output('add', x.shape);
  dispatch(axpbyKernel, { x, y, z }, { n: elements(x), alpha, beta }, 2 * elements(x));
  node('add', { x, y }, [z], ([dz], needs) => ({
    x: dz && needs('x') ? scale(dz, alpha) : undefined,
    y: dz && needs('y') ? scale(dz, beta) : undefined,
  }));
  return z;
}

export const add = (x: Tensor, y: Tensor): Tensor => axpby(x, y, 1, 1);

/** alpha·x. */
export function scale(x: Tensor, alpha: number): Tensor {
  if (alpha === 1) return x;
  const z = output('scale', x.shape);
  dispatch(axpbyKernel, { x, y: x, z }, { n: elements(x), alpha, beta: 0 }, elements(x));
  node('scale', { x }, [z], ([dz]) => ({ x: dz && scale(dz, alpha) }));
  return z;
}

/** x·s[0], s [1] on the device. */
export function scaleBy(x: Tensor, s: Tensor): Tensor {
  const z = output('scale_by', x.shape);
  dispatch(scaleByKernel, { x, s, z }, { size: elements(x) }, elements(x));
  // Only the reverse walk uses it, on gradients whose factor is not differentiated.
  node('scale_by', { x }, [z], ([dz]) => ({ x: dz && scaleBy(dz, s) }));
  return z;
}

/** A tensor of one value. */
export function fill(shape: Shape, value: number): Tensor {
  const y = output('fill', shape);
  dispatch(fillKernel, { y }, { n: sizeOf(shape), value });
  return y;
}

/** A copy: the same numbers in a buffer of their own. */
export function copy(x: Tensor): Tensor {
  const z = output('copy', x.shape);
  dispatch(axpbyKernel, { x, y: x, z }, { n: elements(x), alpha: 1, beta: 0 });
  node('copy', { x }, [z], ([dz]) => ({ x: dz }));
  return z;
}

supplyOwnOps({ fill, add, scaleBy, widen });
