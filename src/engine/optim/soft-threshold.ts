// SoRA's proximal step over the gates of all sites at once.
import source from '../../../shaders/lowrank/soft_threshold.wgsl?raw';
import { elementwise } from '../ops/elementwise';
import { dispatch } from '../tensor/graph';
import { type Tensor, elements } from '../tensor/tensor';

const thresholdKernel = elementwise('lowrank/soft_threshold', source, 'n');

/** p ← sign(p)·max(|p| − ξ, 0) for the elements of group `which` of the flat arena `params`; `deadZone`: also zero below ξ. */
export function softThreshold(params: Tensor, blocks: Tensor, control: Tensor, xi: Tensor, which: number, deadZone: boolean): void {
  dispatch(thresholdKernel, { xi, control, blocks, p: params }, { n: elements(params), which, dead_zone: Number(deadZone) });
}
