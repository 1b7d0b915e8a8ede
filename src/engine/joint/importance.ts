// AdaLoRA's importance of triplets (a number of E, a row of A, a column of B) and their dropping to a budget, on the device: which are
// dropped follows from counting smaller scores, so nothing is sorted and the host is not asked.
import dropSource from '../../../shaders/lowrank/drop_ranks.wgsl?raw';
import sensitivitySource from '../../../shaders/lowrank/sensitivity.wgsl?raw';
import scoresSource from '../../../shaders/lowrank/triplet_scores.wgsl?raw';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { byUnits } from './table';
import { elementwise } from '../ops/elementwise';
import { rowFamily } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';

const sensitivityKernel = elementwise('lowrank/sensitivity', sensitivitySource, 'n');
const scoresKernel = rowFamily((LANES, ROWS) => kernel('lowrank/triplet_scores', scoresSource, (p) => grid1d(ceilDiv(p.total as number, ROWS)), { overrides: { LANES, ROWS } }));
const dropKernel = elementwise('lowrank/drop_ranks', dropSource, 'total');

/** Flat arenas [n] of all trainable numbers, and what guards and steers a step. */
export interface Measured {
  readonly params: Tensor;
  readonly gradients: Tensor;
  readonly control: Tensor;
  /** [2]: 1 where sensitivities are measured in this step; how many triplets are dropped, 0 = none. */
  readonly schedule: Tensor;
  /** Smoothed sensitivity and uncertainty [n], which last. */
  readonly sensitivity: Tensor;
  readonly uncertainty: Tensor;
  /** A table of words on the device, by name. */
  table(name: string, words: () => Uint32Array): Tensor;
}

/** Where one layer's triplets stand in the arenas: A [rank, columns], B [rows, rank], E [rank]. */
export interface Triplets {
  readonly rank: number;
  readonly rows: number;
  readonly columns: number;
  readonly atA: number;
  readonly atB: number;
  readonly atE: number;
}

/** Measures, scores all triplets, and zeroes E of those that the schedule drops. */
export function allocateRanks({ params, gradients, control, schedule, sensitivity: s, uncertainty: u, table }: Measured, layers: readonly Triplets[], beta1: number, beta2: number): void {
  const n = elements(params);
  dispatch(sensitivityKernel, { p: params, g: gradients, control, schedule, s, u }, { n, beta1, beta2 }, 9 * n);
  const total = layers.reduce((sum, { rank }) => sum + rank, 0);
  const score = output('triplet scores', [total]);
  const { words } = byUnits(layers.map(({ rank, rows, columns, atA, atB, atE }) => ({ size: rank, words: [rank, rows, columns, atE, atA, atB] })));
  const triplets = table('triplets', () => words);
  dispatch(scoresKernel, { table: triplets, s, u, score }, { total }, 2 * layers.reduce((sum, { rank, rows, columns }) => sum + rank * (rows + columns), 0));
  dispatch(dropKernel, { table: triplets, score, schedule, control, p: params }, { total }, total * total);
}
