// A model's sites as a table: layers down, modules across, in the order of the model.
import type { SiteCard } from '../../store/contract';

export interface SiteTable { depths: number[]; modules: string[]; at(depth: number, module: string): SiteCard | undefined }

export function siteTable(sites: readonly SiteCard[]): SiteTable {
  const byPlace = new Map(sites.map((site) => [`${site.depth}/${site.module}`, site]));
  return {
    depths: [...new Set(sites.map((site) => site.depth))].sort((a, b) => a - b),
    modules: [...new Set(sites.map((site) => site.module))],
    at: (depth, module) => byPlace.get(`${depth}/${module}`),
  };
}

/** q_proj → q: names that fit above a column. */
export const columnName = (module: string) => module.replace(/_proj$|^c_|_lin$/, '');
