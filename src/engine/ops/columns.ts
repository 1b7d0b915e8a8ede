// Ops along the columns of a matrix [rows, columns]: scaling, bias, sums, slices.
import addSource from '../../../shaders/elementwise/add_columns.wgsl?raw';
import scaleSource from '../../../shaders/elementwise/scale_columns.wgsl?raw';
import sliceSource from '../../../shaders/elementwise/slice_columns.wgsl?raw';
import dotSource from '../../../shaders/reduce/column_dot.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements, lastOf, rowsOf, wantShape } from '../tensor/tensor';
import { elementwise } from './elementwise';
import { reshape } from './reshape';

const scaleKernel = elementwise('elementwise/scale_columns', scaleSource);
const addKernel = elementwise('elementwise/add_columns', addSource);
const sliceKernel = elementwise('elementwise/slice_columns', sliceSource);
const dotKernel = rowFamily((LANES, ROWS) => kernel('reduce/column_dot', dotSource, (p) => grid1d(ceilDiv(p.columns as number, ROWS)), { overrides: { LANES, ROWS } }));

/** Σ over rows of x·z·s: x, z [..., c] and s [rows]; z and s may be left out. Not differentiable: it is itself a gradient. */
export function columnDot(x: Tensor, z?: Tensor, s?: Tensor): Tensor {
  const y = output('column_dot', [lastOf(x)]);
  dispatch(dotKernel, { x, z: z ?? x, s: s ?? x, y }, { rows: rowsOf(x), columns: lastOf(x), use_z: Number(z !== undefined), use_s: Number(s !== undefined) }, 2 * elements(x));
  node('column_dot', { x, z, s }, [y], null);
  return y;
}

/** x [..., c] times g [c], column by column: a gate per rank. */
export function scaleColumns(x: Tensor, g: Tensor): Tensor {
  wantShape('scale_columns: g', g, [lastOf(x)]);
  const z = output('scale_columns', x.shape);
  dispatch(scaleKernel, { x, g, z }, { size: elements(x), columns: lastOf(x) }, elements(x));
  node('scale_columns', { x, g }, [z], ([dz], needs) => ({
    x: dz && needs('x') ? scaleColumns(dz, g) : undefined,
    g: dz && needs('g') ? columnDot(dz, x) : undefined,
  }));
  return z;
}

/** x [..., c] plus b [c]: a bias. */
export function addColumns(x: Tensor, b: Tensor): Tensor {
  wantShape('add_columns: b', b, [lastOf(x)]);
  const z = output('add_columns', x.shape);
  dispatch(addKernel, { x, b, z }, { size: elements(x), columns: lastOf(x) }, elements(x));
  node('add_columns', { x, b }, [z], ([dz], needs) => ({ x: dz, b: dz && needs('b') ? columnDot(dz) : undefined }));
  return z;
}

/** x [batch, time, c] plus a table [time, c] that all rows of the batch share. */
export function addPositions(x: Tensor, table: Tensor): Tensor {
  const [batch, time, columns] = x.shape as [number, number, number];
  wantShape('add_positions: table', table, [time, columns]);
  return reshape(addColumns(reshape(x, [batch, time * columns]), reshape(table, [time * columns])), x.shape);
}

/** Columns [start, start + width) of x [..., c]. */
export function sliceColumns(x: Tensor, start: number, width: number): Tensor {
  const wide = lastOf(x);
  if (start < 0 || width < 1 || start + width > wide) throw new ShapeError(`slice_columns: [${start}, ${start + width}) is not inside ${describe(x)}`);
  const z = output('slice_columns', [...x.shape.slice(0, -1), width]);
  dispatch(sliceKernel, { x, z }, { size: elements(z), wide, narrow: width, start, scatter: 0 });
  node('slice_columns', { x }, [z], ([dz]) => ({ x: dz && placeColumns(dz, start, wide) }));
  return z;
}

/** The adjoint of sliceColumns: x [..., c] set into zeros [..., wide] at column `start`. */
export function placeColumns(x: Tensor, start: number, wide: number): Tensor {
  const z = output('place_columns', [...x.shape.slice(0, -1), wide]);
  dispatch(sliceKernel, { x, z }, { size: elements(z), wide, narrow: lastOf(x), start, scatter: 1 });
  node('place_columns', { x }, [z], ([dz]) => ({ x: dz && sliceColumns(dz, start, lastOf(x)) }));
  return z;
}
