import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { SiteCard } from './contract';
import { NO_SITE, selectedSites, targetsOf } from './targets';

const MODULES = ['self_attn.q_proj', 'self_attn.k_proj', 'self_attn.v_proj', 'mlp.up_proj'];
const sites: SiteCard[] = Array.from({ length: 12 }, (_, depth) => MODULES.map((path): SiteCard => ({ name: `model.layers.${depth}.${path}`, depth, module: path.split('.')[1] as string, shape: [1, 1] }))).flat();
const names = sites.map((site) => site.name);

describe('sites and expressions', () => {
  it('say all, none and whole columns briefly', () => {
    expect(targetsOf(sites, new Set(names))).toBe('');
    expect(targetsOf(sites, new Set())).toBe(NO_SITE);
    expect(targetsOf(sites, new Set(names.filter((name) => /[qv]_proj$/.test(name))))).toBe('\\.(q_proj|v_proj)$');
    expect(targetsOf(sites, new Set(['model.layers.1.mlp.up_proj']))).toBe('\\.1\\..*\\.up_proj$');
  });

  it('any selection comes back exactly', () => {
    fc.assert(
      fc.property(fc.subarray(names), (chosen) => {
        expect(selectedSites(sites, targetsOf(sites, new Set(chosen)))).toEqual(new Set(chosen));
      }),
      { numRuns: 300 },
    );
  });

  it('names each site where the names have no layer numbers', () => {
    const odd: SiteCard[] = ['a.proj', 'b.proj', 'c[0].proj'].map((name, depth) => ({ name, depth, module: 'proj', shape: [1, 1] }));
    for (const chosen of [['a.proj'], ['c[0].proj'], ['a.proj', 'b.proj']]) expect(selectedSites(odd, targetsOf(odd, new Set(chosen)))).toEqual(new Set(chosen));
  });

  it('a broken expression selects nothing', () => expect(selectedSites(sites, '(').size).toBe(0));
});
