// MoS: every layer's A and B are glued together from shards of pools that all layers of a kind share, by index lists drawn once at
// random (Wang et al. 2024, arXiv 2410.00938). Follows the authors' code, where nothing routes: the lists are fixed.
import { type Pool, pickRows, pickRowsBack } from '../engine/joint/pools';
import { streamOf } from '../engine/nn/init';
import type { LinearSite, Param } from '../engine/nn/site';
import { NO_SLOT, dropout, gatherRows, matmul, reshape } from '../engine/ops';
import { elements } from '../engine/tensor/tensor';
import { type Arenas, type AttachContext, type SiteValues, defineMethod } from '../training/contract';
import type { HeatmapData } from '../training/card';
import { ConfigError } from '../util/errors';
import { shuffle } from '../util/random';
import { alphaField, checkRank, dropoutField } from './shared/low-rank';

export const mos = defineMethod({
  info: {
    slug: 'mos',
    name: 'MoS',
    summary: 'Layers of a kind share pools of shards; each builds a LoRA of high rank from its own fixed random picks, at the parameters of a low one.',
    goodFor: 'a small budget of parameters over many layers, each of which then still has a high rank.',
    formula: 'y = W x + (α/r) Bᵏ Aᵏ x,  rows of Aᵏ and columns of Bᵏ joined from l shards each',
    paper: { title: 'MoS: Unleashing Parameter Efficiency of Low-Rank Adaptation with Mixture of Shards', authors: 'Wang et al.', year: 2024, venue: 'ICLR 2025', url: 'https://arxiv.org/abs/2410.00938' },
    family: 'low-rank',
    models: ['decoder', 'encoder'],
    exports: 'lora-exact',
    fields: {
      equivalentRank: { kind: 'int', label: 'Equivalent rank e', help: 'The budget: as many trained parameters as a LoRA of this rank.', source: 'Wang et al. 2024', default: 2, min: 1, max: 256, log: true },
      privateRank: { kind: 'int', label: 'Private rank p', help: 'How much of the budget belongs to one layer alone; 0 shares everything.', default: 1, min: 0, max: 256 },
      rank: { kind: 'int', label: 'Rank r', help: 'Of each layer’s LoRA, at most p + (e − p)·L with L layers of a kind, nor above their shorter side; 0 takes 8, or that limit where it is lower.', default: 0, min: 0, max: 256 },
      shards: { kind: 'int', label: 'Shards a vector l', help: 'Pieces that a row of A and a column of B are joined from; must divide the layer’s sides.', default: 4, min: 1, max: 64 },
      alpha: { ...alphaField, help: 'Strength of the adapter: ΔW is scaled by alpha / r, the rank itself and not the equivalent one.' },
      ownPicks: { kind: 'bool', label: 'Own picks', help: 'Every layer draws shards of its own; off gives all layers of a kind the same public shards.', default: true },
      apart: { kind: 'bool', label: 'A and B apart', help: 'B’s shards are drawn independently of A’s; off pairs them.', default: true },
      indexSeed: { kind: 'int', label: 'Seed of the picks', help: 'Adapters of several tasks may share their index lists; 0 takes the run’s seed.', default: 0, min: 0, max: 2 ** 31 - 1 },
      dropout: dropoutField,
    },
    series: [],
    views: [{ id: 'shards', kind: 'heatmap', title: 'Shards in use', rows: 'module', columns: 'shard', help: 'Which shards of A a layer is built from: 1 shared, 2 its own.' }],
  },

  check(sites, config) {
    const { equivalentRank: e, privateRank: p, shards: l } = config;
    if (p > e) throw new ConfigError(`privateRank: ${p} is above the equivalent rank, ${e}`, `Give a value from 0 to ${e}.`);
    checkRank(sites, e, 'equivalentRank');
    const divides = (pieces: number) => ({ shape }: LinearSite) => shape.every((side) => side % pieces === 0);
    const odd = sites.find((site) => !divides(l)(site));
    if (odd) {
      const all = Array.from({ length: 64 }, (_, i) => i + 1).filter((pieces) => sites.every(divides(pieces)));
      throw new ConfigError(`shards: ${l} does not divide the sides of ${odd.name} [${odd.shape.join(', ')}]`, `Give one of ${all.join(', ')}, or leave that layer out of the targets.`);
    }
    for (const [kind, layers] of kindsOf(sites)) {
      const { shape } = layers[0] as LinearSite;
      const [r, limit] = [rankOf(config, layers.length, shape), limitOf(config, layers.length, shape)];
      if (r < e || r > limit) {
        const range = limit === e ? `Give ${e}` : `Give a value from ${e} to ${limit}`;
        throw new ConfigError(`rank: ${r} does not fit ${layers.length} layers of ${kind} at equivalent rank ${e} and private rank ${p}`, `${range}${p === e ? ' (all is private, so that is LoRA)' : ''}, or 0.`);
      }
    }
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { shards: l } = config;
    const { kind, layers, at } = placeOf(site, context.sites);
    const rank = rankOf(config, layers, site.shape);
    const n = config.equivalentRank * layers * l;
    const poolA = context.param(`mos.${kind}.pool_A`, [n, inn / l], { kind: 'kaimingUniform', fanIn: inn });
    const poolB = context.param(`mos.${kind}.pool_B`, [n, out / l], { kind: 'zeros' });
    const table = (which: 'A' | 'B') => {
      const ids = () => picks(config, { layers, at, rank }, drawOf(which, kind, site, config, context));
      const fixed = { trainable: false, dtype: 'u32' } as const;
      return {
        ids: site.param(`index_${which}`, [rank * l], { kind: 'values', values: ids }, fixed),
        slots: site.param(`slots_${which}`, [n], { kind: 'values', values: () => inverse(ids(), n) }, fixed),
      };
    };
    const [a, b] = [table('A'), table('B')];
    const scale = config.alpha / rank;
    // [r·l, side / l] read as [r, side]: the shards of a vector stand one behind the other.
    const builtA = () => reshape(gatherRows(poolA.tensor, a.ids.tensor, a.slots.tensor), [rank, inn]);
    const builtB = () => reshape(gatherRows(poolB.tensor, b.ids.tensor, b.slots.tensor), [rank, out]);
    const stream = context.stream(site.name);
    const [jointA, jointB] = [context.joint(`${site.name}.A`, [rank, inn]), context.joint(`${site.name}.B`, [out, rank])];
    return {
      params: { poolA, poolB, indexA: a.ids, indexB: b.ids, slotsA: a.slots, slotsB: b.slots },
      weight: () => matmul(builtB(), builtA(), { ta: true, alpha: scale, c: site.weight }),
      apply(x, { training, joint }) {
        const low = matmul(training ? dropout(x, config.dropout, stream) : x, joint ? jointA : builtA(), { tb: true });
        if (joint) return matmul(low, jointB, { tb: true, alpha: scale, c: site.base(x) });
        return matmul(low, builtB(), { alpha: scale, c: site.base(x) });
      },
      lora: (v) => ({ rank, scale, A: joined(v.poolA as Float32Array, v.indexA as Float32Array, inn / l), B: turned(joined(v.poolB as Float32Array, v.indexB as Float32Array, out / l), rank, out) }),
    };
  },

  joint(arenas) {
    const pools = poolsOf(arenas);
    pickRows(arenas, pools.map(({ pool }) => pool));
    return {
      back() {
        pickRowsBack(arenas, pools.map(({ pool }) => pool));
        return new Set(pools.map(({ param }) => param));
      },
    };
  },

  views: (sites, config) => ({ shards: shardMap(sites, config) }),

  trainable: () => 0,
  shared: (sites, { equivalentRank: e }) => sites.reduce((sum, { shape: [out, inn] }) => sum + e * (out + inn), 0),
});

