// The harness itself on trial: sound kernels pass, and every planted fault must be found. A fault is a change to one kernel's text
// or to one command's params; the text to be changed must be there, or the plant is no fault.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import type { Command } from '../tensor/graph';
import { type Case, type Change, PROFILES, findings, i32, normals, testCase, u32 } from '../testing/check';
import { testDevice } from '../testing/device';
import * as ops from '.';
import * as activations from './activations.reference';
import * as sums from './add.reference';
import * as attention from './attention.reference';
import * as columns from './columns.reference';
import * as rowOps from './rows.reference';
import * as random from './dropout.reference';
import * as lookup from './embedding.reference';
import { gatherRows } from './pool.reference';
import * as losses from './loss.reference';
import { l2Norm } from './l2.reference';
import * as products from './matmul.reference';
import { meanPool } from './mean-pool.reference';
import * as norms from './norms.reference';
import { patches } from './patches.reference';
import { relu } from './relu.reference';
import { coreFromStrips } from './strips.reference';

/** Changes the text of every kernel called `name`; a family's other kernels stay sound. */
const text = (name: string, from: string, to: string): Change => (command) => {
  const { family } = command;
  return { ...command, family: { ...family, candidates: (profile, params) => family.candidates(profile, params).map((kernel) => {
    if (kernel.name !== name) return kernel;
    if (!kernel.source.includes(from)) throw new Error(`${kernel.name} has no '${from}'`);
    return { ...kernel, source: kernel.source.replaceAll(from, to), key: `${kernel.key} with ${to}` };
  }) } };
};

/** Changes params of the commands of one family, but the first of the recording: the forward. */
const backwardParams = (name: string, change: (params: Command['params']) => Command['params']): Change => (command, index) =>
  command.family.name === name && index > 0 ? { ...command, params: change(command.params) } : command;

// A fault is one kernel's: others of its family need not run.
const [SOFTWARE, TILES] = [PROFILES.slice(0, 1), PROFILES.slice(1, 2)];

