// RMSNorm and LayerNorm over the last size.
import layerSource from '../../../shaders/norm/layer_norm.wgsl?raw';
import layerBackwardSource from '../../../shaders/norm/layer_norm_backward.wgsl?raw';
import rmsSource from '../../../shaders/norm/rms_norm.wgsl?raw';
import rmsBackwardSource from '../../../shaders/norm/rms_norm_backward.wgsl?raw';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { bound, rebind, supplyFusion } from '../tensor/fuse';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, elements, lastOf, rowsOf, wantShape } from '../tensor/tensor';
import { columnDot } from './columns';

const rowKernel = (name: string, source: string) =>
  rowFamily((LANES, ROWS) => kernel(name, source, (p) => grid1d(ceilDiv(p.rows as number, ROWS)), { overrides: { LANES, ROWS } }), 128);
const rmsKernel = rowKernel('norm/rms_norm', rmsSource);
const rmsBackwardKernel = rowKernel('norm/rms_norm_backward', rmsBackwardSource);
const layerKernel = rowKernel('norm/layer_norm', layerSource);
const layerBackwardKernel = rowKernel('norm/layer_norm_backward', layerBackwardSource);

/** x / √(mean x² + eps) · w, x [..., c], w [c] (Zhang and Sennrich 2019). */
export function rmsNorm(x: Tensor, w: Tensor, eps: number): Tensor {
  wantShape('rms_norm: weight', w, [lastOf(x)]);
  const [rows, columns] = [rowsOf(x), lastOf(x)];
  const [y, r] = [output('rms_norm', x.shape), output('rms_norm.r', [rows])];
  dispatch(rmsKernel, { x, w, y, r }, { rows, columns, eps }, 4 * elements(x));
  node('rms_norm', { x, w }, [y], ([dy], needs) => {
    if (!dy) return {};
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = output('rms_norm.dx', x.shape);
      dispatch(rmsBackwardKernel, { x, w, r, dy, residual: dy, dx }, { rows, columns, add_residual: 0 }, 8 * elements(x));
      node('rms_norm_backward', { x, w, dy }, [dx], null);
    }
    return { x: dx, w: needs('w') ? columnDot(dy, x, r) : undefined };
  });
  return y;
}

/** (x - mean) / √(var + eps) · w + b, x [..., c], w and b [c] (Ba et al. 2016). */
export function layerNorm(x: Tensor, w: Tensor, b: Tensor, eps: number): Tensor {
  wantShape('layer_norm: weight', w, [lastOf(x)]);
  wantShape('layer_norm: bias', b, [lastOf(x)]);
  const [rows, columns] = [rowsOf(x), lastOf(x)];
  const [y, h, r] = [output('layer_norm', x.shape), output('layer_norm.h', x.shape), output('layer_norm.r', [rows])];
  dispatch(layerKernel, { x, w, b, y, h, r }, { rows, columns, eps }, 8 * elements(x));
  node('layer_norm', { x, w, b }, [y], ([dy], needs) => {
    if (!dy) return {};
    let dx: Tensor | undefined;
    if (needs('x')) {
      dx = output('layer_norm.dx', x.shape);
      dispatch(layerBackwardKernel, { h, w, r, dy, residual: dy, dx }, { rows, columns, add_residual: 0 }, 9 * elements(x));
      node('layer_norm_backward', { x, w, dy }, [dx], null);
    }
    return { x: dx, w: needs('w') ? columnDot(dy, h) : undefined, b: needs('b') ? columnDot(dy) : undefined };
  });
  return y;
}

/** The gradient that came past the norm, along the residual stream. */
supplyFusion({
  consumer: 'elementwise/axpby',
  bindings: ['x', 'y'],
  join(sum, norm, binding) {
    if (!/^norm\/.*_backward$/.test(norm.family.name) || norm.params.add_residual !== 0 || sum.params.alpha !== 1 || sum.params.beta !== 1) return null;
    return rebind(norm, { residual: bound(sum, binding === 'x' ? 'y' : 'x'), dx: bound(sum, 'z') }, { add_residual: 1 });
  },
});
