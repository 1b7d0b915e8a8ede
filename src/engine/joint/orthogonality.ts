// A penalty on factors of all layers that are not orthonormal: weight · Σ ‖V Vᵀ − I‖_F, V the vectors of a factor.
import backSource from '../../../shaders/joint/grams_back.wgsl?raw';
import gramsSource from '../../../shaders/joint/grams.wgsl?raw';
import lengthsSource from '../../../shaders/joint/lengths.wgsl?raw';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { columnDot, reshape, scale } from '../ops';
import { elementwise } from '../ops/elementwise';
import { rowFamily } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';
import { type Flat, byBlocks, byUnits } from './table';

const gramsKernel = elementwise('joint/grams', gramsSource, 'units');
const backKernel = elementwise('joint/grams_back', backSource, 'n');
const lengthsKernel = rowFamily((LANES, ROWS) => kernel('joint/lengths', lengthsSource, (p) => grid1d(ceilDiv(p.stretches as number, ROWS)), { overrides: { LANES, ROWS } }));

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
export function orthogonality({ params: p, gradients: g, table }: Flat, factors: readonly Vectors[], active: Tensor, weight: number): { value: Tensor; back: () => void } {
  const shaped = factors.map(({ at, rows, columns, of }) => (of === 'rows' ? { at, vectors: rows, length: columns, across: columns, along: 1 } : { at, vectors: columns, length: rows, across: 1, along: columns }));
  const { places: units, words } = byUnits(shaped.map(({ at, vectors, length, across, along }, i) => ({ size: vectors ** 2, words: [at, vectors, length, across, along, i] })));
  const starts = shaped.map((_, i) => shaped.slice(0, i).reduce((sum, { vectors }) => sum + vectors ** 2, 0));
  const [d, lengths] = [output('grams', [units]), output('gram lengths', [factors.length])];
  dispatch(gramsKernel, { table: table('orthogonality grams', () => words), p, there: active, d }, { units }, 2 * shaped.reduce((sum, { vectors, length }) => sum + vectors ** 2 * length, 0));
  const spans = table('orthogonality spans', () => Uint32Array.from(shaped.flatMap(({ vectors }, i) => [starts[i] as number, vectors ** 2])));
  dispatch(lengthsKernel, { spans, x: d, y: lengths }, { stretches: factors.length }, 2 * units);
  const value = scale(columnDot(reshape(lengths, [factors.length, 1])), weight);
  const n = elements(p);
  const back = () => {
    const blocks = table('orthogonality blocks', () => byBlocks(n, shaped.map(({ at, vectors, length, across, along }, i) => ({ at, size: vectors * length, words: [at, vectors * length, vectors, across, along, starts[i] as number, i] }))));
    dispatch(backKernel, { table: blocks, p, d, lengths, g }, { n, weight }, 2 * shaped.reduce((sum, { vectors, length }) => sum + vectors ** 2 * length, 0));
  };
  return { value, back };
}
