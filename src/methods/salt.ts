// SALT: the largest singular values of each weight get a trainable scale and shift, the block of the others a trainable low-rank matrix,
// and a rectifier keeps the middle matrix non-negative (Elsayed et al. 2025, arXiv 2503.16055). W' = U relu(M) Vᵀ in the delta form
// W + U (relu(M) − diag(σ)) Vᵀ, which leaves the base as it is and starts at exactly zero.
import { type Spectrum, makeLeft, spectralDistance } from '../engine/joint/spectra';
import { type Svd, svd } from '../engine/linalg/svd';
import type { LinearSite, LoraFactors } from '../engine/nn/site';
import { add, addColumns, axpby, matmul, placeColumns, relu, scaleColumns, sliceColumns } from '../engine/ops';
import type { Tensor } from '../engine/tensor/tensor';
import { type Arenas, type SiteValues, defineMethod } from '../training/contract';
import { watchedBy } from './shared/decompose';
import { magnitudes, rowsBySite } from './shared/views';

const SCALE = 'scale';

interface Start {
  /** Columns of U [out, r] and [out, q]; Vᵀ [r + q, in]. */
  readonly Utop: Float32Array;
  readonly Urest: Float32Array;
  readonly Vt: Float32Array;
  readonly S: Float32Array;
}

