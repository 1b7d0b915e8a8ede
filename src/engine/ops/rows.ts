// Ops along the rows of a matrix [rows, columns]: scaling, and the lengths of the rows of an adapted weight.
import scaleSource from '../../../shaders/elementwise/scale_rows.wgsl?raw';
import normsSource from '../../../shaders/lowrank/inverse_norms.wgsl?raw';
import dotSource from '../../../shaders/reduce/row_dot.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements, lastOf, rowsOf, wantShape } from '../tensor/tensor';
import { scale as scaled } from './add';
import { scaleColumns } from './columns';
import { elementwise } from './elementwise';
import { matmul } from './matmul';

const scaleKernel = elementwise('elementwise/scale_rows', scaleSource);
const dotKernel = rowFamily((LANES, ROWS) => kernel('reduce/row_dot', dotSource, (p) => grid1d(ceilDiv(p.rows as number, ROWS)), { overrides: { LANES, ROWS } }));
const normsKernel = rowFamily((LANES, ROWS) => kernel('lowrank/inverse_norms', normsSource, (p) => grid1d(ceilDiv(p.rows as number, ROWS)), { overrides: { LANES, ROWS } }));

/** Σ over columns of x·z, [rows]. Not differentiable: it is itself a gradient. */
function rowDot(x: Tensor, z: Tensor): Tensor {
  const y = output('row_dot', [rowsOf(x)]);
  dispatch(dotKernel, { x, z, y }, { rows: rowsOf(x), columns: lastOf(x) }, 2 * elements(x));
  node('row_dot', { x, z }, [y], null);
  return y;
}

/** x [rows, columns] times s [rows], row by row. */
export function scaleRows(x: Tensor, s: Tensor): Tensor {
  wantShape('scale_rows: s', s, [rowsOf(x)]);
  const z = output('scale_rows', x.shape);
  dispatch(scaleKernel, { x, s, z }, { size: elements(x), columns: lastOf(x) }, elements(x));
  node('scale_rows', { x, s }, [z], ([dz], needs) => ({
    x: dz && needs('x') ? scaleRows(dz, s) : undefined,
    s: dz && needs('s') ? rowDot(dz, x) : undefined,
  }));
  return z;
}

/**
 * 1/‖row‖ of W + scale·B A, [out]: W [out, in], B [out, rank], A [rank, in]. `held`: a constant to every gradient; otherwise A and B
 * have one, without an [out, in] product.
 */
export function inverseRowNorms(W: Tensor, B: Tensor, A: Tensor, scale: number, held: boolean): Tensor {
  const [out, inn] = [rowsOf(W), lastOf(W)];
  const rank = lastOf(B);
  if (W.dtype !== 'f32') throw new ShapeError(`inverse_norms: ${describe(W)} is kept as halves`, 'Load the model with f32 weights.');
  wantShape('inverse_norms: B', B, [out, rank]);
  wantShape('inverse_norms: A', A, [rank, inn]);
  const n = output('inverse_norms', [out]);
  dispatch(normsKernel, { w: W, b: B, a: A, n }, { rows: out, columns: inn, rank, scale }, 2 * out * inn * (rank + 2));
  if (held) return n;
  node('inverse_norms', { A, B }, [n], ([dn], needs) => {
    if (!dn) return {};
    // dn/dV = −n³ V row by row, V = W + scale·B A.
    const c = scaled(scaleColumns(scaleColumns(scaleColumns(dn, n), n), n), -scale);
    const cB = scaleRows(B, c);
    return {
      A: needs('A') ? matmul(cB, W, { ta: true, c: matmul(matmul(cB, B, { ta: true }), A, { alpha: scale }) }) : undefined,
      B: needs('B') ? scaleRows(matmul(W, A, { tb: true, c: matmul(B, matmul(A, A, { tb: true }), { alpha: scale }) }), c) : undefined,
    };
  });
  return n;
}
