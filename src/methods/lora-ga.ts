// LoRA-GA: A and B start as singular vectors of the full weight's gradient, so that the first step of the factors is the best one of
// rank 2r along it (Wang et al. 2024, arXiv 2407.05000). The start is taken away again in the branch; the base stays as it is.
import { type HostMatrix, combine, frobenius, hostMatrix, multiply, transpose } from '../engine/linalg/host/matrix';
import { qr } from '../engine/linalg/host/qr';
import { type Svd, svd } from '../engine/linalg/svd';
import type { DriverOptions } from '../engine/linalg/work';
import type { LinearSite } from '../engine/nn/site';
import { defineMethod } from '../training/contract';
import type { ConfigOf } from '../training/fields';
import type { Preparation } from '../training/host';
import { ConfigError, DataError } from '../util/errors';
import { watchedBy } from './shared/decompose';
import { deltaFactors, deltaJoint } from './shared/delta';
import { alphaField, branchApply, branchWeight, concatenated, dropoutField, rankField, scaleOf, scalingField, shortestSide } from './shared/low-rank';
import { rowsBySite } from './shared/views';

/** Gradients on the host that are decomposed together. */
const TOGETHER_BYTES = 2 ** 26;
/** Power iterations of the sketch. The authors' 4 leave a hundredth of the wrong directions in a flat spectrum; 10 leave a ten-thousandth. */
const ITERATIONS = 10;

interface Start {
  readonly A: Float32Array;
  readonly B: Float32Array;
  /** σ_i / ‖G‖ of the 2r directions. */
  readonly spectrum: Float32Array;
  /** Cosine between the first step of W and G, and the estimated one between G and the gradient of all data. */
  readonly cosines: Float32Array;
}

const fields = {
  rank: rankField('Rank', 'Columns of B and rows of A. The start takes twice as many directions from the gradient.'),
  alpha: alphaField,
  scaling: { ...scalingField, default: 'alpha/sqrt(r)', source: 'Wang et al. 2024' },
  gamma: { kind: 'float', label: 'γ', help: 'Larger starts with smaller factors: both have length √(√out / γ).', source: 'Wang et al. 2024: 16 for T5-base, 64 for Llama', default: 16, min: 1e-3, max: 1e6, log: true },
  batches: { kind: 'int', label: 'Gradient batches', help: 'Training batches whose mean gradient is decomposed.', source: 'Wang et al. 2024: 8', default: 8, min: 2, max: 1024, log: true },
  direction: {
    kind: 'choice', label: 'Directions', default: 'ArB2r',
    help: 'Which of the first 2r singular vectors go into A (right ones) and into B (left ones).',
    options: [
      { value: 'ArB2r', label: 'A the first r, B the next r' }, { value: 'A2rBr', label: 'B the first r, A the next r' },
      { value: 'ArBr', label: 'in turn' }, { value: 'random', label: 'at random' },
      { value: 'orthogonal', label: 'none of it: random orthogonal ones, as a control' },
    ],
  },
  size: {
    kind: 'choice', label: 'Size of the start', default: 'stable',
    help: 'stable: from γ and the layer’s outputs; unit: 1; gd: 1 / s; weight: from the weight’s own singular values. PEFT: its variant, B times singular values and A of length 1.',
    options: [
      { value: 'stable', label: 'stable' }, { value: 'unit', label: '1' }, { value: 'gd', label: '1 / s' },
      { value: 'weightS', label: 'as the weight' }, { value: 'peft', label: 'as PEFT has it (another start)' },
    ],
  },
  clip: { kind: 'bool', label: 'Keep below the weight', help: 'Shrinks the start where its largest entry would exceed the weight’s largest.', default: false },
  leastAgreement: { kind: 'float', label: 'Least agreement', help: 'Refuses to start where the gradient of these batches points elsewhere than that of all data: the estimated cosine between the two, mean over layers.', default: 0.5, min: 0, max: 1 },
  dropout: dropoutField,
} as const;
type Config = ConfigOf<typeof fields>;

