// Every op over awkward shapes: its value against the f64 reference on every kernel that may be chosen, its gradients against
// central differences of that reference. Matrix products, grids beyond one fold and dropout have files of their own.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device, Profile } from '../gpu/device';
import { type Case, PROFILES, findings, floats, i32, normals, testCase, u32 } from '../testing/check';
import { testDevice } from '../testing/device';
import { type Host, range } from '../testing/reference';
import * as ops from '.';
import index from './index.ts?raw';
import * as activations from './activations.reference';
import * as sums from './add.reference';
import * as attention from './attention.reference';
import * as columns from './columns.reference';
import * as lookup from './embedding.reference';
import { l2Norm } from './l2.reference';
import { matmul as product } from './matmul.reference';
import * as losses from './loss.reference';
import { meanPool } from './mean-pool.reference';
import * as norms from './norms.reference';
import { patches } from './patches.reference';
import { relu } from './relu.reference';
import * as pools from './pool.reference';
import { reshape } from './reshape.reference';
import * as rows from './rows.reference';
import * as strips from './strips.reference';

const SIZES = [1, 3, 63, 65, 257];
/** [rows, columns] of row-wise ops: one row, one column, and sizes beside the 4 rows and 64 lanes of a workgroup. */
const MATRICES = [[1, 1], [1, 257], [3, 65], [65, 3], [257, 1], [5, 64]] as const;

const sumCases = SIZES.flatMap((n) => [
  testCase(`axpby ${n}`, { x: normals([n]), y: normals([n]) }, ({ x, y }) => ops.axpby(x, y, 0.3, -1.7), ({ x, y }) => sums.axpby(x, y, 0.3, -1.7)),
  testCase(`add ${n}`, { x: normals([n]), y: normals([n]) }, ({ x, y }) => ops.add(x, y), ({ x, y }) => sums.add(x, y)),
  testCase(`x + x ${n}`, { x: normals([n]) }, ({ x }) => ops.add(x, x), ({ x }) => sums.add(x, x)),
  testCase(`scale ${n}`, { x: normals([n]) }, ({ x }) => ops.scale(x, -0.1), ({ x }) => sums.scale(x, -0.1)),
  testCase(`copy ${n}`, { x: normals([n]) }, ({ x }) => ops.copy(x), ({ x }) => sums.copy(x)),
  testCase(`fill ${n}`, {}, () => ops.fill([n], 0.1), () => sums.fill([n], 0.1)),
]);


const l2Cases = SIZES.map((n) => testCase(`l2_norm ${n}`, { x: normals([n]) }, ({ x }) => ops.l2Norm(x), ({ x }) => l2Norm(x)));

/** Square, with diagonals of either sign. */
const reluCases = [
  ...SIZES.map((n) => testCase(`relu ${n}`, { x: normals([n]) }, ({ x }) => ops.relu(x), ({ x }) => relu(x))),
  ...[1, 3, 17].flatMap((n) => [false, true].map((keepSigns) => testCase(`relu about a diagonal ${n}${keepSigns ? ', signs kept' : ''}`, { x: normals([n, n]), s: normals([n]) }, ({ x, s }) => ops.relu(x, { diagonal: s, keepSigns }), ({ x, s }) => relu(x, s, keepSigns), { wrt: ['x'] }))),
];

const otherSums = [
  // A norm of nothing, and a rectifier at its corner: no gradient there, so none is compared.
  testCase('l2_norm of zeros', { x: normals([5], 0) }, ({ x }) => ops.l2Norm(x), ({ x }) => l2Norm(x), { wrt: [] }),
  testCase('relu of zeros about a diagonal', { x: normals([3, 3], 0), s: floats([3], [2, 0, 5]) }, ({ x, s }) => ops.relu(x, { diagonal: s }), ({ x, s }) => relu(x, s), { wrt: [] }),
  // beta = 0 must not read y: what stands there may be no number.
  testCase('axpby with beta 0 over NaN', { x: normals([7]), y: floats([7], range(7).map(() => Number.NaN)) }, ({ x, y }) => ops.axpby(x, y, 2, 0), ({ x }) => sums.scale(x, 2), { wrt: ['x'] }),
  testCase('reshape', { x: normals([3, 10]) }, ({ x }) => ops.reshape(ops.scale(x, 2), [5, 6]), ({ x }) => reshape(sums.scale(x, 2), [5, 6])),
];

