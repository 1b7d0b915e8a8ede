// Pieces that several architectures have.
import { reshape, sliceColumns } from '../engine/ops';
import type { Tensor } from '../engine/tensor/tensor';

/** x [batch, time, c] at time 0: [batch, c]. */
export function firstToken(x: Tensor): Tensor {
  const [batch, time, columns] = x.shape as [number, number, number];
  return sliceColumns(reshape(x, [batch, time * columns]), 0, columns);
}
