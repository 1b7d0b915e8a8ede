// The penalty that keeps the rows of every A and the columns of every B nearly orthonormal.
import { type Vectors, orthogonality } from '../../engine/joint/orthogonality';
import type { Tensor } from '../../engine/tensor/tensor';
import type { Arenas, Penalty } from '../../training/contract';

/** weight · mean of ‖A Aᵀ − I‖ and ‖BᵀB − I‖ over all layers. `active` [2 · layers]: ranks that count, of A and B of each layer in turn. */
export function orthogonalFactors(arenas: Arenas, weight: number, active: Tensor): Penalty {
  const factors = arenas.sites.flatMap(({ site: { shape: [out, inn] }, params: { A, B } }): Vectors[] => {
    if (!A || !B) return [];
    const rank = A.tensor.shape[0] as number;
    return [{ at: arenas.at(A), rows: rank, columns: inn, of: 'rows' }, { at: arenas.at(B), rows: out, columns: rank, of: 'columns' }];
  });
  return orthogonality(arenas, factors, active, weight / factors.length);
}
