// A LoRA with a trained gate on every rank, of which training makes the factor B diag(gate) for all layers at once.
import { gatedBack, makeGated } from '../../engine/joint/gates';
import type { Arenas, Joint } from '../../training/contract';

/** The name of a layer's joint factor. */
export const gatedName = (site: string): string => `${site}.gated_B`;

/** Joint factors of adapters that have A, B and a trained gate under the name `gate`. */
export function gatedFactors(arenas: Arenas, gate: string): Joint | undefined {
  const layers = arenas.sites.flatMap(({ site: { name, shape: [rows] }, params: { B, [gate]: g } }) => {
    const atY = arenas.atJoint(gatedName(name));
    return B && g && atY !== undefined ? [{ params: [B, g], parts: { atB: arenas.at(B), atY, atGate: arenas.at(g), rows, columns: g.tensor.shape[0] as number } }] : [];
  });
  if (layers.length === 0) return undefined;
  const parts = layers.map((layer) => layer.parts);
  makeGated(arenas, parts, true);
  return {
    back() {
      gatedBack(arenas, parts, true);
      return new Set(layers.flatMap(({ params }) => params));
    },
  };
}
