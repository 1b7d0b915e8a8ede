// PiSSA: a LoRA that starts from the weight's own strongest directions and trains those (Meng, Wang, Zhang 2024, arXiv 2404.02948).
import { svd } from '../engine/linalg/svd';
import { defineMethod } from '../training/contract';
import { deltaFactors, deltaJoint } from './shared/delta';
import { alphaField, branchApply, branchWeight, checkRank, concatenated, dropoutField, rankField, scaleOf, scalingField } from './shared/low-rank';

interface Start {
  /** [rank, in] */
  readonly A: Float32Array;
  /** [out, rank] */
  readonly B: Float32Array;
}

export const pissa = defineMethod({
  info: {
    slug: 'pissa',
    name: 'PiSSA',
    summary: 'LoRA that starts from the strongest singular directions of each weight, and so trains what matters most from the first step.',
    goodFor: 'short runs that should move what matters from the first step; each layer is decomposed once before it.',
    formula: 'y = (W − s B₀ A₀) x + s B A x, s B₀ A₀ = U_r Σ_r V_rᵀ',
    paper: { title: 'PiSSA: Principal Singular Values and Singular Vectors Adaptation of Large Language Models', authors: 'Meng, Wang, Zhang', year: 2024, venue: 'NeurIPS 2024', url: 'https://arxiv.org/abs/2404.02948' },
    family: 'baseline',
    models: ['decoder', 'encoder'],
    wantsF32: true,
    exports: 'lora-exact',
    fields: {
      rank: rankField('Rank', 'How many singular directions of each weight train. The exported file has twice as many.'),
      alpha: { ...alphaField, default: 8, source: 'Meng et al. 2024: alpha = rank' },
      scaling: scalingField,
      iterations: { kind: 'int', label: 'Power iterations', help: 'Of the randomised decomposition, which is taken where the rank is a quarter of the matrix or less. 0 = the exact one, which takes longer.', source: 'Meng et al. 2024: 4 to 16', default: 8, min: 0, max: 64 },
      dropout: dropoutField,
    },
    series: [],
    views: [],
  },

  check: (sites, { rank }) => checkRank(sites, rank),

  async prepare({ device, sites, progress, random }, config): Promise<ReadonlyMap<string, Start>> {
    const { rank, iterations } = config;
    const scale = scaleOf(config);
    const start = new Map<string, Start>();
    // One matrix at a time would keep the GPU idle; all at once could not be stopped.
    for (let from = 0; from < sites.length; from += AT_ONCE) {
      const some = sites.slice(from, from + AT_ONCE);
      const found = await svd(device, some.map((site) => site.weight), { rank, seed: Math.floor(random.uniform('pissa', 0) * 2 ** 31), ...(iterations > 0 ? { iterations } : { method: 'jacobi' }) });
      some.forEach((site, i) => start.set(site.name, factorsOf(found[i] as (typeof found)[number], site.shape, rank, scale)));
      await progress(Math.min(from + AT_ONCE, sites.length), sites.length);
    }
    return start;
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { rank } = config;
    const scale = scaleOf(config);
    const of = (part: keyof Start) => ({ kind: 'values', values: () => context.shared?.get(site.name)?.[part] as Float32Array }) as const;
    const [A, B] = [site.param('lora_A', [rank, inn], of('A')), site.param('lora_B', [out, rank], of('B'))];
    const start = { A: site.param('start_A', [rank, inn], of('A'), { trainable: false }), B: site.param('start_B', [out, rank], of('B'), { trainable: false }) };
    const branch = { A, B, start, joint: deltaFactors(site, config, context), scale, dropout: config.dropout, stream: context.stream(site.name) };
    return {
      params: { A, B, A0: start.A, B0: start.B },
      weight: () => branchWeight(site, branch),
      apply: (x, call) => branchApply(site, x, call, branch),
      lora: (v) => concatenated(scale, rank, { A: v.A as Float32Array, B: v.B as Float32Array }, { A: v.A0 as Float32Array, B: v.B0 as Float32Array }),
    };
  },

  joint: deltaJoint,

  trainable: ([out, inn], { rank }) => rank * (out + inn),
});

const AT_ONCE = 16;

/** A₀ = √(Σ/s) Vᵀ and B₀ = U √(Σ/s), so that s·B₀ A₀ is the best approximation of rank r (their equations 2 to 4). */
function factorsOf({ U, S, Vt }: { U: Float32Array; S: Float32Array; Vt: Float32Array }, [, inn]: readonly [number, number], rank: number, scale: number): Start {
  const root = S.map((s) => Math.sqrt(s / scale));
  return { A: Vt.map((v, i) => v * (root[Math.floor(i / inn)] as number)), B: U.map((u, i) => u * (root[i % rank] as number)) };
}
