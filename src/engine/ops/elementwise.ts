// Kernels of one invocation an element share this grid.
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import type { Family } from '../tensor/family';

/** A family of one whose grid covers `params[count]` elements, 256 a workgroup. */
export const elementwise = (name: string, source: string, count = 'size'): Family => {
  const only = kernel(name, source, (p) => grid1d(ceilDiv(p[count] as number, 256)));
  return { name, reflection: only.reflection, cheap: true, candidates: () => [only] };
};