export const salt = defineMethod({
  info: {
    slug: 'salt',
    name: 'SALT',
    summary: 'Scales and shifts the largest singular values of each weight, and changes the block of the others by a low-rank matrix.',
    goodFor: 'keeping the strongest directions of each weight and only rescaling them, while the others learn something new.',
    formula: 'y = U relu(M) Vᵀ x, M = diag(α σ + β) ⊕ (diag(σ) + X Y)',
    paper: { title: 'SALT: Singular Value Adaptation with Low-Rank Transformation', authors: 'Elsayed et al.', year: 2025, venue: 'BMVC 2025', url: 'https://arxiv.org/abs/2503.16055' },
    family: 'low-rank',
    models: ['decoder', 'encoder'],
    wantsF32: true,
    exports: 'lora-exact',
    fields: {
      top: { kind: 'float', label: 'Share of large values', help: 'Share of each layer’s singular values that are scaled and shifted; the others form the block.', source: 'Elsayed et al. 2025: 0.1 for SAM2', default: 0.5, min: 0, max: 1 },
      width: { kind: 'int', label: 'Width of the block’s change', help: 'Columns of X and rows of Y. The change has at most this rank, and at most that of the block.', default: 8, min: 1, max: 1024, log: true },
      lambda: { kind: 'float', label: 'Pull λ', help: 'Adds λ · (‖α σ + β − σ‖ + ‖X Y‖) of every layer to the loss. The authors’ runs have 0.', default: 0.01, min: 0, max: 100 },
      signed: { kind: 'bool', label: 'Signs beside the diagonal', help: 'Lets entries of the block beside the diagonal be negative. Off, as published: they are clipped, and so have no gradient at the start.', default: false },
    },
    series: [],
    views: [
      { id: 'now', kind: 'heatmap', title: 'Spectrum now', rows: 'module', columns: 'value', help: 'Diagonal of relu(M), the scaled and shifted values first, then the block’s, as shares of the largest value at the start. Zero is clipped.' },
      { id: 'spectrum', kind: 'heatmap', title: 'Spectrum at the start', rows: 'module', columns: 'value', help: 'Singular values of each weight at the start, largest first, as shares of the largest.' },
      { id: 'alpha', kind: 'heatmap', title: 'Scale', rows: 'module', columns: 'value', help: '|α − 1| of every scaled and shifted value: how far its scale has moved.' },
      { id: 'beta', kind: 'heatmap', title: 'Shift', rows: 'module', columns: 'value', help: '|β| of every scaled and shifted value: how far it is shifted, in units of the weight’s singular values.' },
      { id: 'clipped', kind: 'heatmap', title: 'Clipped', rows: 'module', columns: 'share', help: 'First: share of large values clipped to zero. Second: share of the block’s entries.' },
    ],
  },

  async prepare(host, { top }) {
    const all = await svd(host.device, host.sites.map((site) => site.weight), watchedBy(host));
    await host.progress(host.sites.length, host.sites.length);
    return new Map(host.sites.map((site, i) => [site.name, startOf(site, all[i] as Svd, top)])) as ReadonlyMap<string, Start>;
  },

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { r, q } = sizesOf(site.shape, config.top);
    const of = (part: keyof Start, from = 0, to?: number) => ({ kind: 'values', values: () => context.shared?.get(site.name)?.[part].slice(from, to) as Float32Array }) as const;
    const frozen = { trainable: false };
    const Vt = site.param('Vt', [r + q, inn], of('Vt'), frozen);
    const top = r === 0 ? null : {
      U: site.param('U_top', [out, r], of('Utop'), frozen), S: site.param('S_top', [r], of('S', 0, r), frozen),
      alpha: site.param('alpha', [r], { kind: 'ones' }, { group: SCALE }), beta: site.param('beta', [r], { kind: 'zeros' }),
    };
    const rest = q === 0 ? null : {
      U: site.param('U_rest', [out, q], of('Urest'), frozen), S: site.param('S_rest', [q], of('S', r), frozen),
      // torch's kaiming_uniform with the gain of a ReLU: bound √(6 / width).
      X: site.param('X', [q, config.width], { kind: 'kaimingUniform', fanIn: config.width, a: 0 }), Y: site.param('Y', [config.width, q], { kind: 'zeros' }),
    };
    const change = () => ({
      // relu(α σ + β) − σ, [r]
      top: top && axpby(relu(shifted(top.alpha.tensor, top.beta.tensor, top.S.tensor)), top.S.tensor, 1, -1),
      // relu(diag(σ) + X Y) − diag(σ), [q, q]
      rest: rest && relu(matmul(rest.X.tensor, rest.Y.tensor), { diagonal: rest.S.tensor, keepSigns: config.signed }),
    });
    const left = context.joint(leftName(site.name), [out, r + q]);
    return {
      params: { Vt, ...(top ? { Utop: top.U, Stop: top.S, alpha: top.alpha, beta: top.beta } : {}), ...(rest ? { Urest: rest.U, Srest: rest.S, X: rest.X, Y: rest.Y } : {}) },
      weight() {
        const { top: t, rest: m } = change();
        const parts = [top && t && placeColumns(scaleColumns(top.U.tensor, t), 0, r + q), rest && m && placeColumns(matmul(rest.U.tensor, m), r, r + q)];
        return matmul(parts.filter((part) => part !== null).reduce(add), Vt.tensor, { c: site.weight });
      },
      apply(x, { joint }) {
        if (joint) return site.base(x, matmul(left, Vt.tensor, { c: site.weight }));
        const { top: t, rest: m } = change();
        const low = matmul(x, Vt.tensor, { tb: true });
        const upper = top && t ? matmul(scaleColumns(sliceColumns(low, 0, r), t), top.U.tensor, { tb: true, c: site.base(x) }) : site.base(x);
        return rest && m ? matmul(matmul(sliceColumns(low, r, q), m, { tb: true }), rest.U.tensor, { tb: true, c: upper }) : upper;
      },
      lora: (values) => asLora(site, values, config),
    };
  },

  // Decay would pull the scale to 0 instead of to where it starts.
  groups: () => ({ [SCALE]: { lrScale: 1, weightDecay: 0 } }),

  // The weight itself is made anew each step: as many products as full fine-tuning has, where factors of full rank would take twice that.
  joint(arenas, { top, width, signed }) {
    const { back } = makeLeft(arenas, spectraOf(arenas, top), { width, keepSigns: signed });
    return {
      back() {
        back();
        return new Set(arenas.sites.flatMap(({ params }) => Object.values(params).filter((p) => p.trainable)));
      },
    };
  },

  penalty: (arenas, { top, width, lambda }) => (lambda === 0 ? undefined : spectralDistance(arenas, spectraOf(arenas, top), width, lambda)),

  views: (sites, config) => ({
    now: rowsBySite(sites, (values) => diagonalOf(values, config.width)),
    spectrum: rowsBySite(sites, ({ Stop = none, Srest = none }) => [...Stop, ...Srest].map((s, _, all) => s / (all[0] || 1))),
    alpha: rowsBySite(sites, ({ alpha = none }) => alpha.map((a) => Math.abs(a - 1))),
    beta: magnitudes(sites, 'beta'),
    clipped: rowsBySite(sites, (values) => clipped(values, config)),
  }),

  trainable(shape, { top, width }) {
    const { r, q } = sizesOf(shape, top);
    return 2 * r + 2 * width * q;
  },
});

const none = new Float32Array();

/** How many singular values are scaled and shifted, and how many form the block. */
function sizesOf(shape: readonly [number, number], top: number): { k: number; r: number; q: number } {
  const k = Math.min(...shape);
  const r = Math.round(top * k);
  return { k, r, q: k - r };
}

function startOf({ shape: [out, inn] }: LinearSite, { U, S, Vt }: Svd, top: number): Start {
  const { k, r, q } = sizesOf([out, inn], top);
  const columns = (from: number, width: number) => Float32Array.from({ length: out * width }, (_, at) => U[Math.floor(at / width) * k + from + (at % width)] as number);
  return { Utop: columns(0, r), Urest: columns(r, q), Vt, S };
}