export const loraGa = defineMethod({
  info: {
    slug: 'lora-ga',
    name: 'LoRA-GA',
    summary: 'LoRA that starts from the singular vectors of the gradient, so that its first step is as close to full fine-tuning as it can be.',
    goodFor: 'short runs whose first steps should go where full fine-tuning would; it reads some gradients first.',
    formula: 'y = W x + (α/√r) (B A − B₀ A₀) x, A₀ = c V[:r]ᵀ, B₀ = c U[r:2r] of G = U Σ Vᵀ',
    paper: { title: 'LoRA-GA: Low-Rank Adaptation with Gradient Approximation', authors: 'Wang et al.', year: 2024, venue: 'NeurIPS 2024', url: 'https://arxiv.org/abs/2407.05000' },
    family: 'initialisation',
    models: ['decoder', 'encoder'],
    wantsF32: true,
    exports: 'lora-exact',
    fields,
    series: [],
    views: [
      { id: 'spectrum', kind: 'heatmap', title: 'Gradient spectrum', rows: 'module', columns: 'direction', help: 'Singular values of each layer’s gradient at the start, as shares of its length: the 2r directions that A and B start with.' },
      { id: 'cosines', kind: 'heatmap', title: 'First step and gradient', rows: 'module', columns: 'cosine', help: 'First: cosine between the first step of the weight and the gradient used. Second: estimated cosine between that gradient and the gradient of all data.' },
    ],
  },

  check(sites, { rank }) {
    const { most, whose } = shortestSide(sites);
    if (2 * rank > most) throw new ConfigError(`rank: the start takes ${2 * rank} directions, but ${whose} has ${most}`, `Give a value from 1 to ${Math.floor(most / 2)}, or leave that layer out of the targets.`);
  },

  prepare: starts,

  attach(site, config, context) {
    const [out, inn] = site.shape;
    const { rank } = config;
    const scale = scaleOf(config);
    const of = (part: keyof Start) => ({ kind: 'values', values: () => context.shared?.get(site.name)?.[part] as Float32Array }) as const;
    const frozen = { trainable: false };
    const [A, B] = [site.param('lora_A', [rank, inn], of('A')), site.param('lora_B', [out, rank], of('B'))];
    const [A0, B0] = [site.param('start_A', [rank, inn], of('A'), frozen), site.param('start_B', [out, rank], of('B'), frozen)];
    const spectrum = site.param('spectrum', [2 * rank], of('spectrum'), frozen);
    const cosines = site.param('cosines', [2], of('cosines'), frozen);
    const branch = { A, B, start: { A: A0, B: B0 }, joint: deltaFactors(site, config, context), scale, dropout: config.dropout, stream: context.stream(site.name) };
    return {
      params: { A, B, A0, B0, spectrum, cosines },
      weight: () => branchWeight(site, branch),
      apply: (x, call) => branchApply(site, x, call, branch),
      lora: (v) => concatenated(scale, rank, { A: v.A as Float32Array, B: v.B as Float32Array }, { A: v.A0 as Float32Array, B: v.B0 as Float32Array }),
    };
  },

  views: (sites) => ({ spectrum: rowsBySite(sites, ({ spectrum }) => spectrum as Float32Array), cosines: rowsBySite(sites, ({ cosines }) => cosines as Float32Array) }),

  joint: deltaJoint,

  trainable: ([out, inn], { rank }) => rank * (out + inn),
});