const activationCases = SIZES.flatMap((n) => [
  testCase(`swiglu ${n}`, { g: normals([n], 3), u: normals([n]) }, ({ g, u }) => ops.swiglu(g, u), ({ g, u }) => activations.swiglu(g, u)),
  testCase(`gelu in its tanh form ${n}`, { x: normals([n]) }, ({ x }) => ops.geluTanh(x), ({ x }) => activations.geluTanh(x)),
  testCase(`gelu ${n}`, { x: normals([n], 2) }, ({ x }) => ops.gelu(x), ({ x }) => activations.gelu(x)),
  testCase(`quick_gelu ${n}`, { x: normals([n], 2) }, ({ x }) => ops.quickGelu(x), ({ x }) => activations.quickGelu(x)),
  testCase(`exp ${n}`, { x: normals([n], 2) }, ({ x }) => ops.exp(x), ({ x }) => activations.exp(x)),
  testCase(`tanh ${n}`, { x: normals([n]) }, ({ x }) => ops.tanh(x), ({ x }) => activations.tanh(x)),
]);

/** Where exp overflows and tanh saturates. */
const EXTREMES = [-1e4, -200, -100, -89, -30, -5, -1e-6, 0, 1e-6, 5, 30, 89, 100, 200, 1e4];
const extremeCases = [
  testCase('swiglu of extremes', { g: floats([15], EXTREMES), u: normals([15]) }, ({ g, u }) => ops.swiglu(g, u), ({ g, u }) => activations.swiglu(g, u)),
  testCase('gelu in its tanh form of extremes', { x: floats([15], EXTREMES) }, ({ x }) => ops.geluTanh(x), ({ x }) => activations.geluTanh(x)),
  testCase('gelu of extremes', { x: floats([15], EXTREMES) }, ({ x }) => ops.gelu(x), ({ x }) => activations.gelu(x)),
  testCase('quick_gelu of extremes', { x: floats([15], EXTREMES) }, ({ x }) => ops.quickGelu(x), ({ x }) => activations.quickGelu(x)),
  testCase('tanh of extremes', { x: floats([15], EXTREMES) }, ({ x }) => ops.tanh(x), ({ x }) => activations.tanh(x)),
];

const columnCases = MATRICES.flatMap(([n, c]) => [
  testCase(`scale_columns onto a sum ${n}×${c}`, { x: normals([n, c]), g: normals([c]), z: normals([n, c]) }, ({ x, g, z }) => ops.add(z, ops.scaleColumns(x, g)), ({ x, g, z }) => sums.add(z, { shape: z.shape, data: columns.scaleColumns(x, g).data })),
  testCase(`scale_columns by stretches ${n}×${c}`, { x: normals([n, c]), g: normals([4, c]) }, ({ x, g }) => ops.scaleColumns(x, g), ({ x, g }) => columns.scaleColumns(x, g)),
  testCase(`scale_columns ${n}×${c}`, { x: normals([n, c]), g: normals([c]) }, ({ x, g }) => ops.scaleColumns(x, g), ({ x, g }) => columns.scaleColumns(x, g)),
  testCase(`add_columns ${n}×${c}`, { x: normals([n, c]), b: normals([c]) }, ({ x, b }) => ops.addColumns(x, b), ({ x, b }) => columns.addColumns(x, b)),
  testCase(`column_dot ${n}×${c}`, { x: normals([n, c]), z: normals([n, c]), s: normals([n]) }, ({ x, z, s }) => ops.columnDot(x, z, s), ({ x, z, s }) => columns.columnDot(x, z, s), { wrt: [] }),
  testCase(`column_dot of x alone ${n}×${c}`, { x: normals([n, c]) }, ({ x }) => ops.columnDot(x), ({ x }) => columns.columnDot(x), { wrt: [] }),
  testCase(`column_dot without z ${n}×${c}`, { x: normals([n, c]), s: normals([n]) }, ({ x, s }) => ops.columnDot(x, undefined, s), ({ x, s }) => columns.columnDot(x, undefined, s), { wrt: [] }),
]);

