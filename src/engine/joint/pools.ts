// Rows of shared pools, looked up for all layers at once by lists in which no row stands twice; the gradient of a pool is gathered from
// all layers that draw from it.
import backSource from '../../../shaders/joint/pick_rows_back.wgsl?raw';
import source from '../../../shaders/joint/pick_rows.wgsl?raw';
import { elementwise } from '../ops/elementwise';
import { dispatch } from '../tensor/graph';
import { elements } from '../tensor/tensor';
import { type Flat, byBlocks } from './table';

const pickKernel = elementwise('joint/pick_rows', source, 'n');
const backKernel = elementwise('joint/pick_rows_back', backSource, 'n');

/** A pool [rows, width] in `params`, and the layers that draw from it. */
export interface Pool {
  readonly at: number;
  readonly rows: number;
  readonly width: number;
  readonly draws: readonly {
    /** y [ids, width] in `joint`; or, with the rows joined to vectors of this length, the vectors as its columns: [length, vectors]. */
    readonly atY: number;
    readonly columnsOf?: number;
    readonly ids: number;
    /** Lists u32 in `frozen`: ids of rows; and the inverse [rows], where in them a row stands or NO_SLOT of ops/pool.ts. */
    readonly atIds: number;
    readonly atSlots: number;
  }[];
}

const formOf = (ids: number, width: number, length = 0) => [length > 0 ? (ids * width) / length : 0, length];

/** Makes every y. */
export function pickRows({ params: p, joint, frozen, table }: Flat, pools: readonly Pool[]): void {
  const n = elements(joint);
  const words = () => byBlocks(n, pools.flatMap(({ at, width, draws }) => draws.map(({ atY, ids, atIds, columnsOf }) => ({ at: atY, size: ids * width, words: [atY, at, atIds, width, ids * width, ...formOf(ids, width, columnsOf)] }))));
  dispatch(pickKernel, { table: table('joint rows', words), p, frozen, joint }, { n });
}

/** Writes the gradient of every pool. */
export function pickRowsBack({ params, gradients: g, jointGradients: dy, frozen, table }: Flat, pools: readonly Pool[]): void {
  const n = elements(params);
  const firsts = pools.map((_, i) => pools.slice(0, i).reduce((sum, { draws }) => sum + draws.length, 0));
  const words = () => byBlocks(n, pools.map(({ at, rows, width, draws }, i) => ({ at, size: rows * width, words: [at, rows * width, width, firsts[i] as number, draws.length] })));
  const uses = table('joint draws', () => Uint32Array.from(pools.flatMap(({ width, draws }) => draws.flatMap(({ ids, atSlots, atY, columnsOf }) => [atSlots, atY, ...formOf(ids, width, columnsOf)]))));
  dispatch(backKernel, { table: table('joint pools', words), uses, frozen, dy, g }, { n });
}