async function starts(host: Preparation, config: Config): Promise<ReadonlyMap<string, Start>> {
  const { batches, leastAgreement } = config;
  const [found, half] = [new Map<string, Start>(), Math.floor(batches / 2)];
  let waiting: Measured[] = [];
  // A layer counts once when its gradient is there and once when that is decomposed.
  const [done, total] = [() => 2 * found.size + waiting.length, 2 * host.sites.length];
  const decompose = async () => {
    for (const [name, start] of await startsOf(host, waiting, config, watchedBy(host, done(), total))) found.set(name, start);
    waiting = [];
  };
  // The same sites in the same order, over half of the batches: what the two halves agree on is not noise.
  const halves = host.gradients({ batches: half })[Symbol.asyncIterator]();
  try {
    for await (const { site, gradient } of host.gradients({ batches })) {
      const first = (await halves.next()).value as { gradient: Float32Array };
      waiting.push({ site, gradient, length: lengthOf(site, gradient), agreement: agreementOf(first.gradient, gradient, half / batches) });
      await host.progress(done(), total);
      if (waiting.reduce((sum, w) => sum + w.gradient.byteLength, 0) >= TOGETHER_BYTES) await decompose();
    }
  } finally {
    await halves.return?.();
  }
  await decompose();
  await host.progress(done(), total);
  const agreement = [...found.values()].reduce((sum, start) => sum + (start.cosines[1] as number), 0) / found.size;
  if (agreement < leastAgreement) throw new DataError(`lora-ga: the gradient of ${batches} batches agrees too little with that of all data: a cosine of ${agreement.toFixed(2)}, estimated from its two halves, wanted ${leastAgreement}`, 'Give more gradient batches or larger ones, or lower leastAgreement.');
  return found;
}

interface Measured {
  readonly site: LinearSite;
  /** G [out, in]. */
  readonly gradient: Float32Array;
  /** ‖G‖ */
  readonly length: number;
  readonly agreement: number;
}

function lengthOf(site: LinearSite, gradient: Float32Array): number {
  const length = Math.sqrt(dot(gradient, gradient));
  if (length === 0) throw new DataError(`lora-ga: the gradient of ${site.name} is zero: it has no directions to start from`, 'Give batches with labelled tokens, or leave that layer out of the targets.');
  return length;
}

/**
 * Cosine between the mean gradient and that of endless data, from ρ, the cosine between the means of two halves of it: √(2ρ / (1 + ρ)), the
 * reliability of a mean (Spearman and Brown 1910). `share` of the batches are in the first half. 0 where the halves do not agree at all.
 */
export function agreementOf(first: Float32Array, all: Float32Array, share: number): number {
  const second = all.map((g, i) => (g - share * (first[i] as number)) / (1 - share));
  const rho = dot(first, second) / Math.sqrt(dot(first, first) * dot(second, second));
  return rho > 0 ? Math.sqrt((2 * rho) / (1 + rho)) : 0;
}

async function startsOf(host: Preparation, measured: readonly Measured[], config: Config, watched: DriverOptions): Promise<[string, Start][]> {
  if (measured.length === 0) return [];
  const { rank, size } = config;
  const seed = Math.floor(host.random.uniform('lora-ga sketch', 0) * 2 ** 31);
  const all = await svd(host.device, measured.map(({ site, gradient }) => ({ label: `gradient of ${site.name}`, shape: site.shape, data: gradient })), { ...watched, rank: 2 * rank, oversample: 2 * rank, iterations: ITERATIONS, seed });
  const weights = size === 'weightS' ? await svd(host.device, measured.map(({ site }) => site.weight), { ...watched, rank, oversample: 3 * rank, iterations: ITERATIONS, seed }) : [];
  const made: [string, Start][] = [];
  for (const [i, { site, gradient, length, agreement }] of measured.entries()) {
    const factors = all[i] as Svd;
    const vectors = config.direction === 'orthogonal' ? orthogonal(site.shape, 2 * rank, factors.S, (i) => host.random.normal(`${site.name}.control`, i)) : factors;
    const { A, B } = factorsOf(site.shape, vectors, splitOf(config, (count) => host.random.shuffle(`${site.name}.split`, count)), config, weights[i]?.S);
    const shrink = config.clip ? clipOf(await host.weight(site), A, B, config) : 1;
    made.push([site.name, { A: A.map((x) => shrink * x), B: B.map((x) => shrink * x), spectrum: factors.S.map((s) => s / length), cosines: Float32Array.of(firstStep(site.shape, gradient, A, B), agreement) }]);
  }
  return made;
}

interface Split {
  /** Which right singular vectors A gets, and which left ones B. */
  readonly a: readonly number[];
  readonly b: readonly number[];
}

