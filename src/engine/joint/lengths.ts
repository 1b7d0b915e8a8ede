// Euclidean lengths of stretches that stand one behind the other.
import source from '../../../shaders/joint/lengths.wgsl?raw';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';
import type { Flat } from './table';

const lengthsKernel = rowFamily((LANES, ROWS) => kernel('joint/lengths', source, (p) => grid1d(ceilDiv(p.stretches as number, ROWS)), { overrides: { LANES, ROWS } }));

/** √Σ x² of each stretch of x, [stretches]; `sizes` say how many numbers each has, `name` is its table's. */
export function lengthsOf({ table }: Flat, name: string, x: Tensor, sizes: readonly number[]): Tensor {
  let at = 0;
  const spans = table(name, () => Uint32Array.from(sizes.flatMap((size) => { at += size; return [at - size, size]; })));
  const y = output('lengths', [sizes.length]);
  dispatch(lengthsKernel, { spans, x, y }, { stretches: sizes.length }, 2 * elements(x));
  return y;
}
