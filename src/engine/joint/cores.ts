// Factors B C of all layers at once, C [n, n] kept as strips that grow (ops/strips.ts), and the gradients of both.
import backSource from '../../../shaders/joint/cores_back.wgsl?raw';
import coresSource from '../../../shaders/joint/cores.wgsl?raw';
import timesSource from '../../../shaders/joint/cores_times.wgsl?raw';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import type { Strips } from '../ops';
import { elementwise } from '../ops/elementwise';
import { rowFamily } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';
import { type Flat, byBlocks } from './table';

const coresKernel = elementwise('joint/cores', coresSource);
const timesKernel = elementwise('joint/cores_times', timesSource);
const backKernel = rowFamily((LANES, ROWS) => kernel('joint/cores_back', backSource, (p) => grid1d(ceilDiv(p.size as number, ROWS)), { overrides: { LANES, ROWS } }));

/** One layer: where B [rows, n] and the strips of C begin in `params`, and y = B C in `joint`. */
export interface Cored {
  readonly atB: number;
  readonly atStrips: number;
  readonly atY: number;
  readonly rows: number;
}

/**
 * Makes y = s B C of every layer. `ranks` [2 · layers]: at 2 l how many rows and columns of C are there, `scales` [layers]: s. The way
 * back writes the gradients of B and of the strips.
 */
export function makeCored({ params: p, gradients: g, joint, jointGradients: dy, table }: Flat, layers: readonly Cored[], { n, first, step }: Strips, ranks: Tensor, scales: Tensor): { back: () => void } {
  const [cores, numbers, size] = [output('cores', [layers.length * n * n]), layers.length * n * n, elements(joint)];
  const starts = table('joint strips', () => Uint32Array.from(layers, ({ atStrips }) => atStrips));
  const blocks = table('joint cores', () => byBlocks(size, layers.map(({ atY, atB, rows }, i) => ({ at: atY, size: rows * n, words: [atY, atB, i, rows * n] }))));
  const form = { size: numbers, n, first, step };
  dispatch(coresKernel, { starts, ranks, scales, x: p, z: cores }, { ...form, gradient: 0 }, 2 * numbers);
  dispatch(timesKernel, { table: blocks, cores, x: p, z: joint }, { size, n, back: 0 }, 2 * size * n);
  const back = () => {
    const dcores = output('core gradients', [numbers]);
    const places = table('joint cored', () => Uint32Array.from(layers.flatMap(({ atB, atY, rows }) => [atB, atY, rows])));
    dispatch(backKernel, { layers: places, p, dy, dcores }, { size: numbers, n }, 2 * size * n);
    dispatch(timesKernel, { table: blocks, cores, x: dy, z: g }, { size, n, back: 1 }, 2 * size * n);
    dispatch(coresKernel, { starts, ranks, scales, x: dcores, z: g }, { ...form, gradient: 1 }, numbers);
  };
  return { back };
}
