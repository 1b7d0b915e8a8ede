// What views of several methods are made of: a row of numbers for each layer.
import type { HeatmapData } from '../../training/card';
import type { SiteValues } from '../../training/contract';

/** A row a layer, as long as the longest; what a shorter one lacks is 0. */
export function rowsBySite(sites: readonly SiteValues[], rowOf: (values: SiteValues['values'], site: SiteValues['site']) => ArrayLike<number>): HeatmapData {
  const rows = sites.map(({ values, site }) => rowOf(values, site));
  const columns = Math.max(1, ...rows.map((row) => row.length));
  const values = new Float32Array(rows.length * columns);
  rows.forEach((row, i) => values.set(row, i * columns));
  return { rows: sites.map(({ site }) => site.name), columns, values };
}

/** |x| of a parameter of every site, one row a site. */
export const magnitudes = (sites: readonly SiteValues[], part: string): HeatmapData => rowsBySite(sites, (values) => (values[part] ?? new Float32Array()).map(Math.abs));
