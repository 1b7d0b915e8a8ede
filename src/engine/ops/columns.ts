// Ops along the columns of a matrix [rows, columns]: scaling, bias, sums, slices.
import addSource from '../../../shaders/elementwise/add_columns.wgsl?raw';
import scaleSource from '../../../shaders/elementwise/scale_columns.wgsl?raw';
import scaleBackSource from '../../../shaders/elementwise/scale_columns_back.wgsl?raw';
import sliceSource from '../../../shaders/elementwise/slice_columns.wgsl?raw';
import dotSource from '../../../shaders/reduce/column_dot.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { type ParamValues, ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { type Family, rowFamily } from '../tensor/family';
import { bound, rebind, supplyFusion } from '../tensor/fuse';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements, lastOf, rowsOf, wantShape } from '../tensor/tensor';
import { elementwise } from './elementwise';
import { reshape } from './reshape';

const scaleKernel = elementwise('elementwise/scale_columns', scaleSource);
const addKernel = elementwise('elementwise/add_columns', addSource);
const sliceKernel = elementwise('elementwise/slice_columns', sliceSource);
const backGrid = (ROWS: number) => (p: ParamValues) => grid1d((p.parts as number) * ceilDiv(p.columns as number, ROWS));
const scaleBack = (LANES: number, ROWS: number) => kernel('elementwise/scale_columns_back', scaleBackSource, backGrid(ROWS), { overrides: { LANES, ROWS } });
const [scaleBackSoftware, scaleBackWide] = [scaleBack(1, 16), scaleBack(8, 32)];
const scaleBackKernel: Family = { name: 'elementwise/scale_columns_back', reflection: scaleBackWide.reflection, candidates: ({ software }) => [software ? scaleBackSoftware : scaleBackWide] };
const dotKernel = rowFamily((LANES, ROWS) => kernel('reduce/column_dot', dotSource, (p) => grid1d(ceilDiv(p.columns as number, ROWS)), { overrides: { LANES, ROWS } }));

/** Σ over rows of x·z·s: x, z [..., c] and s [rows]; z and s may be left out. Not differentiable: it is itself a gradient. */
export function columnDot(x: Tensor, z?: Tensor, s?: Tensor): Tensor {
  const y = output('column_dot', [lastOf(x)]);
  dispatch(dotKernel, { x, z: z ?? x, s: s ?? x, y }, { rows: rowsOf(x), columns: lastOf(x), use_z: Number(z !== undefined), use_s: Number(s !== undefined) }, 2 * elements(x));
  node('column_dot', { x, z, s }, [y], null);
  return y;
}

/**
 * x [..., c] times g [c], column by column: a gate per rank. g [parts, c] has numbers for each of so many equal stretches of rows, the last
 * being as long as what is left: the same numbers in all of them let as many workgroups sum up the gradient.
 */
export function scaleColumns(x: Tensor, g: Tensor): Tensor {
  const columns = lastOf(x);
  const parts = rowsOf(g);
  wantShape('scale_columns: g', g, g.shape.length === 1 ? [columns] : [parts, columns]);
  const stretch = Math.ceil(rowsOf(x) / parts);
  const z = output('scale_columns', x.shape);
  dispatch(scaleKernel, { x, g, c: x, z }, { size: elements(x), columns, stretch, add_c: 0 }, elements(x));
  node('scale_columns', { x, g }, [z], ([dz], needs) => {
    if (!dz) return {};
    if (parts > 1 && needs('g')) return scaleColumnsBack(x, g, dz, stretch);
    return { x: needs('x') ? scaleColumns(dz, g) : undefined, g: needs('g') ? reshape(columnDot(dz, x), g.shape) : undefined };
  });
  return z;
}

/** Both gradients in one pass. Not differentiable. */
function scaleColumnsBack(x: Tensor, g: Tensor, dz: Tensor, stretch: number): { x: Tensor; g: Tensor } {
  const [dx, dg] = [output('scale_columns.dx', x.shape), output('scale_columns.dg', g.shape)];
  dispatch(scaleBackKernel, { x, g, dz, dx, dg }, { rows: rowsOf(x), columns: lastOf(x), stretch, parts: rowsOf(g) }, 3 * elements(x));
  node('scale_columns_back', { x, g, dz }, [dx, dg], null);
  return { x: dx, g: dg };
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

/** A residual behind it: x·g + c. */
supplyFusion({
  consumer: 'elementwise/axpby',
  bindings: ['y', 'x'],
  join(sum, scaled, binding) {
    if (scaled.family.name !== scaleKernel.name || sum.params.alpha !== 1 || sum.params.beta !== 1 || scaled.params.add_c !== 0) return null;
    return rebind(scaled, { c: bound(sum, binding === 'x' ? 'y' : 'x'), z: bound(sum, 'z') }, { add_c: 1 });
  },
});
