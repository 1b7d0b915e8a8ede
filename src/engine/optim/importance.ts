// AdaLoRA's importance of triplets (a number of E, a row of A, a column of B) and their dropping to a budget, on the device: which are
// dropped follows from counting smaller scores, so nothing is sorted and the host is not asked.
import dropSource from '../../../shaders/lowrank/drop_ranks.wgsl?raw';
import sensitivitySource from '../../../shaders/lowrank/sensitivity.wgsl?raw';
import scoresSource from '../../../shaders/lowrank/triplet_scores.wgsl?raw';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import { rowFamily } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';

const sensitivityKernel = elementwise('lowrank/sensitivity', sensitivitySource, 'n');
const scoresKernel = rowFamily((LANES, ROWS) => kernel('lowrank/triplet_scores', scoresSource, (p) => grid1d(ceilDiv(p.rank as number, ROWS)), { overrides: { LANES, ROWS } }));
const dropKernel = elementwise('lowrank/drop_ranks', dropSource, 'rank');

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
export function allocateRanks({ params, gradients, control, schedule, sensitivity: s, uncertainty: u }: Measured, layers: readonly Triplets[], beta1: number, beta2: number): void {
  const n = elements(params);
  dispatch(sensitivityKernel, { p: params, g: gradients, control, schedule, s, u }, { n, beta1, beta2 }, 9 * n);
  const total = layers.reduce((sum, { rank }) => sum + rank, 0);
  const score = output('triplet scores', [total]);
  const firsts = layers.map((_, i) => layers.slice(0, i).reduce((sum, { rank }) => sum + rank, 0));
  layers.forEach(({ rank, rows, columns, atA, atB, atE }, i) => dispatch(scoresKernel, { s, u, score }, { rank, rows, columns, at_e: atE, at_a: atA, at_b: atB, first: firsts[i] as number }, 2 * rank * (rows + columns)));
  layers.forEach(({ rank, atE }, i) => dispatch(dropKernel, { score, schedule, control, p: params }, { rank, total, at_e: atE, first: firsts[i] as number }));
}
