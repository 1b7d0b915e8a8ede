// Trained factors of all layers with their frozen starts beside them, so that s·(B A − B₀ A₀) is one branch of twice the rank:
// A' = [A; A₀], B' = [B | −B₀].
import backSource from '../../../shaders/joint/beside_back.wgsl?raw';
import source from '../../../shaders/joint/beside.wgsl?raw';
import { elementwise } from '../ops/elementwise';
import { dispatch } from '../tensor/graph';
import { elements } from '../tensor/tensor';
import { type Flat, byBlocks } from './table';

const besideKernel = elementwise('joint/beside', source, 'n');
const backKernel = elementwise('joint/beside_back', backSource, 'n');

/** y [rows, 2 width] = [x | ± start], x and start [rows, width]; a matrix over another is one row of both. */
export interface Beside {
  /** Where y begins in `joint`, x in `params`, start in `frozen`. */
  readonly atY: number;
  readonly atX: number;
  readonly atStart: number;
  readonly rows: number;
  readonly width: number;
  readonly negative: boolean;
}

const tableFor = ({ joint, table }: Flat, pairs: readonly Beside[]) => table('joint beside', () =>
  byBlocks(elements(joint), pairs.map(({ atY, atX, atStart, rows, width, negative }) => ({ at: atY, size: 2 * rows * width, words: [atY, atX, atStart, width, 2 * rows * width, Number(negative)] }))));

/** Makes every y. */
export function makeBeside(flat: Flat, pairs: readonly Beside[]): void {
  const { params: p, frozen, joint } = flat;
  dispatch(besideKernel, { table: tableFor(flat, pairs), p, frozen, joint }, { n: elements(joint) });
}

/** Writes the gradient of every x. */
export function besideBack(flat: Flat, pairs: readonly Beside[]): void {
  dispatch(backKernel, { table: tableFor(flat, pairs), dy: flat.jointGradients, g: flat.gradients }, { n: elements(flat.joint) });
}
