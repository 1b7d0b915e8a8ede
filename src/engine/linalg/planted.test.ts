// The judges themselves on trial: sound kernels pass, and every fault planted in the text of one must be found by a residual, by the order
// of the values, or by a driver that gives up. The text to be changed must be there, or the plant is no fault.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import type { Kernel } from '../gpu/kernel';
import { testDevice } from '../testing/device';
import { Graph } from '../tensor/graph';
import { free, upload } from '../tensor/memory';
import { compile } from '../tensor/step';
import { type Tensor, tensor } from '../tensor/tensor';
import { choleskyAll } from './cholesky';
import { eigh, sylvester } from './eigen';
import { lu as hostLu, rowsBack } from './host/lu';
import { type HostMatrix, combine, hostMatrix, multiply, scaleRows, transpose } from './host/matrix';
import * as host from './host/svd';
import { lu } from './lu';
import { pinv } from './pinv';
import { polar } from './polar';
import { product } from './products';
import { qr } from './qr';
import { type SvdOptions, svd } from './svd';
import { disorder, distance, gram, pretending, random, rounded, source, unorthonormal } from './testing/matrices';

/** The device with one kernel's text changed, wherever that kernel is used. */
function spoiled(device: Device, name: string, from: string, to: string): Device {
  const change = (kernel: Kernel): Kernel => {
    if (kernel.name !== name) return kernel;
    if (!kernel.source.includes(from)) throw new Error(`${name} has no '${from}'`);
    used.add(`${name} ${from}`);
    return { ...kernel, source: kernel.source.replaceAll(from, to), key: `${kernel.key} with ${to}` };
  };
  return Object.create(device, { pipeline: { value: (kernel: Kernel) => device.pipeline(change(kernel)) } }) as Device;
}
const used = new Set<string>();

/** Larger than every bound of the tests: what an op of this kind got wrong most. */
type Judge = (device: Device) => Promise<number>;

const a = rounded(hostMatrix(20, 13, random(20, 13).data.map((x) => 0.01 * x)));
const square = rounded(random(12, 12, 4));
const positive = rounded(gram(random(12, 30)));

/** One recorded op on stacks of one. */
async function once(device: Device, inputs: readonly HostMatrix[], op: (...stacks: Tensor[]) => Tensor): Promise<Float32Array> {
  const stacks = inputs.map(({ rows, columns, data }) => upload(device, tensor('a', [1, rows, columns], 'param'), Float32Array.from(data)));
  const graph = new Graph();
  const y = graph.record(() => op(...stacks));
  const step = await compile(device, graph, { keep: [y] });
  step.run();
  const numbers = await step.read(y);
  step.dispose();
  for (const t of stacks) free(device, t);
  return numbers;
}
const both = async (device: Device): Promise<[HostMatrix, HostMatrix]> => [
  hostMatrix(1, 12, await once(device, [square], (x) => eigh(product(x as Tensor, x as Tensor, { tb: true })).values)),
  hostMatrix(12, 12, await once(device, [square], (x) => eigh(product(x as Tensor, x as Tensor, { tb: true })).vectors)),
];

const judgeSvd = (options: SvdOptions): Judge => async (device) => {
  const [{ U, S, Vt }] = await svd(device, [source(a)], options) as [Awaited<ReturnType<typeof svd>>[number]];
  const [left, right] = [hostMatrix(20, S.length, U), hostMatrix(S.length, 13, Vt)];
  const exact = host.svd(a);
  const best = host.truncate(exact, S.length);
  return Math.max(unorthonormal(transpose(left)), unorthonormal(right), disorder(S).length, distance(multiply(left, scaleRows(right, S)), multiply(best.U, scaleRows(best.Vt, best.S))));
};

const JUDGES = {
  svd: judgeSvd({ method: 'jacobi' }),
  // As wide as the matrix, so that the sketch must find all of it.
  sketch: judgeSvd({ method: 'randomised', rank: 13, oversample: 0, iterations: 1 }),
  qr: async (device) => {
    const [{ Q, R }] = await qr(device, [source(a)]) as [Awaited<ReturnType<typeof qr>>[number]];
    return Math.max(distance(multiply(hostMatrix(20, 13, Q), hostMatrix(13, 13, R)), a), unorthonormal(transpose(hostMatrix(20, 13, Q))));
  },
  lu: async (device) => {
    const [found] = await lu(device, [source(a)]) as [Awaited<ReturnType<typeof lu>>[number]];
    const moved = found.permutation.filter((row, i) => row !== hostLu(a).permutation[i]).length;
    return Math.max(moved, distance(multiply(rowsBack(found), found.U), a));
  },
  cholesky: async (device) => {
    const [{ L, jitter }] = await choleskyAll(device, [source(positive)]) as [Awaited<ReturnType<typeof choleskyAll>>[number]];
    return Math.max(jitter, distance(gram(hostMatrix(12, 12, L)), positive));
  },
  eigh: async (device) => {
    const [values, vectors] = await both(device);
    return Math.max(disorder(values.data).length, unorthonormal(vectors), distance(multiply(transpose(vectors), scaleRows(vectors, values.data)), gram(square)));
  },
  sylvester: async (device) => {
    const [A, B] = [positive, rounded(gram(random(12, 40, 9)))];
    const x = hostMatrix(12, 12, await once(device, [A, B, square], (p, q, c) => sylvester(eigh(p as Tensor), eigh(q as Tensor), c as Tensor)));
    return distance(combine(multiply(A, x), multiply(x, B)), square);
  },
  pinv: async (device) => distance(hostMatrix(13, 20, await once(device, [a], (x) => pinv(x as Tensor))), host.pinv(a, 1e-5)),
  polar: async (device) => distance(hostMatrix(20, 13, await once(device, [a], (x) => polar(x as Tensor))), host.polar(a)),
  product: async (device) => distance(hostMatrix(20, 20, await once(device, [a, gram(a)], (x, c) => product(x as Tensor, x as Tensor, { tb: true, beta: 2, c: c as Tensor }))), combine(gram(a), gram(a), 1, 2)),
} satisfies Record<string, Judge>;