const rowCases = MATRICES.flatMap(([n, c]) => [
  testCase(`scale_rows ${n}×${c}`, { x: normals([n, c]), s: normals([n]) }, ({ x, s }) => ops.scaleRows(x, s), ({ x, s }) => rows.scaleRows(x, s)),
  // Rows of one number would have a norm whose derivative is nearly 0 / 0.
  ...[1, 5].map((r) => testCase(`inverse_norms ${n}×${c + 2} rank ${r}`, { W: normals([n, c + 2]), B: normals([n, r]), A: normals([r, c + 2]) }, ({ W, B, A }) => ops.inverseRowNorms(W, B, A, 0.7, false), ({ W, B, A }) => rows.inverseRowNorms(W, B, A, 0.7), { wrt: ['B', 'A'] })),
]);
const zeroRows = testCase('inverse_norms of zeros', { W: normals([3, 5], 0), B: normals([3, 2], 0), A: normals([2, 5]) }, ({ W, B, A }) => ops.inverseRowNorms(W, B, A, 1, true), ({ W, B, A }) => rows.inverseRowNorms(W, B, A, 1), { wrt: [] });

/** One block; blocks of one width; a first block of another width; more numbers than a workgroup has. The last third is closed. */
const stripCases = [{ n: 1, first: 1, step: 1 }, { n: 6, first: 2, step: 2 }, { n: 9, first: 1, step: 4 }, { n: 19, first: 3, step: 2 }].flatMap((form) => {
  const gate = floats([form.n], range(form.n).map((i) => (i > 0 && i >= (2 * form.n) / 3 ? 0 : 0.5 + i)));
  return [
    testCase(`core_from_strips ${form.first} + ${form.step} … ${form.n}`, { p: normals([ops.stripsSize(form)]), gate }, ({ p, gate }) => ops.coreFromStrips(p, gate, form), ({ p, gate }) => strips.coreFromStrips(p, gate, form), { wrt: ['p'] }),
    testCase(`strips_from_core ${form.first} + ${form.step} … ${form.n}`, { c: normals([form.n, form.n]), gate }, ({ c, gate }) => ops.stripsFromCore(c, gate, form), ({ c, gate }) => strips.stripsFromCore(c, gate, form), { wrt: ['c'] }),
  ];
});


const positionCase = testCase('add_positions', { x: normals([3, 5, 7]), table: normals([5, 7]) }, ({ x, table }) => ops.addPositions(x, table), ({ x, table }) => columns.addPositions(x, table));

const sliceCases = [[0, 65], [0, 1], [64, 1], [13, 40]].flatMap(([start = 0, width = 1]) => [
  testCase(`slice_columns ${start}+${width}`, { x: normals([2, 3, 65]) }, ({ x }) => ops.sliceColumns(x, start, width), ({ x }) => columns.sliceColumns(x, start, width)),
  testCase(`place_columns ${start}+${width}`, { x: normals([2, 3, width]) }, ({ x }) => ops.placeColumns(x, start, 65), ({ x }) => columns.placeColumns(x, start, 65)),
]);

const patchCases = ([[1, 1, 1, 1, 1], [2, 3, 8, 8, 4], [3, 2, 6, 9, 3], [1, 5, 2, 66, 2]] as const).map(([batch, channels, height, width, size]) =>
  testCase(`patches of ${size} from [${batch}, ${channels}, ${height}, ${width}]`, { x: normals([batch, channels, height, width]) }, ({ x }) => ops.patches(x, size), ({ x }) => patches(x, size)));

/** Padding at the end, at the start, in between; a row of nothing but padding. */
const meanCases = ([[1, 1, 1], [3, 7, 5], [2, 65, 3], [4, 9, 65]] as const).map(([batch, time, c]) =>
  testCase(`mean_pool of [${batch}, ${time}, ${c}]`, { x: normals([batch, time, c]), mask: u32([batch, time], (i) => Number([i % time < 5, i % time > 0, i % 3 !== 1, false][Math.floor(i / time)])) }, ({ x, mask }) => ops.meanPool(x, mask), ({ x, mask }) => meanPool(x, mask)));

const normCases = MATRICES.flatMap(([n, c]) => [
  testCase(`rms_norm ${n}×${c}`, { x: normals([n, c]), w: normals([c]) }, ({ x, w }) => ops.rmsNorm(x, w, 1e-5), ({ x, w }) => norms.rmsNorm(x, w, 1e-5)),
  testCase(`layer_norm ${n}×${c}`, { x: normals([n, c]), w: normals([c]), b: normals([c]) }, ({ x, w, b }) => ops.layerNorm(x, w, b, 1e-5), ({ x, w, b }) => norms.layerNorm(x, w, b, 1e-5)),
]);