const swiglu = testCase('swiglu', { g: normals([65]), u: normals([65]) }, ({ g, u }) => ops.swiglu(g, u), ({ g, u }) => activations.swiglu(g, u));
const gelu = testCase('gelu in its tanh form', { x: normals([65]) }, ({ x }) => ops.geluTanh(x), ({ x }) => activations.geluTanh(x));
const geluErf = testCase('gelu, exact', { x: normals([65]) }, ({ x }) => ops.gelu(x), ({ x }) => activations.gelu(x));
const squashed = testCase('tanh', { x: normals([65]) }, ({ x }) => ops.tanh(x), ({ x }) => activations.tanh(x));
const quick = testCase('quick_gelu', { x: normals([65]) }, ({ x }) => ops.quickGelu(x), ({ x }) => activations.quickGelu(x));
const power = testCase('exp', { x: normals([65]) }, ({ x }) => ops.exp(x), ({ x }) => activations.exp(x));
const cut = testCase('patches', { x: normals([2, 3, 4, 6]) }, ({ x }) => ops.patches(x, 2), ({ x }) => patches(x, 2));
const pooled = testCase('mean_pool', { x: normals([3, 5, 7]), mask: u32([3, 5], (i) => Number(i % 5 < 4 - Math.floor(i / 5))) }, ({ x, mask }) => ops.meanPool(x, mask), ({ x, mask }) => meanPool(x, mask));
const length = testCase('l2_norm', { x: normals([65]) }, ({ x }) => ops.l2Norm(x), ({ x }) => l2Norm(x));
const rectified = testCase('relu', { x: normals([9, 9]), s: normals([9]) }, ({ x, s }) => ops.relu(x, { diagonal: s }), ({ x, s }) => relu(x, s), { wrt: ['x'] });
const grouped = { heads: 4, kvHeads: 2, causal: true };
const attend = testCase('attention', { q: normals([2, 9, 16]), k: normals([2, 9, 8]), v: normals([2, 9, 8]) }, ({ q, k, v }) => ops.attention(q, k, v, grouped), ({ q, k, v }) => attention.attention(q, k, v, grouped), { profiles: SOFTWARE });
/** More keys than a tile holds. */
const long = (time: number, keys: number, seen: boolean) => testCase(`attention of ${time} queries to ${keys} keys`, { q: normals([1, time, 32], 2), k: normals([1, keys, 16]), v: normals([1, keys, 16]) }, ({ q, k, v }) => ops.attention(q, k, v, { heads: 2, kvHeads: 1, causal: seen }), ({ q, k, v }) => attention.attention(q, k, v, { heads: 2, kvHeads: 1, causal: seen }), { profiles: TILES });
const [causal, open] = [long(35, 35, true), long(5, 70, false)];
const turned = testCase('rope', { x: normals([1, 5, 8]), positions: u32([5], (t) => t) }, ({ x, positions }) => ops.rope(x, ops.ropeTables(10000, 8, 5), positions, 8), ({ x, positions }) => attention.rope(x, 10000, positions, 8));
const product = testCase('matmul', { a: normals([17, 33]), b: normals([33, 20]), c: normals([17, 20]) }, ({ a, b, c }) => ops.matmul(a, b, { c }), ({ a, b, c }) => products.matmul(a, b, { c }), { profiles: SOFTWARE });
const rms = testCase('rms_norm', { x: normals([5, 65]), w: normals([65]) }, ({ x, w }) => ops.rmsNorm(x, w, 1e-3), ({ x, w }) => norms.rmsNorm(x, w, 1e-3));
const layer = testCase('layer_norm', { x: normals([5, 65]), w: normals([65]), b: normals([65]) }, ({ x, w, b }) => ops.layerNorm(x, w, b, 1e-3), ({ x, w, b }) => norms.layerNorm(x, w, b, 1e-3));
const loss = testCase('cross_entropy', { logits: normals([2, 5, 9]), labels: i32([2, 5], (i) => (i === 3 ? -100 : i % 9)) }, ({ logits, labels }) => ops.crossEntropy(logits, labels, 1).loss, ({ logits, labels }) => losses.crossEntropy(logits, labels, 1).loss);
const rows = testCase('gather_rows', { pool: normals([7, 3]), ids: u32([3], (i) => (2 * i + 1) % 7), slots: u32([7], (row) => [1, 3, 5].includes(row) ? (row - 1) / 2 : ops.NO_SLOT) }, ({ pool, ids, slots }) => ops.gatherRows(pool, ids, slots), ({ pool, ids }) => gatherRows(pool, ids));
const embed = testCase('embedding', { ids: u32([9], (i) => i % 4), table: normals([5, 3]) }, ({ ids, table }) => ops.embedding(ids, table), ({ ids, table }) => lookup.embedding(ids, table));
const gate = testCase('scale_columns', { x: normals([9, 5]), g: normals([5]) }, ({ x, g }) => ops.scaleColumns(x, g), ({ x, g }) => columns.scaleColumns(x, g));
const rowGate = testCase('scale_rows', { x: normals([9, 5]), s: normals([9]) }, ({ x, s }) => ops.scaleRows(x, s), ({ x, s }) => rowOps.scaleRows(x, s));
const norm = testCase('inverse_norms', { W: normals([9, 7]), B: normals([9, 3]), A: normals([3, 7]) }, ({ W, B, A }) => ops.inverseRowNorms(W, B, A, 0.7, false), ({ W, B, A }) => rowOps.inverseRowNorms(W, B, A, 0.7), { wrt: ['B', 'A'] });
const form = { n: 7, first: 1, step: 2 };
const strips = testCase('core_from_strips', { p: normals([ops.stripsSize(form)]), gate: normals([7]) }, ({ p, gate }) => ops.coreFromStrips(p, gate, form), ({ p, gate }) => coreFromStrips(p, gate, form), { wrt: ['p'] });
const slice = testCase('slice_columns', { x: normals([3, 9]) }, ({ x }) => ops.sliceColumns(x, 2, 4), ({ x }) => columns.sliceColumns(x, 2, 4));
const sum = testCase('axpby', { x: normals([65]), y: normals([65]) }, ({ x, y }) => ops.axpby(x, y, 0.3, 0.7), ({ x, y }) => sums.axpby(x, y, 0.3, 0.7));
const scalars = { seed: 3, step: 4 };
const drop = testCase('dropout', { x: normals([257]) }, ({ x }) => ops.dropout(x, 0.3, 1), ({ x }) => random.dropout(x, 0.3, 1, scalars), { scalars });

