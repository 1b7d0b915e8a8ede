// Small methods that use what the contract has and the registered methods do not (yet) use; the conformance tests run on them too.
import { addColumns, axpby, matmul, reshape, scale } from '../../engine/ops';
import type { LinearSite } from '../../engine/nn/site';
import type { Tensor } from '../../engine/tensor/tensor';
import { noAdapters } from '../../engine/nn/site';
import { type Method, defineMethod } from '../../training/contract';
import type { MethodCard } from '../../training/card';
import type { Fields } from '../../training/fields';
import { staged } from '../../training/recipes/staged';
import { branchApply, branchWeight, checkRank, concatenated, rankField } from '../shared/low-rank';

const RANK = { rank: { ...rankField('Rank', 'For tests.'), default: 4 } } as const;
function card<F extends Fields>(slug: string, fields: F, more: Partial<MethodCard> = {}): MethodCard & { fields: F } {
  return {
    slug, name: slug, summary: 'For tests.', goodFor: 'tests.', formula: '', paper: { title: '', authors: '', year: 2026, venue: '', url: 'https://example.org' },
    family: 'other', models: ['decoder'], exports: 'lora-exact', series: [], views: [], ...more, fields,
  };
}
const kaiming = (inn: number) => ({ kind: 'kaimingUniform', fanIn: inn }) as const;

/** Starts from slices of the weight's gradient, takes the start away again, and exports both as one LoRA. */
export const delta = defineMethod({
  info: card('test-delta', RANK),
  check: (sites, { rank }) => checkRank(sites, rank),
  async prepare(host, { rank }) {
    const start = new Map<string, { A: Float32Array; B: Float32Array }>();
    let done = 0;
    for await (const { site, gradient } of host.gradients({ batches: 2 })) {
      const [out, inn] = site.shape;
      const weight = await host.weight(site);
      const largest = Math.max(...gradient.map(Math.abs));
      start.set(site.name, {
        A: gradient.slice(0, rank * inn).map((g) => (0.3 * g) / largest),
        B: Float32Array.from({ length: out * rank }, (_, i) => 0.3 * (weight[Math.floor(i / rank) * inn + (i % rank)] as number) + 0.01 * host.random.normal(site.name, i)),
      });
      await host.progress(++done, host.sites.length);
    }
    host.state.seen = done;
    return start;
  },
  attach(site, { rank }, context) {
    const [out, inn] = site.shape;
    const of = (part: 'A' | 'B') => ({ kind: 'values', values: () => context.shared?.get(site.name)?.[part] as Float32Array }) as const;
    const [A, B] = [site.param('lora_A', [rank, inn], of('A')), site.param('lora_B', [out, rank], of('B'))];
    const start = { A: site.param('start_A', [rank, inn], of('A'), { trainable: false }), B: site.param('start_B', [out, rank], of('B'), { trainable: false }) };
    const branch = { A, B, start, scale: 2, dropout: 0, stream: 0 };
    return {
      params: { A, B, A0: start.A, B0: start.B },
      weight: () => branchWeight(site, branch),
      apply: (x, call) => branchApply(site, x, call, branch),
      lora: (v) => concatenated(2, rank, { A: v.A as Float32Array, B: v.B as Float32Array }, { A: v.A0 as Float32Array, B: v.B0 as Float32Array }),
    };
  },
  trainable: ([out, inn], { rank }) => rank * (out + inn),
});

/** Every layer of a kind has the same A and a core, and a table of whole numbers that stands beside it; B is its own. */
export const pooled = defineMethod({
  info: card('test-pooled', RANK),
  attach(site, { rank }, context) {
    const [out, inn] = site.shape;
    const A = context.param(`pool.${site.module}.${inn}.A`, [rank, inn], kaiming(inn));
    const B = site.param('own_B', [out, rank], { kind: 'zeros' });
    const core = site.param('core', [rank, rank], { kind: 'normal', std: 0.5 }, { group: 'core' });
    const table = site.param('table', [rank], { kind: 'values', values: () => Uint32Array.from({ length: rank }, (_, i) => i + 7 * site.depth) }, { trainable: false, dtype: 'u32' });
    const branch = { A, B, core: core.tensor, scale: 1, dropout: 0, stream: 0 };
    return {
      params: { A, B, core, table },
      weight: () => branchWeight(site, branch),
      apply: (x, call) => branchApply(site, x, call, branch),
      // B C is [out, rank].
      lora: (v) => ({ rank, scale: 1, A: v.A as Float32Array, B: product(v.B as Float32Array, v.core as Float32Array, out, rank) }),
    };
  },
  groups: () => ({ core: { lrScale: 0.5, weightDecay: 0.01, beta1: 0.8, beta2: 0.99 } }),
  trainable: ([out], { rank }) => rank * (out + rank),
  shared: (sites, { rank }) => [...new Map(sites.map((site) => [`${site.module} ${site.shape[1]}`, site])).values()].reduce((sum, { shape }) => sum + rank * shape[1], 0),
});

