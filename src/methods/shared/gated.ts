// A LoRA with a trained gate on every rank, of which training makes the factor B diag(gate) for all layers at once.
import { gatedBack, makeGated } from '../../engine/joint/gates';
import type { Param } from '../../engine/nn/site';
import type { Arenas, Joint } from '../../training/contract';

/** The name of a layer's joint factor. */
export const gatedName = (site: string): string => `${site}.gated_B`;

/** The joint hook of a method whose adapters have A, B and the gate under the name `gate`. */
export function gatedJoint(gate: string): Joint<never> {
  const layersOf = ({ sites, at, atJoint }: Arenas) => sites.flatMap(({ site: { name, shape: [rows] }, params: { B, [gate]: g } }) => {
    const atY = atJoint(gatedName(name));
    return B && g && atY !== undefined ? [{ B, g, layer: { atB: at(B), atY, atGate: at(g), rows, columns: g.tensor.shape[0] as number } }] : [];
  });
  return {
    make(arenas) {
      const layers = layersOf(arenas);
      if (layers.length > 0) makeGated(arenas, layers.map(({ layer }) => layer), true);
    },
    back(arenas) {
      const layers = layersOf(arenas);
      if (layers.length > 0) gatedBack(arenas, layers.map(({ layer }) => layer), true);
      return new Set<Param>(layers.flatMap(({ B, g }) => [B, g]));
    },
  };
}