const FAULTS: [what: string, test: Case, change: Change][] = [
  ['swiglu backward without its (1 − s) term', swiglu, text('elementwise/swiglu_backward', '(1.0 + g[i] * (1.0 - s))', '1.0')],
  ['swiglu backward of u 10 % off', swiglu, text('elementwise/swiglu_backward', 'dy[i] * g[i] * s;', '1.1 * dy[i] * g[i] * s;')],
  ['gelu backward without the factor 3', gelu, text('elementwise/gelu_backward', '0.134145', '0.044715')],
  ['gelu as x·σ(1.702 x)', gelu, text('elementwise/gelu', '0.5 * x[i] * (1.0 + gelu_tanh(x[i]))', 'x[i] / (1.0 + exp(-1.702 * x[i]))')],
  ['gelu, exact, in its tanh form', geluErf, text('elementwise/gelu_erf', 'x[i] * normal_cdf(x[i])', '0.5 * x[i] * (1.0 + tanh(0.7978845608 * (x[i] + 0.044715 * x[i] * x[i] * x[i])))')],
  ['gelu, exact, backward without the density', geluErf, text('elementwise/gelu_erf_backward', '0.3989422804', '0.0')],
  ['tanh backward of x in place of y', squashed, text('elementwise/tanh_backward', '1.0 - y[i] * y[i]', '1.0 - y[i]')],
  ['quick_gelu backward without its slope', quick, text('elementwise/quick_gelu_backward', '(1.0 + 1.702 * x[i] * (1.0 - s))', '1.0')],
  ['exp backward of x in place of y', power, text('elementwise/exp_backward', 'dy[i] * y[i]', 'dy[i] * log(y[i])')],
  ['patches with rows and columns of a patch changed over', cut, text('elementwise/patches', '* params.edge + row % params.edge) * params.edge + column % params.edge', '* params.edge + column % params.edge) * params.edge + row % params.edge')],
  ['patches moved forth where their gradient goes back', cut, backwardParams('elementwise/patches', (params) => ({ ...params, back: 0 }))],
  ['a mean over padding too', pooled, text('reduce/mean_pool', 'if (mask[t] != 0u)', 'if (mask[t] < 2u)')],
  ['a mean without its division', pooled, text('reduce/mean_pool', 'y[i] = sum * inverse', 'y[i] = sum')],
  ['mean backward into padding', pooled, text('elementwise/mean_pool_backward', 'mask[place] != 0u', 'mask[place] < 2u')],
  ['mean backward without its division', pooled, text('elementwise/mean_pool_backward', '* share[row]', '')],
  ['l2_norm without its root', length, text('reduce/l2_norm', 'y[0] = sqrt(sum)', 'y[0] = sum')],
  ['l2_norm backward of the square', length, text('reduce/l2_norm', '1.0 / sqrt(sum)', '2.0')],
  ['relu that forgets its diagonal', rectified, text('elementwise/relu', 'max(x[at] + shift, 0.0)', 'max(x[at], 0.0)')],
  ['relu backward that lets everything through', rectified, text('elementwise/relu_backward', 'select(0.0, dy[at], open)', 'dy[at]')],
  ['attention backward without delta', attend, text('attention/attention_stats', 'vec2<f32>(lse[row], delta)', 'vec2<f32>(lse[row], 0.0)')],
  ['attention without its scale', attend, text('attention/attention', 'score *= params.scale', 'score *= 1.0')],
  ['attention that sees one key too many', attend, text('attention/attention', 'positions[t] + 1u', 'positions[t] + 2u')],
  ['attention backward of k and v from one head of a group', attend, text('attention/sum_heads', 'g < params.group_size', 'g < 1u')],
  ['attention backward of q without the scale', attend, text('attention/attention_backward_q', '(dp - stat.y) * params.scale', '(dp - stat.y)')],
  ['tiled attention that forgets to shrink its sums', open, text('attention/flash', 'total *= shrink;', '')],
  ['tiled attention backward of q over one tile', causal, text('attention/flash_backward_q', 's0 < last', 's0 < B')],
  ['tiled attention backward of k and v without the first row of a tile', causal, text('attention/flash_backward_kv', 'for (var t = 0u; t < QB; t++)', 'for (var t = 1u; t < QB; t++)')],
  ['rope backward that turns on instead of back', turned, backwardParams('attention/rope', (params) => ({ ...params, sign: 1 }))],
  ['matmul backward 10 % off', product, backwardParams('matmul', (params) => ({ ...params, alpha: 1.1 }))],
  ['matmul without its last term', product, (command) => (command.family.name === 'matmul' ? { ...command, params: { ...command.params, k: (command.params.k as number) - 1 } } : command)],
  ['matmul stored in half precision', product, text('matmul/direct', 'y[at] = v;', 'y[at] = quantizeToF16(v);')],
  ['rms_norm without eps', rms, text('norm/rms_norm', '+ params.eps', '')],
  ['rms_norm backward without the pull', rms, text('norm/rms_norm_backward', '- x[base + c] * pull', '')],
  ['layer_norm with the unbiased variance', layer, text('norm/layer_norm', 'local.y) / count + params.eps', 'local.y) / (count - 1.0) + params.eps')],
  ['layer_norm backward without the mean', layer, text('norm/layer_norm_backward', '- plain', '')],
  ['cross_entropy backward without the label', loss, text('loss/cross_entropy_backward', 'd -= 1.0;', '')],
  ['cross_entropy backward of a sum instead of the mean', loss, text('loss/cross_entropy_backward', 'dy[0] / max(total[0], 1.0)', 'dy[0]')],
  ['cross_entropy that counts ignored labels', loss, text('loss/mean', 'max(total[0], 1.0)', 'f32(params.n)')],
  ['rows placed one slot off', rows, text('elementwise/place_rows', 'y[slot * params.columns', 'y[((slot + 1u) % params.rows) * params.columns')],
  ['embedding backward without the last row', embed, text('elementwise/embedding_backward', 'n < params.rows', 'n + 1u < params.rows')],
  ['column sums without the last row', gate, text('reduce/column_dot', 'n < params.rows', 'n + 1u < params.rows')],
  ['row sums without the last column', rowGate, text('reduce/row_dot', 'c < params.columns', 'c + 1u < params.columns')],
  ['rows scaled by the number of another', rowGate, text('elementwise/scale_rows', 'i / params.columns', 'i % 9u')],
  ['norms without the scale of the branch', norm, text('lowrank/inverse_norms', 'params.scale * low', 'low')],
  ['norms without the last rank', norm, text('lowrank/inverse_norms', 'j < params.rank', 'j + 1u < params.rank')],
  ['norms’ backward without a power of the norm', norm, backwardParams('elementwise/axpby', (params) => ({ ...params, alpha: 0.5 * (params.alpha as number) }))],
  ['a diagonal block of a core that one strip alone has', strips, text('lowrank/core_from_strips', 'by_row >= by_column, by_column >= by_row', 'by_row >= by_column, by_column > by_row')],
  ['a core whose columns are scaled instead of its rows', strips, text('lowrank/core_from_strips', 'gate[row], gate[column]', 'gate[column], gate[row]')],
  ['strips of a core packed without room for the block on the diagonal', strips, text('lowrank/core_from_strips', '(block - 1u) * step * step', '0u')],
  ['slice backward one column off', slice, backwardParams('elementwise/slice_columns', (params) => ({ ...params, start: 3 }))],
  ['a sum with a wrong sign', sum, text('elementwise/axpby', 'v += params.beta', 'v -= params.beta')],
  ['dropout backward with a mask of its own', drop, backwardParams('random/dropout', (params) => ({ ...params, stream: 2 }))],
  ['dropout without the factor 1 / (1 − p)', drop, text('random/dropout', 'x[at] / (1.0 - params.p)', 'x[at]')],
];

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

describe('no fault is found in', () => {
  const tests = [...new Set(FAULTS.map(([, test]) => test))];
  it.each(tests.map((test) => [test.name, test] as const))('%s as it is', async (_, test) => {
    expect(await findings(device, test)).toEqual([]);
  });
});

describe('a planted fault is found', () => {
  it.each(FAULTS)('%s', async (what, test, change) => {
    const found = await findings(device, test, change);
    expect(found).not.toEqual([]);
    // A wrong backward must not be blamed on the value.
    if (what.includes('backward')) expect(found.filter((finding) => !finding.includes('gradient of'))).toEqual([]);
  });
});