const FAULTS: [what: string, judge: keyof typeof JUDGES, kernel: string, from: string, to: string][] = [
  ['a reflection that forgets its own entry', 'qr', 'linalg/householder', 'beta * sums.z', '0.0'],
  ['a reflector of the wrong length', 'qr', 'linalg/householder', 'sqrt(factor)', '0.99 * sqrt(factor)'],
  ['Q without its first reflection', 'qr', 'linalg/householder_q', 'turn < params.steps', 'turn + 1u < params.steps'],
  ['Q without the signs of R', 'qr', 'linalg/householder_q', 'select(1.0, -1.0, diagonal[row] < 0.0)', '1.0'],
  ['a triangle without its second diagonal', 'qr', 'linalg/upper', 'c > i', 'c > i + 1u'],
  ['a power of two that is off by one', 'svd', 'linalg/unit', '0x7f000000u', '0x7e800000u'],
  ['values that are not scaled back', 'svd', 'linalg/order_rows', 'scale[matrix] * abs', 'abs'],
  ['the smallest value first', 'svd', 'linalg/order_rows', 'other > own', 'other < own'],
  ['rounds in which some never meet', 'svd', 'linalg/jacobi_round', '(round + k) % ring', '(k + k) % ring'],
  ['rotations in the wrong direction for one of two', 'svd', 'linalg/jacobi_round', 'y + r.x * (x - r.y * y)', 'y - r.x * (x - r.y * y)'],
  ['a sketch whose matrices are read from the wrong place', 'sketch', 'linalg/product', 'let b_col = select(1u, params.k, params.tb == 1u);', 'let b_col = 1u;'],
  ['the smallest pivot', 'lu', 'linalg/lu_pivot', 'size > most', 'size < most || most < 0.0'],
  ['a swap that forgets the permutation', 'lu', 'linalg/lu_pivot', 'if (local.x == 0u)', 'if (local.x == 9999u)'],
  ['elimination with the wrong sign', 'lu', 'linalg/lu_update', '-=', '+='],
  ['a factor without its earlier columns', 'cholesky', 'linalg/cholesky', 'value -= l[row + k] * l[upper + k];', ''],
  ['an eigenvalue that is not turned', 'eigh', 'linalg/eigh', 'u + left.z * y', 'u'],
  ['eigenvalues in ascending order', 'eigh', 'linalg/eigh', 'other > own', 'other < own'],
  ['eigenvectors that miss a tenth of a turn', 'eigh', 'linalg/eigh', 'work[p.y + c] = xy.y;', 'work[p.y + c] = 0.9 * xy.y;'],
  ['λ − μ in place of λ + μ', 'sylvester', 'linalg/divide', 'divisor += columns', 'divisor -= columns'],
  ['rotations that stop early', 'pinv', 'linalg/jacobi', '1.0e-8 * sqrt(sum.x)', '1.0e-1 * sqrt(sum.x)'],
  ['a start outside of where Newton–Schulz converges', 'polar', 'linalg/normalise', '/ most / norm', '/ most'],
  ['a product without c', 'product', 'linalg/product', 'params.beta != 0.0', 'false'],
  ['tiles without the last of k', 'product', 'linalg/product_tiled', 'at < params.k', 'at + 1u < params.k'],
];

let real: Device;
beforeAll(async () => {
  real = await testDevice();
});
const kindFor = (kernel: string) => pretending(real, kernel !== 'linalg/product_tiled');

describe('sound kernels satisfy the judge of', () => {
  it.each(Object.entries(JUDGES))('%s', async (_, judge) => {
    for (const software of [true, false]) expect(await judge(pretending(real, software))).toBeLessThan(1e-4);
  });
});

describe('it is found:', () => {
  it.each(FAULTS)('%s', async (_, judge, kernel, from, to) => {
    // A driver that gives up has found it too.
    const measured = await JUDGES[judge](spoiled(kindFor(kernel), kernel, from, to)).catch(() => Number.POSITIVE_INFINITY);
    expect(used).toContain(`${kernel} ${from}`);
    // Not a number counts as found.
    expect(measured < 1e-3).toBe(false);
  });
});
