// How a parameter starts, drawn on the host: a pure function of the run's seed and the parameter's name.
import { normal, uniform } from '../../util/random';
import { type HostData, type Shape, type Tensor, sizeOf } from '../tensor/tensor';

export type Init =
  | { readonly kind: 'zeros' }
  | { readonly kind: 'ones' }
  /** U(−√(3/fanIn)·gain, …): torch's kaiming_uniform; a = √5 gives gain 1/√3, the bound 1/√fanIn. */
  | { readonly kind: 'kaimingUniform'; readonly fanIn: number; readonly a?: number }
  | { readonly kind: 'normal'; readonly std: number }
  /** Numbers that the method computed or drew itself; asked for once, when the parameter is written. */
  | { readonly kind: 'values'; readonly values: () => HostData }
  /** The numbers of another lasting tensor of the same shape, copied on the device. */
  | { readonly kind: 'copy'; readonly of: Tensor };

/** FNV-1a: a stream number for a name. */
export function streamOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** Of any kind that the host can give; what is drawn or constant is f32. */
export const initial = (init: Exclude<Init, { kind: 'copy' }>, shape: Shape, seed: number, name: string): HostData => (init.kind === 'values' ? init.values() : drawn(init, shape, seed, name));

export function drawn(init: Exclude<Init, { kind: 'values' | 'copy' }>, shape: Shape, seed: number, name: string): Float32Array {
  const data = new Float32Array(sizeOf(shape));
  if (init.kind === 'ones') data.fill(1);
  else if (init.kind === 'kaimingUniform') {
    const a = init.a ?? Math.sqrt(5);
    const bound = Math.sqrt(6 / ((1 + a * a) * init.fanIn));
    for (let i = 0; i < data.length; i++) data[i] = (2 * uniform(seed, streamOf(name), i) - 1) * bound;
  } else if (init.kind === 'normal') {
    for (let i = 0; i < data.length; i++) data[i] = normal(seed, streamOf(name), i) * init.std;
  }
  return data;
}