const otherNorms = [
  testCase('rms_norm of zeros', { x: normals([2, 8], 0), w: normals([8]) }, ({ x, w }) => ops.rmsNorm(x, w, 1e-6), ({ x, w }) => norms.rmsNorm(x, w, 1e-6)),
  testCase('rms_norm batch 2', { x: normals([2, 3, 24]), w: normals([24]) }, ({ x, w }) => ops.rmsNorm(x, w, 1e-6), ({ x, w }) => norms.rmsNorm(x, w, 1e-6)),
  testCase('layer_norm of large numbers', { x: normals([3, 65], 1e4), w: normals([65]), b: normals([65]) }, ({ x, w, b }) => ops.layerNorm(x, w, b, 1e-5), ({ x, w, b }) => norms.layerNorm(x, w, b, 1e-5)),
];

/** ids that repeat, with the first and the last of the vocabulary among them. */
const idOf = (vocab: number) => (i: number) => (i * i * 7 + i) % vocab;
const embeddingCases = ([[[1], 1, 1], [[3], 65, 3], [[2, 63], 7, 5], [[257], 65, 8]] as const).map(([shape, vocab, c]) =>
  testCase(`embedding ids [${shape}] of ${vocab}×${c}`, { ids: u32(shape, idOf(vocab)), table: normals([vocab, c]) }, ({ ids, table }) => ops.embedding(ids, table), ({ ids, table }) => lookup.embedding(ids, table)),
);

/** Pools of which some rows are named, by ids in no order, none twice; slots are the inverse. */
const poolCases = ([[1, 1, 1], [5, 65, 3], [63, 65, 7], [65, 65, 4], [8, 257, 33]] as const).flatMap(([m, n, c]) => {
  // A step that shares no factor with n visits every row once.
  const idAt = (i: number) => (i * 2 + 1) % n;
  const slotAt = (row: number) => { const at = range(m).findIndex((i) => idAt(i) === row); return at < 0 ? ops.NO_SLOT : at; };
  const tables = { ids: u32([m], idAt), slots: u32([n], slotAt) };
  return [
    testCase(`gather_rows ${m} of ${n}×${c}`, { pool: normals([n, c]), ...tables }, ({ pool, ids, slots }) => ops.gatherRows(pool, ids, slots), ({ pool, ids }) => pools.gatherRows(pool, ids), { sameBits: true }),
    testCase(`place_rows ${m} in ${n}×${c}`, { y: normals([m, c]), ...tables }, ({ y, ids, slots }) => ops.placeRows(y, ids, slots), ({ y, ids }) => pools.placeRows(y, ids, n)),
    testCase(`place_rows onto a sum, ${m} in ${n}×${c}`, { y: normals([m, c]), z: normals([n, c]), ...tables }, ({ y, z, ids, slots }) => ops.add(z, ops.placeRows(y, ids, slots)),
      ({ y, z, ids }) => sums.add(z, { shape: z.shape, data: pools.placeRows(y, ids, n).data })),
  ];
});

const LABELS: Record<string, (vocab: number) => (i: number) => number> = {
  'all labels': (vocab) => (i) => (5 * i) % vocab,
  'some ignored': (vocab) => (i) => (i % 3 === 1 ? -100 : (5 * i) % vocab),
  'all ignored': () => () => -100,
  'one beyond the vocabulary': (vocab) => (i) => (i === 1 ? vocab : (5 * i) % vocab),
};
/** [batch, time, vocab]; one row with shift 1 predicts nothing. */
const LOGITS = [[1, 1, 5], [1, 65, 3], [3, 4, 65], [2, 3, 257], [5, 1, 64]] as const;
const lossCases = LOGITS.flatMap(([batch, time, vocab]) => ([0, 1] as const).flatMap((shift) => Object.entries(LABELS).flatMap(([what, labelOf]) => {
  const inputs = { logits: normals([batch, time, vocab], 3), labels: i32([batch, time], labelOf(vocab)) };
  const name = `cross_entropy [${batch}, ${time}, ${vocab}] shift ${shift}, ${what}`;
  return [
    testCase(name, inputs, ({ logits, labels }) => ops.crossEntropy(logits, labels, shift).loss, ({ logits, labels }) => losses.crossEntropy(logits, labels, shift).loss),
    testCase(`${name}: count`, inputs, ({ logits, labels }) => ops.crossEntropy(logits, labels, shift).count, ({ logits, labels }) => losses.crossEntropy(logits, labels, shift).count, { wrt: [] }),
  ];
})));
/** Three chunks of 64 rows, the last of them short; some labels are ignored, and one row has nothing to predict. */
const HEAD = { batch: 5, time: 31, columns: 8, vocab: 13 };
const headCases = ([0, 1] as const).flatMap((shift) => {
  const { batch, time, columns: c, vocab } = HEAD;
  const inputs = { hidden: normals([batch, time, c]), w: normals([vocab, c]), labels: i32([batch, time], (i) => (i % 7 === 3 ? -100 : i % vocab)) };
  return [4 * 64 * vocab, 2 ** 30].map((chunkBytes) =>
    testCase(`head_loss in chunks of ${chunkBytes} bytes, shift ${shift}`, inputs,
      ({ hidden, w, labels }) => ops.headLoss(hidden, (rows) => ops.matmul(rows, w, { tb: true }), vocab, labels, shift, chunkBytes).loss,
      ({ hidden, w, labels }) => {
        const logits = product(hidden, w, { tb: true });
        const { loss } = losses.crossEntropy({ shape: [batch, time, vocab], data: logits.data }, labels, shift);
        // The loss follows its logits with a slope of at most two.
        return { ...loss, error: loss.error.map((e) => e + 2 * Math.max(...logits.error)) };
      }));
});

