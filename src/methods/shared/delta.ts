// A LoRA that does not start at zero: y = base(x) + s·(x Aᵀ) Bᵀ − s·(x A₀ᵀ) B₀ᵀ. Training makes one branch of twice the rank of it.
import { type Beside, besideBack, makeBeside } from '../../engine/joint/beside';
import type { LinearSite, Param } from '../../engine/nn/site';
import type { Arenas, AttachContext, Joint } from '../../training/contract';
import type { Branch } from './low-rank';

/** The joint factors of a layer, A' [2 rank, in] and B' [out, 2 rank]. With dropout the start sees an input of its own, so there are none. */
export function deltaFactors({ name, shape: [out, inn] }: LinearSite, { rank, dropout }: { rank: number; dropout: number }, context: AttachContext): Branch['joint'] {
  if (dropout > 0) return undefined;
  return { A: context.joint(`${name}.both_A`, [2 * rank, inn]), B: context.joint(`${name}.both_B`, [out, 2 * rank]) };
}

/** Joint factors of adapters that have A and B, and A0 and B0 of the same shapes, frozen. */
export function deltaJoint(arenas: Arenas): Joint | undefined {
  const layers = layersOf(arenas);
  if (layers.length === 0) return undefined;
  const pairs = layers.flatMap((layer) => layer.pairs);
  makeBeside(arenas, pairs);
  return {
    back() {
      besideBack(arenas, pairs);
      return new Set(layers.flatMap(({ params }) => params));
    },
  };
}

function layersOf({ sites, at, atJoint }: Arenas): { params: Param[]; pairs: Beside[] }[] {
  return sites.flatMap(({ site: { name, shape: [out, inn] }, params: { A, B, A0, B0 } }) => {
    const [atA, atB] = [atJoint(`${name}.both_A`), atJoint(`${name}.both_B`)];
    if (!A || !B || !A0 || !B0 || atA === undefined || atB === undefined) return [];
    const rank = A.tensor.shape[0] as number;
    return [{
      params: [A, B],
      pairs: [
        { atY: atA, atX: at(A), atStart: at(A0), rows: 1, width: rank * inn, negative: false },
        { atY: atB, atX: at(B), atStart: at(B0), rows: out, width: rank, negative: true },
      ],
    }];
  });
}