function product(b: Float32Array, c: Float32Array, out: number, rank: number): Float32Array {
  return Float32Array.from({ length: out * rank }, (_, at) => {
    let sum = 0;
    for (let j = 0; j < rank; j++) sum += (b[Math.floor(at / rank) * rank + j] as number) * (c[j * rank + (at % rank)] as number);
    return sum;
  });
}

/** Each step draws a rank and trains that pair alone; an evaluation sees all of them. The pairs' visits are remembered. */
export const masked = defineMethod({
  info: card('test-masked', RANK),
  attach(site, { rank }, context) {
    const [out, inn] = site.shape;
    const A = site.param('lora_A', [rank, inn], kaiming(inn), { mask: { name: 'pair', axis: 'rows' } });
    const B = site.param('lora_B', [out, rank], { kind: 'zeros' }, { mask: { name: 'pair', axis: 'columns' } });
    const [drawn, all] = [context.input('drawn', [rank], 1), context.input('all', [rank], 1)];
    const branch = { A, B, scale: 1, dropout: 0, stream: 0 };
    return {
      params: { A, B },
      weight: () => branchWeight(site, { ...branch, gate: all }),
      apply: (x, call) => branchApply(site, x, call, { ...branch, gate: call.training ? drawn : all }),
      lora: (v) => ({ rank, scale: 1, A: v.A as Float32Array, B: v.B as Float32Array }),
    };
  },
  beforeStep(host, { rank }) {
    const b = Math.floor(host.random.uniform('rank', host.step) * rank);
    const visits = (host.state.visits as number[] | undefined) ?? new Array<number>(rank).fill(0);
    host.state.visits = visits.map((n, i) => n + Number(i === b));
    host.set('drawn', Float32Array.from({ length: rank }, (_, i) => Number(i <= b)));
    host.setMask('pair', Uint32Array.from({ length: rank }, (_, i) => Number(i === b)));
  },
  trainable: ([out, inn], { rank }) => rank * (out + inn),
});

/** B steps along a momentum of its own that is made from both gradients; A goes through AdamW with a gradient scaled by B's. */
export const joint = defineMethod({
  info: card('test-joint', RANK),
  attach(site, { rank }) {
    const [out, inn] = site.shape;
    const [A, B] = [site.param('lora_A', [rank, inn], kaiming(inn)), site.param('lora_B', [out, rank], { kind: 'zeros' })];
    const branch = { A, B, scale: 1, dropout: 0, stream: 0 };
    return {
      params: { A, B },
      weight: () => branchWeight(site, branch),
      apply: (x, call) => branchApply(site, x, call, branch),
      lora: (v) => ({ rank, scale: 1, A: v.A as Float32Array, B: v.B as Float32Array }),
    };
  },
  optimizer({ sites, gradient, lasting, keep }) {
    const [gradients, steps] = [new Map(), new Map()];
    for (const { params: { A, B } } of sites) {
      if (!A || !B) continue;
      gradients.set(A, scale(gradient(A), 2));
      const momentum = lasting(`${B.name}.momentum`, B.tensor.shape);
      const next = axpby(momentum, gradient(B), 0.9, 1);
      keep(momentum, next);
      steps.set(B, next);
    }
    return { gradients, steps };
  },
  trainable: ([out, inn], { rank }) => rank * (out + inn),
});

/** Reads the layer's own output and changes the gradient that goes down; changes the bias; exports in the studio's own format. */
export const reader = defineMethod({
  info: card('test-reader', RANK, { exports: 'native' }),
  attach(site, { rank }) {
    const [out] = site.shape;
    const [A, B] = [site.param('down', [rank, out], kaiming(out)), site.param('up', [out, rank], { kind: 'zeros' })];
    const shift = site.param('shift', [out], { kind: 'zeros' });
    const reread = (y0: Tensor) => matmul(matmul(y0, A.tensor, { tb: true }), B.tensor, { tb: true, c: y0 });
    return {
      params: { A, B, shift },
      // (I + B A) W and (I + B A) b + shift.
      weight: () => matmul(B.tensor, matmul(A.tensor, site.weight), { c: site.weight }),
      bias: () => addedBias(site, A.tensor, B.tensor, shift.tensor),
      apply: (x) => addColumns(reread(site.base(x)), shift.tensor),
    };
  },
  trainable: ([out], { rank }) => out * (2 * rank + 1),
});

