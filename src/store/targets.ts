// Which sites are adapted: a set of site names on the page, a regular expression in the configuration. Both ways, exactly.
import type { SiteCard } from './contract';

/** Matches no site: an empty expression means every one. */
export const NO_SITE = '^$';

/** Sites that an expression selects; empty selects all, a broken one none. */
export function selectedSites(sites: readonly SiteCard[], targets: string): Set<string> {
  if (targets === '') return new Set(sites.map((site) => site.name));
  try {
    const pattern = new RegExp(targets);
    return new Set(sites.filter((site) => pattern.test(site.name)).map((site) => site.name));
  } catch {
    return new Set();
  }
}

/** The shortest honest expression for a selection: by module where whole columns are chosen, by layer and module else. */
export function targetsOf(sites: readonly SiteCard[], selected: ReadonlySet<string>): string {
  const chosen = sites.filter((site) => selected.has(site.name));
  if (chosen.length === 0) return NO_SITE;
  if (chosen.length === sites.length) return '';
  const modules = unique(sites.map((site) => site.module));
  const layersOf = (module: string, from: readonly SiteCard[]) => from.filter((site) => site.module === module).map((site) => site.depth);
  // Modules with the same layers share one alternative.
  const groups = new Map<string, { layers: number[]; whole: boolean; modules: string[] }>();
  for (const module of modules) {
    const layers = layersOf(module, chosen).sort((a, b) => a - b);
    if (layers.length === 0) continue;
    const whole = layers.length === layersOf(module, sites).length;
    const key = whole ? 'all' : layers.join(',');
    const group = groups.get(key) ?? { layers, whole, modules: [] };
    group.modules.push(module);
    groups.set(key, group);
  }
  const alternatives = [...groups.values()].map(({ layers, whole, modules: names }) => {
    const tail = `\\.${oneOf(names.map(escaped))}$`;
    return whole ? tail : `\\.${oneOf(layers.map(String))}\\..*${tail}`;
  });
  const pattern = alternatives.join('|');
  // Names of an unusual form may not fit the pattern; then each is written out.
  const again = selectedSites(sites, pattern);
  const exact = again.size === chosen.length && chosen.every((site) => again.has(site.name));
  return exact ? pattern : `^${oneOf(chosen.map((site) => escaped(site.name)))}$`;
}

const unique = <T>(values: readonly T[]): T[] => [...new Set(values)];
const oneOf = (options: readonly string[]) => (options.length === 1 ? (options[0] as string) : `(${options.join('|')})`);
const escaped = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
