// What views of several methods are made of.
import type { HeatmapData } from '../../training/card';
import type { SiteValues } from '../../training/contract';

/** |x| of a parameter of every site, one row a site. */
export function magnitudes(sites: readonly SiteValues[], part: string): HeatmapData {
  const columns = Math.max(1, ...sites.map(({ values }) => values[part]?.length ?? 0));
  const values = new Float32Array(sites.length * columns);
  sites.forEach((site, i) => values.set((site.values[part] ?? new Float32Array()).map(Math.abs), i * columns));
  return { rows: sites.map(({ site }) => site.name), columns, values };
}