/** Every pool once, with the layers that draw from it in order. */
function poolsOf({ sites, at, atJoint }: Arenas): { param: Param; pool: Pool }[] {
  const found = new Map<Param, Pool['draws'][number][]>();
  for (const { site: { name, shape: [out] }, params } of sites) {
    for (const which of ['A', 'B'] as const) {
      const [pool, ids, slots] = [params[`pool${which}`], params[`index${which}`], params[`slots${which}`]] as [Param, Param, Param];
      const draw = { atY: atJoint(`${name}.${which}`) as number, ids: elements(ids.tensor), atIds: at(ids), atSlots: at(slots), ...(which === 'B' ? { columnsOf: out } : {}) };
      found.set(pool, [...(found.get(pool) ?? []), draw]);
    }
  }
  return [...found].map(([param, draws]) => ({ param, pool: { at: at(param), rows: param.tensor.shape[0] as number, width: param.tensor.shape[1] as number, draws } }));
}

interface Budget { readonly equivalentRank: number; readonly privateRank: number; readonly rank: number; readonly shards: number }

/** Layers that may share a pool: of one name and shape. */
const kindOf = ({ module, shape: [out, inn] }: LinearSite) => `${module}.${out}x${inn}`;
function kindsOf(sites: readonly LinearSite[]): Map<string, LinearSite[]> {
  const kinds = new Map<string, LinearSite[]>();
  for (const site of sites) kinds.set(kindOf(site), [...(kinds.get(kindOf(site)) ?? []), site]);
  return kinds;
}
function placeOf(site: LinearSite, sites: readonly LinearSite[]): { kind: string; layers: number; at: number } {
  const kind = kindOf(site);
  const same = kindsOf(sites).get(kind) ?? [];
  return { kind, layers: same.length, at: same.findIndex(({ name }) => name === site.name) };
}