function addedBias(site: LinearSite, A: Tensor, B: Tensor, shift: Tensor): Tensor {
  if (!site.bias) return shift;
  return axpby(matmul(matmul(site.bias, A, { tb: true }), B, { tb: true, c: site.bias }), shift, 1, 1);
}

/** Stage two freezes B and drops its moments; in stage one every third step opens a rank, up to the capacity. */
export const growing = defineMethod({
  info: card('test-growing', RANK),
  attach(site, { rank }, context) {
    const [out, inn] = site.shape;
    const A = site.param('lora_A', [rank, inn], kaiming(inn), { mask: { name: `${site.name}.rank`, axis: 'rows' } });
    const B = site.param('lora_B', [out, rank], { kind: 'zeros' }, { trainable: context.state.frozen !== true });
    const gate = context.input(`${site.name}.open`, [rank], Float32Array.from({ length: rank }, (_, i) => Number(i < 1)));
    const branch = { A, B, gate, scale: 1, dropout: 0, stream: 0 };
    return {
      params: { A, B },
      weight: () => branchWeight(site, branch),
      apply: (x, call) => branchApply(site, x, call, branch),
      lora: (v) => {
        const open = openRanks(context.state, rank);
        return { rank, scale: 1, A: v.A as Float32Array, B: (v.B as Float32Array).map((x, i) => (i % rank < open ? x : 0)) };
      },
    };
  },
  phases: (_, { steps }) => [{ name: 'grow', steps: Math.ceil(steps / 2) }, { name: 'settle', steps: Math.floor(steps / 2) }],
  recipe: (run) => staged(run, [null, ({ state }) => { state.frozen = true; }]),
  beforeStep(host, { rank }) {
    const open = Uint32Array.from({ length: rank }, (_, i) => Number(i < openRanks(host.state, rank)));
    for (const name of host.sites) {
      host.set(`${name}.open`, Float32Array.from(open));
      host.setMask(`${name}.rank`, open);
    }
  },
  async afterStep(host, { rank }) {
    if (host.phase > 0 || host.step % 3 !== 0) return;
    const norms = (await host.values()).map(({ values }) => Math.hypot(...(values.B as Float32Array)));
    host.state.open = Math.min(rank, openRanks(host.state, rank) + Number(norms.some((n) => n > 0)));
  },
  trainable: ([out, inn], { rank }) => rank * (out + inn),
});
const openRanks = (state: Readonly<Record<string, unknown>>, rank: number) => Math.min(rank, Number(state.open ?? 1));

/** Wraps the model's call and pulls towards the base's logits; nothing that merges. */
export const wrapped = defineMethod({
  info: card('test-wrapped', RANK, { exports: 'none' }),
  attach: pooled.attach,
  call: (next, adapters, { training }) => (training ? axpby(next(adapters), next(noAdapters), 0.5, 0.5) : next(adapters)),
  loss: (task, { logits, again }) => axpby(task, meanSquare(axpby(logits(), again(noAdapters), 1, -1)), 1, 0.1),
  trainable: pooled.trainable,
});

/** Σ x² / n as [1]. */
function meanSquare(x: Tensor): Tensor {
  const n = x.shape.reduce((a, b) => a * b, 1);
  const flat = reshape(x, [1, n]);
  return reshape(matmul(flat, flat, { tb: true, alpha: 1 / n }), [1]);
}

/** The same adapter as a PEFT type of its own: its factors under other names, and A turned. */
export const typed = defineMethod({
  info: card('test-typed', RANK, { exports: 'peft' }),
  attach: joint.attach,
  peft: {
    type: 'TYPED',
    reads: (config) => config.peft_type === 'TYPED',
    config: (_, { rank }) => ({ width: rank }),
    tensors: (sites, { rank }) => new Map(sites.flatMap(({ site, values: { A, B } }) => [
      [`${site.name}.typed_down`, { shape: [site.shape[1], rank], data: turned(A as Float32Array, rank) }] as const,
      [`${site.name}.typed_up`, { shape: [site.shape[0], rank], data: B as Float32Array }] as const,
    ])),
    fields: ({ width }) => ({ rank: width }),
    async values(site, get) {
      const down = await get(`${site.name}.typed_down`);
      return { A: turned(down, site.shape[1]), B: await get(`${site.name}.typed_up`) };
    },
  },
  trainable: joint.trainable,
});

/** x [rows, …] transposed. */
const turned = (x: Float32Array, rows: number) => {
  const columns = x.length / rows;
  return Float32Array.from(x, (_, at) => x[(at % rows) * columns + Math.floor(at / rows)] as number);
};

export const kinds = [delta, pooled, masked, joint, reader, growing, typed] as unknown as readonly Method[];
