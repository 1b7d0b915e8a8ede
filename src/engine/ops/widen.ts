// Packed frozen weights as f32, for ops whose kernels read nothing else: recorded of itself wherever such a weight is bound (tensor/graph.ts).
// It is made anew for each use and so held by none; the tape does not see it, and gradients are those of the packed tensor's numbers.
import widenSource from '../../../shaders/quant/widen.wgsl?raw';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import type { Family } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { type DType, type Tensor, elements } from '../tensor/tensor';

const BITS = { f16: 16, int8: 8, int4: 4 } as const;
const families = new Map<DType, Family>((Object.keys(BITS) as (keyof typeof BITS)[]).map((dtype) => {
  const only = kernel('quant/widen', widenSource, (p) => grid1d(ceilDiv(p.fours as number, 64)), { constants: { BITS: BITS[dtype] } });
  return [dtype, { name: 'quant/widen', reflection: only.reflection, cheap: true, packed: { b: dtype }, candidates: () => [only] }];
}));

export function widen(b: Tensor): Tensor {
  const y = output(`${b.label} in f32`, b.shape);
  dispatch(families.get(b.dtype) as Family, { b, y }, { size: elements(b), fours: ceilDiv(elements(b), 4) });
  return y;
}