function splitOf({ rank, direction }: Config, shuffle: (count: number) => Uint32Array): Split {
  const range = (from: number, step = 1) => Array.from({ length: rank }, (_, i) => from + step * i);
  if (direction === 'ArBr') return { a: range(1, 2), b: range(0, 2) };
  if (direction === 'A2rBr') return { a: range(rank), b: range(0) };
  if (direction !== 'random') return { a: range(0), b: range(rank) };
  const order = [...shuffle(2 * rank)];
  return { a: order.slice(0, rank), b: order.slice(rank) };
}

/** Orthonormal vectors that know nothing of the gradient. */
function orthogonal([out, inn]: readonly [number, number], rank: number, S: Float32Array, draw: (i: number) => number): Svd {
  const [U, V] = [out, inn].map((rows, side) => qr(hostMatrix(rows, rank, Float64Array.from({ length: rows * rank }, (_, i) => draw(side * out * rank + i)))).Q) as [HostMatrix, HostMatrix];
  return { U: Float32Array.from(U.data), S, Vt: Float32Array.from(transpose(V).data) };
}

/** A₀ [r, in] = c·V[a]ᵀ and B₀ [out, r] = c·U[b]; PEFT's variant leaves A at length 1 and gives B its singular values. */
function factorsOf([out, inn]: readonly [number, number], { U, S, Vt }: Svd, { a, b }: Split, config: Config, weightValues: Float32Array | undefined): { A: Float32Array; B: Float32Array } {
  const { rank, size, gamma } = config;
  const c = sizeOf(size, out, gamma, scaleOf(config), weightValues);
  const [ca, cb] = size === 'peft' ? [1, (i: number) => c * (S[i] as number)] : [c, () => c];
  return {
    A: Float32Array.from({ length: rank * inn }, (_, at) => ca * (Vt[(a[Math.floor(at / inn)] as number) * inn + (at % inn)] as number)),
    B: Float32Array.from({ length: out * rank }, (_, at) => {
      const column = b[at % rank] as number;
      return cb(column) * (U[Math.floor(at / rank) * 2 * rank + column] as number);
    }),
  };
}

/** c; weightS: mean over i < r of √(σ_i(W) / s). */
function sizeOf(size: string, out: number, gamma: number, scale: number, weightValues: Float32Array = new Float32Array()): number {
  if (size === 'unit') return 1;
  if (size === 'gd') return 1 / scale;
  if (size === 'weightS') return weightValues.reduce((sum, s) => sum + Math.sqrt(s / scale), 0) / weightValues.length;
  return out ** 0.25 / Math.sqrt(gamma);
}

/** √ρ where ρ = max|W| / max|s·B₀A₀| is below 1. */
function clipOf(weight: Float32Array, A: Float32Array, B: Float32Array, config: Config): number {
  const { rank } = config;
  const inn = A.length / rank;
  let [largest, base] = [0, 0];
  for (let at = 0; at < weight.length; at++) {
    let entry = 0;
    for (let r = 0; r < rank; r++) entry += (B[Math.floor(at / inn) * rank + r] as number) * (A[r * inn + (at % inn)] as number);
    largest = Math.max(largest, Math.abs(scaleOf(config) * entry));
    base = Math.max(base, Math.abs(weight[at] as number));
  }
  return largest > base ? Math.sqrt(base / largest) : 1;
}

/** Cosine between G and what one step of gradient descent on the factors adds to W, −s² (G A₀ᵀ A₀ + B₀ B₀ᵀ G), without its sign. */
function firstStep([out, inn]: readonly [number, number], G: Float32Array, A: Float32Array, B: Float32Array): number {
  const g = hostMatrix(out, inn, G);
  const [a, b] = [hostMatrix(A.length / inn, inn, A), hostMatrix(out, B.length / out, B)];
  const [right, left] = [multiply(g, transpose(a)), multiply(transpose(b), g)];
  const step = combine(multiply(right, a), multiply(b, left));
  return (frobenius(right) ** 2 + frobenius(left) ** 2) / (frobenius(step) * frobenius(g));
}

function dot(x: Float32Array, y: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < x.length; i++) sum += (x[i] as number) * (y[i] as number);
  return sum;
}
