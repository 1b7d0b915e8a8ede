// A branch with a core: training makes the factor s·B C (+ start) for all layers at once.
import { type Matrices, products } from '../../engine/joint/products';
import type { Param } from '../../engine/nn/site';
import type { Tensor } from '../../engine/tensor/tensor';
import type { Arenas, Joint } from '../../training/contract';

/** The name of a layer's joint factor [out, rank]. */
export const multipliedName = (site: string): string => `${site}.B_C`;

/** Joint factors of adapters that have B [out, rank], a trained core [rank, rank] and perhaps a frozen start [out, rank] under these names. */
export function multipliedFactors(arenas: Arenas, names: { readonly core: string; readonly start?: string }, scale = 1): Joint | undefined {
  const layers = arenas.sites.flatMap(({ site: { name }, params: { B, [names.core]: C, [names.start ?? '']: start } }) => {
    const at = arenas.atJoint(multipliedName(name));
    return B && C && at !== undefined ? [{ B, C, start, at }] : [];
  });
  if (layers.length === 0) return undefined;
  const trains = layers.every(({ B }) => B.trainable);
  type Layer = (typeof layers)[number];
  const placed = (flat: Tensor, of: (layer: Layer) => Param, at = (layer: Layer) => arenas.at(of(layer))): Matrices =>
    ({ flat, places: layers.map((layer) => ({ at: at(layer), rows: of(layer).tensor.shape[0] as number, columns: of(layer).tensor.shape[1] as number })) });
  const inJoint = (flat: Tensor) => placed(flat, (layer) => layer.B, (layer) => layer.at);
  const B = placed(trains ? arenas.params : arenas.frozen, (layer) => layer.B);
  const C = placed(arenas.params, (layer) => layer.C);
  const c = layers.every(({ start }) => start) ? { c: placed(arenas.frozen, ({ start }) => start as Param) } : {};
  products(arenas, 'B C', B, C, { alpha: scale, into: inJoint(arenas.joint), ...c });
  return {
    back() {
      const dy = inJoint(arenas.jointGradients);
      if (trains) products(arenas, 'dB', dy, C, { tb: true, alpha: scale, into: placed(arenas.gradients, (layer) => layer.B) });
      products(arenas, 'dC', B, dy, { ta: true, alpha: scale, into: placed(arenas.gradients, (layer) => layer.C) });
      return new Set(layers.flatMap((layer) => (trains ? [layer.B, layer.C] : [layer.C])));
    },
  };
}
