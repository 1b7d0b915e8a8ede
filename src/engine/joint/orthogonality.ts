// A penalty on factors of all layers that are not orthonormal: weight · Σ ‖V Vᵀ − I‖_F, V the vectors of a factor.
import backSource from '../../../shaders/joint/grams_back.wgsl?raw';
import gramsSource from '../../../shaders/joint/grams.wgsl?raw';
import { columnDot, reshape, scale } from '../ops';
import { elementwise } from '../ops/elementwise';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';
import { lengthsOf } from './lengths';
import { type Flat, byBlocks, byUnits } from './table';

const gramsKernel = elementwise('joint/grams', gramsSource, 'units');
const backKernel = elementwise('joint/grams_back', backSource, 'n');

/** A trained matrix [rows, columns], the vectors being its rows or its columns. */
export interface Vectors {
  /** Where it begins in `params`. */
  readonly at: number;
  readonly rows: number;
  readonly columns: number;
  readonly of: 'rows' | 'columns';
}

/**
 * weight · Σ over factors of ‖V Vᵀ − I‖_F as [1], and its gradient, to be added to those of the loss. `active` [factors]: how many
 * vectors of each are there yet; those behind count for nothing.
 */
export function orthogonality(flat: Flat, factors: readonly Vectors[], active: Tensor, weight: number): { value: Tensor; back: () => void } {
  const { params: p, gradients: g, table } = flat;
  const shaped = factors.map(({ at, rows, columns, of }) => (of === 'rows' ? { at, vectors: rows, length: columns, across: columns, along: 1 } : { at, vectors: columns, length: rows, across: 1, along: columns }));
  const flops = 2 * shaped.reduce((sum, { vectors, length }) => sum + vectors ** 2 * length, 0);
  const { places: units, words } = byUnits(shaped.map(({ at, vectors, length, across, along }, i) => ({ size: vectors ** 2, words: [at, vectors, length, across, along, i] })));
  const d = output('grams', [units]);
  dispatch(gramsKernel, { table: table('orthogonality grams', () => words), p, there: active, d }, { units }, flops);
  const lengths = lengthsOf(flat, 'orthogonality spans', d, shaped.map(({ vectors }) => vectors ** 2));
  const value = scale(columnDot(reshape(lengths, [factors.length, 1])), weight);
  const n = elements(p);
  const back = () => {
    const starts = shaped.map((_, i) => shaped.slice(0, i).reduce((sum, { vectors }) => sum + vectors ** 2, 0));
    const blocks = table('orthogonality blocks', () => byBlocks(n, shaped.map(({ at, vectors, length, across, along }, i) => ({ at, size: vectors * length, words: [at, vectors * length, vectors, across, along, starts[i] as number, i] }))));
    dispatch(backKernel, { table: blocks, p, d, lengths, g }, { n, weight }, flops);
  };
  return { value, back };
}