/** Public vectors are (e − p)·L, and a layer draws none of their shards twice; nor has it a rank above its sides. */
const limitOf = ({ equivalentRank: e, privateRank: p }: Budget, layers: number, shape: readonly number[]) => Math.min(p + (e - p) * layers, ...shape);
const rankOf = (budget: Budget, layers: number, shape: readonly number[]) => budget.rank || Math.min(Math.max(8, budget.equivalentRank), limitOf(budget, layers, shape));

/** Where a list's public picks are drawn from. */
function drawOf(which: 'A' | 'B', kind: string, site: LinearSite, { ownPicks, apart, indexSeed }: { ownPicks: boolean; apart: boolean; indexSeed: number }, { seed }: AttachContext) {
  return (count: number) => shuffle(count, indexSeed || seed, streamOf(`mos ${ownPicks ? site.name : kind} ${apart ? which : ''}`));
}

/** (r − p)·l shards of the public ones, none twice, then the layer's own in order: [r·l]. */
export function picks({ equivalentRank: e, privateRank: p, shards: l }: Budget, { layers, at, rank }: { layers: number; at: number; rank: number }, draw: (count: number) => Uint32Array): Uint32Array {
  const open = (e - p) * layers * l;
  const own = Uint32Array.from({ length: p * l }, (_, i) => open + at * p * l + i);
  return Uint32Array.from([...(open > 0 ? draw(open).subarray(0, (rank - p) * l) : []), ...own]);
}

/** Where in the list each of n rows stands. */
function inverse(ids: Uint32Array, n: number): Uint32Array {
  const slots = new Uint32Array(n).fill(NO_SLOT);
  ids.forEach((id, at) => { slots[id] = at; });
  return slots;
}

/** The listed shards one behind the other. */
function joined(pool: Float32Array, ids: Float32Array, width: number): Float32Array {
  const all = new Float32Array(ids.length * width);
  ids.forEach((id, at) => all.set(pool.subarray(id * width, (id + 1) * width), at * width));
  return all;
}

/** [rows, columns] → [columns, rows] */
const turned = (x: Float32Array, rows: number, columns: number) => Float32Array.from(x, (_, at) => x[(at % rows) * columns + Math.floor(at / rows)] as number);

function shardMap(sites: readonly SiteValues[], { equivalentRank: e, privateRank: p }: Budget): HeatmapData {
  const columns = Math.max(1, ...sites.map(({ values }) => values.slotsA?.length ?? 0));
  const values = new Float32Array(sites.length * columns);
  sites.forEach((found, row) => {
    const { slotsA = new Float32Array(), indexA = new Float32Array() } = found.values;
    for (const id of indexA) values[row * columns + id] = id < (slotsA.length * (e - p)) / e ? 1 : 2;
  });
  return { rows: sites.map(({ site }) => site.name), columns, values };
}
