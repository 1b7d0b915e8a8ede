// Activation functions with fused backward kernels.
import expSource from '../../../shaders/elementwise/exp.wgsl?raw';
import expBackwardSource from '../../../shaders/elementwise/exp_backward.wgsl?raw';
import geluSource from '../../../shaders/elementwise/gelu.wgsl?raw';
import geluBackwardSource from '../../../shaders/elementwise/gelu_backward.wgsl?raw';
import geluErfSource from '../../../shaders/elementwise/gelu_erf.wgsl?raw';
import geluErfBackwardSource from '../../../shaders/elementwise/gelu_erf_backward.wgsl?raw';
import quickGeluSource from '../../../shaders/elementwise/quick_gelu.wgsl?raw';
import quickGeluBackwardSource from '../../../shaders/elementwise/quick_gelu_backward.wgsl?raw';
import swigluSource from '../../../shaders/elementwise/swiglu.wgsl?raw';
import swigluBackwardSource from '../../../shaders/elementwise/swiglu_backward.wgsl?raw';
import tanhSource from '../../../shaders/elementwise/tanh.wgsl?raw';
import tanhBackwardSource from '../../../shaders/elementwise/tanh_backward.wgsl?raw';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, elements, wantShape } from '../tensor/tensor';
import { elementwise } from './elementwise';

const swigluKernel = elementwise('elementwise/swiglu', swigluSource);
const swigluBackwardKernel = elementwise('elementwise/swiglu_backward', swigluBackwardSource);
const geluKernel = elementwise('elementwise/gelu', geluSource);
const geluBackwardKernel = elementwise('elementwise/gelu_backward', geluBackwardSource);
const geluErfKernel = elementwise('elementwise/gelu_erf', geluErfSource);
const geluErfBackwardKernel = elementwise('elementwise/gelu_erf_backward', geluErfBackwardSource);
const quickGeluKernel = elementwise('elementwise/quick_gelu', quickGeluSource);
const quickGeluBackwardKernel = elementwise('elementwise/quick_gelu_backward', quickGeluBackwardSource);
const expKernel = elementwise('elementwise/exp', expSource);
const expBackwardKernel = elementwise('elementwise/exp_backward', expBackwardSource);
const tanhKernel = elementwise('elementwise/tanh', tanhSource);
const tanhBackwardKernel = elementwise('elementwise/tanh_backward', tanhBackwardSource);

/** silu(g)·u, same shapes (Shazeer 2020, SwiGLU). */
export function swiglu(g: Tensor, u: Tensor): Tensor {
  wantShape('swiglu: u', u, g.shape);
  const y = output('swiglu', g.shape);
  dispatch(swigluKernel, { g, u, y }, { size: elements(g) }, 5 * elements(g));
  node('swiglu', { g, u }, [y], ([dy]) => {
    if (!dy) return {};
    const [dg, du] = [output('swiglu.dg', g.shape), output('swiglu.du', g.shape)];
    dispatch(swigluBackwardKernel, { g, u, dy, dg, du }, { size: elements(g) }, 10 * elements(g));
    node('swiglu_backward', { g, u, dy }, [dg, du], null);
    return { g: dg, u: du };
  });
  return y;
}

/** GELU in its tanh form, as GPT-2 has it. */
export function geluTanh(x: Tensor): Tensor {
  const y = output('gelu', x.shape);
  dispatch(geluKernel, { x, y }, { size: elements(x) }, 10 * elements(x));
  node('gelu', { x }, [y], ([dy]) => {
    if (!dy) return {};
    const dx = output('gelu.dx', x.shape);
    dispatch(geluBackwardKernel, { x, dy, dx }, { size: elements(x) }, 16 * elements(x));
    node('gelu_backward', { x, dy }, [dx], null);
    return { x: dx };
  });
  return y;
}

/** GELU in its exact form, x Φ(x), as BERT and ViT have it. */
export function gelu(x: Tensor): Tensor {
  const y = output('gelu', x.shape);
  dispatch(geluErfKernel, { x, y }, { size: elements(x) }, 20 * elements(x));
  node('gelu', { x }, [y], ([dy]) => {
    if (!dy) return {};
    const dx = output('gelu.dx', x.shape);
    dispatch(geluErfBackwardKernel, { x, dy, dx }, { size: elements(x) }, 26 * elements(x));
    node('gelu_backward', { x, dy }, [dx], null);
    return { x: dx };
  });
  return y;
}

export function tanh(x: Tensor): Tensor {
  const y = output('tanh', x.shape);
  dispatch(tanhKernel, { x, y }, { size: elements(x) }, 8 * elements(x));
  node('tanh', { x }, [y], ([dy]) => {
    if (!dy) return {};
    const dx = output('tanh.dx', x.shape);
    dispatch(tanhBackwardKernel, { y, dy, dx }, { size: elements(x) }, 3 * elements(x));
    node('tanh_backward', { x, dy }, [dx], null);
    return { x: dx };
  });
  return y;
}

/** x σ(1.702 x), CLIP's stand-in for GELU. */
export function quickGelu(x: Tensor): Tensor {
  const y = output('quick_gelu', x.shape);
  dispatch(quickGeluKernel, { x, y }, { size: elements(x) }, 5 * elements(x));
  node('quick_gelu', { x }, [y], ([dy]) => {
    if (!dy) return {};
    const dx = output('quick_gelu.dx', x.shape);
    dispatch(quickGeluBackwardKernel, { x, dy, dx }, { size: elements(x) }, 10 * elements(x));
    node('quick_gelu_backward', { x, dy }, [dx], null);
    return { x: dx };
  });
  return y;
}

export function exp(x: Tensor): Tensor {
  const y = output('exp', x.shape);
  dispatch(expKernel, { x, y }, { size: elements(x) }, elements(x));
  node('exp', { x }, [y], ([dy]) => {
    if (!dy) return {};
    const dx = output('exp.dx', x.shape);
    dispatch(expBackwardKernel, { y, dy, dx }, { size: elements(x) }, elements(x));
    node('exp_backward', { x, dy }, [dx], null);
    return { x: dx };
  });
  return y;
}
