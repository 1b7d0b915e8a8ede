// Symmetric eigenvalue problems inside a recorded step, and what they solve: inverses and the Sylvester equation. All sites at once.
import divideSource from '../../../shaders/linalg/divide.wgsl?raw';
import eighSource from '../../../shaders/linalg/eigh.wgsl?raw';
import { grid1d, kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import type { Family } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, elements, wantShape } from '../tensor/tensor';
import { product, smallSquare, stackSizes } from './products';

/** Enough for every matrix tried, with two to spare: convergence is quadratic, and a workgroup cannot stop early together. */
export const sweepsFor = (n: number): number => Math.ceil(6 + 0.5 * Math.log2(Math.max(n, 2)));

const eighKernel = (LANES: number, PAIRS: number) => kernel('linalg/eigh', eighSource, (p) => grid1d(p.batch as number), { overrides: { LANES, PAIRS } });
const [software, gpu] = [eighKernel(1, 1), eighKernel(32, 8)];
const eighFamily: Family = { name: 'linalg/eigh', reflection: gpu.reflection, candidates: (profile) => [profile.software ? software : gpu] };
const divideKernel = elementwise('linalg/divide', divideSource);

export interface Eigen {
  /** [batch, n], largest first. */
  readonly values: Tensor;
  /** [batch, n, n], row i the unit eigenvector of value i: a = vectorsᵀ diag(values) vectors. */
  readonly vectors: Tensor;
}

/** Eigenvalues and vectors of symmetric a [batch, n, n], n ≤ 128, by two-sided Jacobi. Recorded; not differentiable. */
export function eigh(a: Tensor): Eigen {
  const [batch, n] = smallSquare('eigh: a', a);
  const [work, values, turned] = [output('eigh.work', [batch, 2, n, n]), output('eigh.values', [batch, n]), output('eigh.vectors', [batch, n, n])];
  const sweeps = sweepsFor(n);
  dispatch(eighFamily, { a, work, values, vectors: turned }, { batch, n, sweeps }, 9 * sweeps * batch * n ** 3);
  const vectors = orthonormalised(turned);
  node('eigh', { a }, [values, vectors], null);
  return { values, vectors };
}

/** The rows of v by one Newton–Schulz step, (3 I − v vᵀ) v / 2, which takes out what rounding added up over thousands of rotations. */
const orthonormalised = (v: Tensor): Tensor => product(product(v, v, { tb: true }), v, { alpha: -0.5, c: v, beta: 1.5 });

export interface DivideOptions {
  /** [batch, m], added to the divisor. */
  readonly columns?: Tensor;
  readonly damping?: number;
  readonly floor?: number;
  readonly relative?: number;
}

/**
 * y = x / (rows[b, i] (+ columns[b, j]) + damping) for x and y [batch, n, m], rows [batch, n]; zero where the divisor is at most `floor` in
 * size, or at most `relative` of the largest of the matrix's rows.
 */
export function divideInto(y: Tensor, x: Tensor, rows: Tensor, { columns, damping = 0, floor = 0, relative = 0 }: DivideOptions = {}): void {
  const [batch, n, m] = stackSizes('divide: x', x);
  wantShape('divide: rows', rows, [batch, n]);
  if (columns) wantShape('divide: columns', columns, [batch, m]);
  dispatch(divideKernel, { x, rows, columns: columns ?? rows, y }, { size: elements(x), n, m, use_columns: Number(columns !== undefined), damping, floor, relative });
}

/** As divideInto, a step tensor. */
export function divide(x: Tensor, rows: Tensor, options: DivideOptions = {}): Tensor {
  const y = output('divide', x.shape);
  divideInto(y, x, rows, options);
  node('divide', { x, rows, columns: options.columns }, [y], null);
  return y;
}

/** (a + damping I)⁻¹ [batch, n, n] from the eigenvalues of a; what lies at or below `floor` in size after damping has no inverse and is left out. */
export function inverse({ values, vectors }: Eigen, { damping = 0, floor = 0 }: { damping?: number; floor?: number } = {}): Tensor {
  return product(vectors, divide(vectors, values, { damping, floor }), { ta: true });
}

/**
 * X [batch, n, k] with A X + X B = C for symmetric A [batch, n, n] and B [batch, k, k], given as their eigenvalues and vectors, which
 * callers often need for the inverses too. In the two bases the equation is X_ij = C_ij / (λ_i + μ_j); where that sum is at most
 * `floor` in size, X_ij is zero. The general equation, with matrices that are not symmetric, is not solved here.
 */
export function sylvester(a: Eigen, b: Eigen, c: Tensor, floor = 1e-12): Tensor {
  const turned = product(product(a.vectors, c), b.vectors, { tb: true });
  return product(product(a.vectors, divide(turned, a.values, { columns: b.values, floor }), { ta: true }), b.vectors);
}
