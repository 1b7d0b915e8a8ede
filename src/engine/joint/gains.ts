// Gains m / ‖row of W + s B A‖ of all layers, the norms held constant in the gradient (DoRA). Each layer's norms take a dispatch of their
// own, since weights stand in buffers of their own; the way back to m takes one for all.
import backSource from '../../../shaders/joint/gains_back.wgsl?raw';
import gainsSource from '../../../shaders/lowrank/gains.wgsl?raw';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import { rowFamily } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, lastOf, rowsOf } from '../tensor/tensor';
import { type Flat, byUnits } from './table';

const gainsKernel = rowFamily((LANES, ROWS) => kernel('lowrank/gains', gainsSource, (p) => grid1d(ceilDiv(p.rows as number, 4 * ROWS)), { overrides: { LANES, ROWS } }));
const backKernel = elementwise('joint/gains_back', backSource, 'units');

/** Stretches of rows that have the gains each for itself, so that their gradients are summed by as many workgroups. */
export const GAIN_PARTS = 16;

export interface Gains {
  /** W [out, in], B [out, rank], A [rank, in], m [out] */
  readonly W: Tensor;
  readonly B: Tensor;
  readonly A: Tensor;
  readonly m: Tensor;
  readonly scale: number;
  /** Where m begins in `params`, and the gains in `joint`; and these as a tensor [parts, out]. */
  readonly atM: number;
  readonly atGains: number;
  readonly gains: Tensor;
}

/** Makes the gains of every layer. The way back writes the gradient of every m. */
export function makeGains({ gradients: g, jointGradients: dgains, table }: Flat, layers: readonly Gains[]): { back: () => void } {
  const { places: units, words } = byUnits(layers.map(({ W, atM, atGains }) => ({ size: rowsOf(W), words: [atGains, atM, rowsOf(W)] })));
  const inverse = output('inverse norms', [units]);
  let first = 0;
  for (const { W, B, A, m, scale, gains } of layers) {
    const [rows, columns, rank] = [rowsOf(W), lastOf(W), lastOf(B)];
    dispatch(gainsKernel, { w: W, b: B, a: A, m, inverse, gains }, { rows, columns, rank, scale, first, parts: GAIN_PARTS }, 2 * rows * columns * (rank + 2));
    first += rows;
  }
  return { back: () => dispatch(backKernel, { table: table('gains', () => words), inverse, dgains, g }, { units, parts: GAIN_PARTS }, units * GAIN_PARTS) };
}