const extremeLoss = testCase('cross_entropy of logits ±80', { logits: normals([2, 3, 7], 80), labels: i32([2, 3], (i) => i % 7) }, ({ logits, labels }) => ops.crossEntropy(logits, labels, 0).loss, ({ logits, labels }) => losses.crossEntropy(logits, labels, 0).loss);

const ropeCases = ([[1, 1, 1, 4], [2, 3, 3, 16], [1, 65, 2, 32], [1, 2, 1, 64], [1, 257, 1, 6]] as const).flatMap(([batch, time, heads, d]) => {
  const inputs = { x: normals([batch, time, heads * d]), positions: u32([time], (t) => 2 * t + 1) };
  const tables = ops.ropeTables(10000, d, 2 * time + 1);
  return ([1, -1] as const).map((sign) =>
    testCase(`rope [${batch}, ${time}, ${heads}×${d}] sign ${sign}`, inputs, ({ x, positions }) => ops.rope(x, tables, positions, d, sign), ({ x, positions }) => attention.rope(x, 10000, positions, d, sign)));
});

/** Queries and keys in one kernel: each result against the reference of its own input. */
const ropeBothCases = (['q', 'k'] as const).map((which) => {
  const inputs = { q: normals([2, 5, 24]), k: normals([2, 5, 8]), positions: u32([5], (t) => 2 * t) };
  return testCase(`rope of both: ${which}`, inputs, ({ q, k, positions }) => ops.ropeBoth(q, k, ops.ropeTables(10000, 8, 16), positions, 8)[which], (h) => attention.rope(h[which], 10000, h.positions, 8), { wrt: [which] });
});