/** α ⊙ σ + β, [r]. */
const shifted = (alpha: Tensor, beta: Tensor, S: Tensor) => addColumns(scaleColumns(alpha, S), beta);

const leftName = (site: string) => `${site}.left`;

/** Where each layer's parts stand in the arenas; 0 for those it does not have. */
function spectraOf({ sites, at, atJoint }: Arenas, top: number): Spectrum[] {
  return sites.map(({ site: { name, shape }, params }) => {
    const where = (part: string) => (params[part] ? at(params[part]) : 0);
    const { r, q } = sizesOf(shape, top);
    return {
      rows: shape[0], r, q, left: atJoint(leftName(name)) as number,
      alpha: where('alpha'), beta: where('beta'), X: where('X'), Y: where('Y'), Stop: where('Stop'), Srest: where('Srest'), Utop: where('Utop'), Urest: where('Urest'),
    };
  });
}

interface Settings {
  readonly width: number;
  readonly signed: boolean;
}

/** relu(diag(σ) + X Y) − diag(σ) of the block on the host, [q, q], and how many entries were clipped. */
function blockOf({ X = none, Y = none, Srest = none }: SiteValues['values'], { width, signed }: Settings): { change: Float64Array; cut: number } {
  const q = Srest.length;
  let cut = 0;
  const change = product(X, Y, q, width, q).map((value, at) => {
    const [i, j] = [Math.floor(at / q), at % q];
    if (signed && i !== j) return value;
    const shift = i === j ? (Srest[i] as number) : 0;
    if (value + shift >= 0) return value;
    cut++;
    return -shift;
  });
  return { change, cut };
}

/** The diagonal of relu(M), [r + q], as shares of the largest singular value at the start. */
function diagonalOf({ alpha = none, beta = none, Stop = none, Srest = none, X = none, Y = none }: SiteValues['values'], width: number): number[] {
  const largest = Stop[0] || Srest[0] || 1;
  const q = Srest.length;
  const change = (i: number) => X.slice(i * width, (i + 1) * width).reduce((sum, x, t) => sum + x * (Y[t * q + i] as number), 0);
  const diagonal = [...Array.from(Stop, (s, i) => (alpha[i] as number) * s + (beta[i] as number)), ...Array.from(Srest, (s, i) => s + change(i))];
  return diagonal.map((value) => Math.max(value, 0) / largest);
}

function clipped(values: SiteValues['values'], config: Settings): Float32Array {
  const { alpha = none, beta = none, Stop = none, Srest = none } = values;
  const top = Stop.filter((s, i) => (alpha[i] as number) * s + (beta[i] as number) < 0).length;
  return Float32Array.of(top / Math.max(1, Stop.length), blockOf(values, config).cut / Math.max(1, Srest.length ** 2));
}

/**
 * The whole change as plain LoRA, exactly. Where no entry of the block is clipped its rank is r + width; where some are, the block is of
 * full rank, and the factors go by all k = r + q values: B = [U_top diag(t), U_rest M'], A = Vᵀ.
 */
function asLora({ shape: [out, inn] }: LinearSite, values: SiteValues['values'], config: Settings): LoraFactors {
  const { Utop = none, Vt = none, Stop = none, alpha = none, beta = none, Urest = none, Srest = none, X = none, Y = none } = values;
  const [r, q] = [Stop.length, Srest.length];
  const t = Stop.map((s, i) => Math.max((alpha[i] as number) * s + (beta[i] as number), 0) - s);
  const top = Utop.map((u, at) => u * (t[at % r] as number));
  const { change, cut } = blockOf(values, config);
  const narrow = cut === 0 && config.width < q;
  const width = narrow ? config.width : q;
  const [Vtop, Vrest] = [Vt.subarray(0, r * inn), Vt.subarray(r * inn)];
  const right = narrow ? product(Y, Vrest, width, q, inn) : Vrest;
  const left = narrow ? product(Urest, X, out, q, width) : product(Urest, change, out, q, q);
  const rank = r + width;
  const A = new Float32Array(rank * inn);
  A.set(Vtop);
  A.set(right, r * inn);
  const B = Float32Array.from({ length: out * rank }, (_, at) => {
    const [o, c] = [Math.floor(at / rank), at % rank];
    return (c < r ? top[o * r + c] : left[o * width + c - r]) as number;
  });
  return { rank, scale: 1, A, B };
}

/** a [m, k] b [k, n]. */
function product(a: ArrayLike<number>, b: ArrayLike<number>, m: number, k: number, n: number): Float64Array {
  const y = new Float64Array(m * n);
  for (let i = 0; i < m; i++) for (let t = 0; t < k; t++) for (let j = 0; j < n; j++) y[i * n + j] = (y[i * n + j] as number) + (a[i * k + t] as number) * (b[t * n + j] as number);
  return y;
}
