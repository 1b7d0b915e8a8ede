// The orthogonal factor of many matrices at once, by products alone.
import source from '../../../shaders/linalg/normalise.wgsl?raw';
import { ConfigError } from '../../util/errors';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';
import { product, stackSizes } from './products';

const family = rowFamily((LANES, ROWS) => kernel('linalg/normalise', source, (p) => grid1d(ceilDiv(p.batch as number, ROWS)), { overrides: { LANES, ROWS } }));

/** a [batch, n, m] by its Frobenius norms; zeros stay zeros. */
function normalise(a: Tensor): Tensor {
  const [batch] = stackSizes('normalise', a);
  const y = output('normalise', a.shape);
  dispatch(family, { x: a, y }, { batch, size: elements(a) / batch }, 5 * elements(a));
  node('normalise', { a }, [y], null);
  return y;
}

/** Newton–Schulz iterations after which singular values down to `smallest` of the Frobenius norm are 1 within f32: each adds half again to small ones. */
export const iterationsFor = (smallest: number): number => Math.ceil(Math.log(1 / smallest) / Math.log(1.5)) + 5;

/**
 * U Vᵀ of a = U S Vᵀ [batch, n, m] by Newton–Schulz, X ← (3 X − X Xᵀ X) / 2 (Björck and Bowie 1971), from a over its Frobenius norm.
 * Singular values below 1e-4 of that norm stay below 1 with the default number of iterations, zeros stay zeros. Recorded; not differentiable.
 */
export function polar(a: Tensor, iterations = iterationsFor(1e-4)): Tensor {
  if (!Number.isInteger(iterations) || iterations < 1) throw new ConfigError(`polar: ${iterations} iterations`, 'Give a whole number from 1.');
  const [, n, m] = stackSizes('polar: a', a);
  let x = normalise(a);
  for (let i = 0; i < iterations; i++) {
    // The Gram matrix of the shorter side.
    x = n <= m ? product(product(x, x, { tb: true }), x, { alpha: -0.5, c: x, beta: 1.5 }) : product(x, product(x, x, { ta: true }), { alpha: -0.5, c: x, beta: 1.5 });
  }
  node('polar', { a }, [x], null);
  return x;
}
