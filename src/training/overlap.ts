// How alike the directions of two adapters are (Hu et al. 2022, section 7.2; angles after Björck and Golub 1973). On the host.
import { singularValues } from '../engine/linalg/host/svd';
import { dot } from '../engine/linalg/host/matrix';
import type { LowRankSvd } from '../engine/linalg/low-rank-svd';
import { present } from './cut';
import type { SiteOverlap } from './explore-card';

type Explored = { readonly site: string; readonly svd: LowRankSvd };

/** Of the layers that both adapt, in a's order. */
export function overlapOf(a: readonly Explored[], b: readonly Explored[]): { sites: SiteOverlap[]; unmatched: string[] } {
  const others = new Map(b.map((one) => [one.site, one.svd]));
  const sites = a.flatMap(({ site, svd }) => {
    const other = others.get(site);
    return other && present(svd.sigma) > 0 && present(other.sigma) > 0 ? [siteOverlap(site, svd, other)] : [];
  });
  const matched = new Set(sites.map(({ site }) => site));
  return { sites, unmatched: [...new Set([...a, ...b].map(({ site }) => site))].filter((site) => !matched.has(site)) };
}

function siteOverlap(site: string, a: LowRankSvd, b: LowRankSvd): SiteOverlap {
  const ranks: [number, number] = [present(a.sigma), present(b.sigma)];
  const [left, right] = [compared(a.left, b.left, ranks), compared(a.right, b.right, ranks)];
  return { site, ranks, left: left.shares, right: right.shares, leftDistance: left.distance, rightDistance: right.distance, leftChance: left.chance, rightChance: right.chance };
}

function compared(x: readonly Float64Array[], y: readonly Float64Array[], [a, b]: [number, number]): { shares: Float32Array; distance: number; chance: number } {
  const cosines = Float64Array.from({ length: a * b }, (_, at) => dot(x[Math.floor(at / b)] as Float64Array, y[at % b] as Float64Array));
  // Sums of squares over the first i and j directions, from those of one less.
  const sums = new Float64Array((a + 1) * (b + 1));
  const shares = new Float32Array(a * b);
  for (let i = 1; i <= a; i++) {
    for (let j = 1; j <= b; j++) {
      const at = i * (b + 1) + j;
      sums[at] = (cosines[(i - 1) * b + j - 1] as number) ** 2 + (sums[at - 1] as number) + (sums[at - b - 1] as number) - (sums[at - b - 2] as number);
      shares[(i - 1) * b + j - 1] = (sums[at] as number) / Math.min(i, j);
    }
  }
  const angles = [...singularValues(cosines, a, b)].slice(0, Math.min(a, b)).map((c) => Math.acos(Math.min(1, c)));
  return { shares, distance: Math.hypot(...angles), chance: Math.min(1, Math.max(a, b) / (x[0]?.length ?? 1)) };
}
