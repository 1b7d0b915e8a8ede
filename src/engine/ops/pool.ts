// Rows of a pool that many share, looked up by tables whose ids do not repeat: the gradient is a look-up through the inverse table.
import lookupSource from '../../../shaders/elementwise/embedding.wgsl?raw';
import placeSource from '../../../shaders/elementwise/place_rows.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { bound, rebind, supplyFusion } from '../tensor/fuse';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements } from '../tensor/tensor';
import { elementwise } from './elementwise';

const lookup = elementwise('elementwise/embedding', lookupSource);
const place = elementwise('elementwise/place_rows', placeSource);

/** What `slots` holds for a row that no id names. */
export const NO_SLOT = 0x7fffffff;

/** Rows of `pool` [n, c] by `ids` u32 [m], no id twice: [m, c]. `slots` u32 [n] is the inverse: where in ids a row stands, else NO_SLOT. */
export function gatherRows(pool: Tensor, ids: Tensor, slots: Tensor): Tensor {
  const [n, columns] = wantPool('gather_rows', pool, ids, slots);
  const y = output('gather_rows', [elements(ids), columns]);
  dispatch(lookup, { ids, table: pool, y }, { size: elements(y), columns, vocab: n });
  node('gather_rows', { pool }, [y], ([dy]) => ({ pool: dy && placeRows(dy, ids, slots) }));
  return y;
}

/** The adjoint of gatherRows: row i of y [m, c] set into zeros [n, c] at ids[i]. */
export function placeRows(y: Tensor, ids: Tensor, slots: Tensor): Tensor {
  const [rows, columns] = y.shape as [number, number];
  if (y.shape.length !== 2 || rows !== elements(ids)) throw new ShapeError(`place_rows: wants a row an id, got ${describe(y)} and ${describe(ids)}`);
  const z = output('place_rows', [elements(slots), columns]);
  dispatch(place, { slots, y, c: y, z }, { size: elements(z), columns, rows, add_c: 0 });
  node('place_rows', { y }, [z], ([dz]) => ({ y: dz && gatherRows(dz, ids, slots) }));
  return z;
}

function wantPool(op: string, pool: Tensor, ids: Tensor, slots: Tensor): [number, number] {
  const [n, columns] = pool.shape;
  if (pool.shape.length !== 2 || n === undefined || columns === undefined || ids.dtype !== 'u32' || slots.dtype !== 'u32' || elements(slots) !== n) {
    throw new ShapeError(`${op}: wants a pool [n, c], u32 ids and u32 slots [n], got ${describe(pool)}, ${describe(ids)} ${ids.dtype}, ${describe(slots)} ${slots.dtype}`);
  }
  return [n, columns];
}

/** The gradients of a pool from several layers: each is added where it is placed. */
supplyFusion({
  consumer: 'elementwise/axpby',
  bindings: ['y', 'x'],
  join(sum, placed, binding) {
    if (placed.family.name !== place.name || sum.params.alpha !== 1 || sum.params.beta !== 1 || placed.params.add_c !== 0) return null;
    return rebind(placed, { c: bound(sum, binding === 'x' ? 'y' : 'x'), z: bound(sum, 'z') }, { add_c: 1 });
  },
});