interface AttentionShape {
  batch?: number;
  time: number;
  keys?: number;
  heads?: number;
  kvHeads?: number;
  d: number;
  causal?: boolean;
  /** Which keys of batch element b are hidden. */
  hides?: (b: number, s: number) => boolean;
  positions?: (t: number) => number;
  spread?: number;
  profiles?: readonly Profile[];
}
function attentionCase(what: string, { batch = 1, time, keys = time, heads = 1, kvHeads = heads, d, causal = true, hides, positions, spread = 1, profiles = PROFILES }: AttentionShape): Case {
  const inputs = {
    q: normals([batch, time, heads * d], spread),
    k: normals([batch, keys, kvHeads * d], spread),
    v: normals([batch, keys, kvHeads * d]),
    mask: u32([batch, keys], (i) => Number(!hides?.(Math.floor(i / keys), i % keys))),
    positions: u32([time], (t) => positions?.(t) ?? t),
  };
  const options = <T>({ mask, positions: where }: { mask: T; positions: T }) => ({ heads, kvHeads, causal, ...(hides ? { mask } : {}), ...(positions ? { positions: where } : {}) });
  return testCase(`attention ${what}`, inputs, (t) => ops.attention(t.q, t.k, t.v, options(t)), (h) => attention.attention(h.q, h.k, h.v, options<Host>(h)), { profiles, ...(positions ? { wrt: [] } : {}) });
}
// Software drivers take up to a minute to compile a kernel with barriers, so the tiled ones for a GPU are tried at one head size;
// the cases of other sizes run what the device at hand runs.
// Every head size is kernels of its own, and drivers take seconds for each of them: heads of 16 are tried on all, the others where
// they differ. A GPU without room for tiles runs the text of software adapters in larger workgroups.
const [SOFTWARE, TILES, BOTH] = [PROFILES.slice(0, 1), PROFILES.slice(1, 2), PROFILES.slice(0, 2)];
const attentionCases = [
  attentionCase('of one key', { time: 1, d: 16 }),
  attentionCase('3 tokens, 2 heads of 4, batch 3', { batch: 3, time: 3, heads: 2, d: 4, profiles: SOFTWARE }),
  attentionCase('65 tokens, heads of 16', { time: 65, heads: 3, d: 16 }),
  attentionCase('63 tokens, heads of 32, not causal', { time: 63, d: 32, causal: false, profiles: SOFTWARE }),
  attentionCase('9 tokens, heads of 64, batch 2', { batch: 2, time: 9, heads: 2, d: 64, profiles: BOTH }),
  // Columns that do not come out even in the tiled kernels.
  attentionCase('18 tokens, heads of 36', { time: 18, d: 36, profiles: TILES }),
  attentionCase('257 tokens', { time: 257, d: 4, profiles: SOFTWARE }),
  attentionCase('8 heads over 2 kv heads', { batch: 2, time: 7, heads: 8, kvHeads: 2, d: 16 }),
  attentionCase('3 heads over 1 kv head, not causal', { batch: 2, time: 5, heads: 3, kvHeads: 1, d: 16, causal: false }),
  attentionCase('padding at the end', { batch: 2, time: 9, heads: 2, kvHeads: 1, d: 16, hides: (b, s) => b === 1 && s >= 5 }),
  attentionCase('padding at the start: queries that see nothing', { batch: 2, time: 19, heads: 2, d: 16, hides: (b, s) => b === 1 && s < 3 }),
  attentionCase('every key hidden', { batch: 2, time: 5, d: 16, causal: false, hides: (b) => b === 0 }),
  attentionCase('mask without causality, 5 queries and 41 keys', { batch: 2, time: 5, keys: 41, heads: 4, kvHeads: 2, d: 16, causal: false, hides: (b, s) => (s + b) % 3 === 0 }),
  attentionCase('scores far apart', { time: 17, d: 16, spread: 4 }),
  attentionCase('a new token after 6 cached ones', { batch: 2, time: 1, keys: 12, heads: 4, kvHeads: 2, d: 16, positions: () => 6 }),
  attentionCase('positions in no order', { time: 20, keys: 40, d: 16, positions: (t) => (t * 7) % 40 }),
  attentionCase('3 tokens from position 5, masked', { batch: 2, time: 3, keys: 9, heads: 2, d: 16, positions: (t) => t + 5, hides: (b, s) => b === 1 && s < 2 }),
];

const CASES = [
  ...sumCases, ...l2Cases, ...reluCases, ...otherSums, ...activationCases, ...extremeCases, ...columnCases, ...rowCases, zeroRows, ...stripCases, positionCase, ...sliceCases, ...patchCases, ...meanCases, ...normCases, ...otherNorms,
  ...embeddingCases, ...poolCases, ...lossCases, extremeLoss, ...headCases, ...ropeCases, ...ropeBothCases, ...attentionCases,
];

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

describe('value and gradients of', () => {
  it.each(CASES.map((test) => [test.name, test] as const))('%s', async (_, test) => {
    expect(await findings(device, test)).toEqual([]);
  });
});

describe('cache_write', () => {
  it('writes rows at their positions and drops what lies past the end', async () => {
    const test = testCase('cache_write', { x: normals([2, 3, 5]), positions: u32([3], (t) => 3 * t) }, ({ x, positions }) => {
      const cache = ops.fill([2, 6, 5], 0.5);
      ops.writeCache(cache, x, positions);
      return cache;
    }, ({ x, positions }) => attention.writeCache(sums.fill([2, 6, 5], 0.5), x, positions), { wrt: [] });
    expect(await findings(device, test)).toEqual([]);
  });
});

describe('files', () => {
  it('every op has a reference beside it', () => {
    const opFiles = [...index.matchAll(/from '(\.\/[\w-]+)'/g)].map(([, file]) => file);
    const references = Object.keys(import.meta.glob('./*.reference.ts'));
    expect(opFiles.length).toBeGreaterThan(9);
    expect(opFiles.filter((file) => !references.includes(`${file}.reference.ts`))).toEqual([]);
  });
});
