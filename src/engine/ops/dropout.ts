// Dropout whose choice is a pure function of seed, step, stream and element.
import source from '../../../shaders/random/dropout.wgsl?raw';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { single } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';

const dropoutKernel = single(kernel('random/dropout', source, (p) => grid1d(ceilDiv(p.size as number, 256))));

/** Zeroes a share `p` of x and scales the rest by 1 / (1 − p). `stream` tells one use from another. */
export function dropout(x: Tensor, p: number, stream: number): Tensor {
  if (p === 0) return x;
  const y = output('dropout', x.shape);
  dispatch(dropoutKernel, { x, y }, { size: elements(x), stream, p }, elements(x));
  node('dropout', { x }, [y], ([dy]) => ({ x: dy && dropout(dy, p, stream) }));
  return y;
}
