// Pseudo-inverses of small matrices inside a recorded step.
import source from '../../../shaders/linalg/jacobi.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { grid1d, kernel } from '../gpu/kernel';
import type { Family } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe } from '../tensor/tensor';
import { divide, sweepsFor } from './eigen';
import { SMALL, product, stackSizes } from './products';

const make = (PAIRS: number, LANES: number) => kernel('linalg/jacobi', source, (p) => grid1d(p.batch as number), { overrides: { PAIRS, LANES } });
const [software, gpu] = [make(1, 1), make(64, 4)];
const family: Family = { name: 'linalg/jacobi', reflection: gpu.reflection, candidates: (profile) => [profile.software ? software : gpu] };

/**
 * The pseudo-inverse [batch, m, n] of a [batch, n, m], n ≤ 128. Singular values at or below `cutoff` of the largest count as zero; in f32 the
 * smallest that can be told from zero are near 1e-6 of it. Recorded; not differentiable.
 */
export function pinv(a: Tensor, cutoff = 1e-5): Tensor {
  const [batch, n, m] = stackSizes('pinv: a', a);
  if (n > SMALL) throw new ShapeError(`pinv: a: more than ${SMALL} rows: ${describe(a)}`, 'Turn the matrices where they are tall; larger ones go through the drivers.');
  const sweeps = sweepsFor(n);
  const [g, turned, lengths] = [output('pinv.rows', [batch, n, m]), output('pinv.turned', [batch, n, n]), output('pinv.lengths', [batch, n])];
  dispatch(family, { a, g, turned, lengths }, { batch, n, m, sweeps }, 6 * sweeps * batch * n * n * (m + n / 2));
  // a = turnedᵀ g with orthogonal rows of g, so a⁺ = gᵀ diag(1 / ‖g_i‖²) turned.
  const y = product(g, divide(turned, lengths, { relative: cutoff * cutoff }), { ta: true });
  node('pinv', { a }, [y], null);
  return y;
}
