// A square core kept as strips, so that it grows by appending: the form of TriAdaptLoRA (Liang et al. 2025, arXiv 2501.08008).
import source from '../../../shaders/lowrank/core_from_strips.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, wantShape } from '../tensor/tensor';
import { elementwise } from './elementwise';

const stripsKernel = elementwise('lowrank/core_from_strips', source);

/** A core of side n: a first block of `first` rows and columns, then blocks of `step`. */
export interface Strips {
  readonly n: number;
  readonly first: number;
  readonly step: number;
}

/** Numbers that the strips of a core hold: n² + Σ widths², since the blocks on the diagonal are held twice. */
export function stripsSize({ n, first, step }: Strips): number {
  return n * n + first * first + ((n - first) / step) * step * step;
}

/**
 * C [n, n] of its packed strips [n² + Σ widths²]; the layout stands in shaders/lowrank/core_from_strips.wgsl. Row i is scaled by
 * gate[i], and where gate [n] is 0 there is neither row nor column. The gate has no gradient: it is what a host writes.
 */
export function coreFromStrips(strips: Tensor, gate: Tensor, form: Strips): Tensor {
  const { n, first, step } = form;
  const size = stripsSize(form);
  if (strips.shape.length !== 1 || strips.shape[0] !== size) throw new ShapeError(`core_from_strips: wanted [${size}] for a side of ${n}, got ${describe(strips)}`);
  wantShape('core_from_strips: gate', gate, [n]);
  const core = output('core_from_strips', [n, n]);
  dispatch(stripsKernel, { x: strips, gate, z: core }, { size: n * n, n, first, step, gradient: 0 }, 2 * n * n);
  node('core_from_strips', { strips }, [core], ([d]) => ({ strips: d && stripsFromCore(d, gate, form) }));
  return core;
}

/** The adjoint: each number of C [n, n], scaled, to every strip that covers it, [n² + Σ widths²]. */
export function stripsFromCore(core: Tensor, gate: Tensor, form: Strips): Tensor {
  const { n, first, step } = form;
  const strips = output('strips_from_core', [stripsSize(form)]);
  dispatch(stripsKernel, { x: core, gate, z: strips }, { size: n * n, n, first, step, gradient: 1 }, n * n);
  node('strips_from_core', { core }, [strips], ([d]) => ({ core: d && coreFromStrips(d, gate, form) }));
  return strips;
}
