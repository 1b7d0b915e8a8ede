// A branch with a trained gate on every rank, of which training makes the factor B diag(gate) for all layers at once.
import { type Gated, gatedBack, makeGated } from '../../engine/joint/gates';
import type { Param } from '../../engine/nn/site';
import type { Arenas, Joint, SiteParams } from '../../training/contract';

/** The name of a layer's joint factor. */
export const gatedName = (site: string): string => `${site}.gated_B`;

/** What a layer's factor is made of: B [out, rank], the gate [rank] on its columns; perhaps a gate [out] on its rows, and a frozen start [rank] of the gate. */
export interface GatedParts {
  readonly B: Param;
  readonly gate: Param;
  readonly rows?: Param | undefined;
  readonly start?: Param | undefined;
}

/** Joint factors of the layers that have asked for one. `trains`: whether B does, in all of them. */
export function gatedFactors(arenas: Arenas, trains: boolean, partsOf: (params: SiteParams['params']) => GatedParts): Joint | undefined {
  const { sites, at, atJoint } = arenas;
  const layers = sites.flatMap(({ site: { name, shape: [rows] }, params }) => {
    const atY = atJoint(gatedName(name));
    if (atY === undefined) return [];
    const parts = partsOf(params);
    const places: Gated = {
      atB: at(parts.B), atY, atGate: at(parts.gate), rows, columns: parts.gate.tensor.shape[0] as number,
      ...(parts.rows ? { atRows: at(parts.rows) } : {}), ...(parts.start ? { atStart: at(parts.start) } : {}),
    };
    return [{ places, trained: [parts.gate, ...(parts.rows ? [parts.rows] : []), ...(trains ? [parts.B] : [])] }];
  });
  if (layers.length === 0) return undefined;
  const places = layers.map((layer) => layer.places);
  makeGated(arenas, places, trains);
  return {
    back() {
      gatedBack(arenas, places, trains);
      return new Set(layers.flatMap(({ trained }) => trained));
    },
  };
}
