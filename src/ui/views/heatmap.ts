// Readings of a heat map's data: counts, order, and how its row names lie in the model. No drawing here.
import type { HeatmapData, SiteCard } from '../../store/contract';

export type Order = 'model' | 'most' | 'fewest';

export interface Row { index: number; name: string; kept: number }

export function rowsOf(data: HeatmapData, order: Order = 'model'): Row[] {
  const rows = data.rows.map((name, index) => ({ index, name, kept: keptIn(data, index) }));
  if (order === 'most') rows.sort((a, b) => b.kept - a.kept || a.index - b.index);
  if (order === 'fewest') rows.sort((a, b) => a.kept - b.kept || a.index - b.index);
  return rows;
}

export function keptIn(data: HeatmapData, row: number): number {
  let kept = 0;
  for (let column = 0; column < data.columns; column++) if (data.values[row * data.columns + column] !== 0) kept++;
  return kept;
}

export function keptTotal(data: HeatmapData): number {
  let kept = 0;
  for (const value of data.values) if (value !== 0) kept++;
  return kept;
}

/** The largest magnitude: the top of the ramp. */
export function largest(data: HeatmapData): number {
  let top = 0;
  for (const value of data.values) if (Math.abs(value) > top) top = Math.abs(value);
  return top;
}

/** Counts by layer and module, or null where the rows are not the model's sites. */
export function overview(data: HeatmapData, sites: readonly SiteCard[]): { depths: number[]; modules: string[]; at(depth: number, module: string): Row | undefined } | null {
  const known = new Map(sites.map((site) => [site.name, site]));
  const placed = rowsOf(data).flatMap((row) => {
    const site = known.get(row.name);
    return site ? [{ row, site }] : [];
  });
  if (placed.length === 0 || placed.length < data.rows.length) return null;
  const byPlace = new Map(placed.map(({ row, site }) => [`${site.depth}/${site.module}`, row]));
  return {
    depths: [...new Set(placed.map(({ site }) => site.depth))].sort((a, b) => a - b),
    modules: [...new Set(placed.map(({ site }) => site.module))],
    at: (depth, module) => byPlace.get(`${depth}/${module}`),
  };
}

/** 'model.layers.3.self_attn.q_proj' → '3 q_proj': a row's name where there is little room. */
export function shortName(name: string): string {
  const layer = name.match(/\.(\d+)\./)?.[1];
  const last = name.slice(name.lastIndexOf('.') + 1);
  return layer === undefined ? last : `${layer} ${last}`;
}
