// Factors with a gate on every rank, of all layers at once: y = diag(rows) B diag(gate − start), so that a gated branch is a plain LoRA to
// the rest of the step. The gradients follow from that of y: dB = dy diag(gate), dgate = Σ over rows of dy ⊙ B (⊙ rows).
import factorSource from '../../../shaders/joint/gates_factor.wgsl?raw';
import gatesSource from '../../../shaders/joint/gates.wgsl?raw';
import sumsSource from '../../../shaders/joint/gate_sums.wgsl?raw';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import { rowFamily } from '../tensor/family';
import { dispatch } from '../tensor/graph';
import { elements } from '../tensor/tensor';
import { type Flat, NOWHERE, byBlocks, byUnits } from './table';

const gatesKernel = elementwise('joint/gates', gatesSource, 'n');
const factorKernel = elementwise('joint/gates_factor', factorSource, 'n');
const sumsKernel = rowFamily((LANES, ROWS) => kernel('joint/gate_sums', sumsSource, (p) => grid1d(ceilDiv(p.units as number, ROWS)), { overrides: { LANES, ROWS } }));

/** Highest rank of a factor that is made: the product that its gradient takes grows with the rank (docs/benchmarks.md). */
export const MOST_GATED = 256;

/** One layer's factor: where its parts begin, each in its arena. */
export interface Gated {
  /** B [rows, columns], in `params` or in `frozen`; and y of that size, in `joint`. */
  readonly atB: number;
  readonly atY: number;
  /** [columns], in `params` */
  readonly atGate: number;
  /** [rows], in `params`, where rows have a gate, too. */
  readonly atRows?: number;
  /** [columns], in `frozen`, where the gate counts from a start; then B is frozen, too. */
  readonly atStart?: number;
  readonly rows: number;
  readonly columns: number;
}

const layersTable = ({ joint, table }: Flat, layers: readonly Gated[]) => table('joint gates', () =>
  byBlocks(elements(joint), layers.map(({ atY, atB, atGate, atRows, atStart, rows, columns }) => ({ at: atY, size: rows * columns, words: [atY, atB, atGate, atRows ?? NOWHERE, atStart ?? NOWHERE, columns, rows * columns] }))));

/** Makes y of all layers. `trains`: whether B stands in `params`. */
export function makeGated(flat: Flat, layers: readonly Gated[], trains: boolean): void {
  const n = elements(flat.joint);
  dispatch(gatesKernel, { table: layersTable(flat, layers), source: trains ? flat.params : flat.frozen, p: flat.params, joint: flat.joint }, { n }, 2 * n);
}

/** Writes the gradients of gates, and of B where it trains. */
export function gatedBack(flat: Flat, layers: readonly Gated[], trains: boolean): void {
  const { params: p, gradients: g, jointGradients: dy, joint } = flat;
  const n = elements(joint);
  if (trains) dispatch(factorKernel, { table: layersTable(flat, layers), dy, p, g }, { n }, n);
  const source = trains ? p : flat.frozen;
  const { places: units, words } = byUnits(layers.flatMap(({ atY, atB, atGate, atRows, rows, columns }) => [
    { size: columns, words: [atY, atB, atGate, 1, columns, rows, atRows ?? NOWHERE] },
    ...(atRows === undefined ? [] : [{ size: rows, words: [atY, atB, atRows, columns, 1, columns, atGate] }]),
  ]));
  dispatch(sumsKernel, { table: flat.table('joint gate sums', () => words), dy, source, p, g }, { units }, 2 * n);
}
