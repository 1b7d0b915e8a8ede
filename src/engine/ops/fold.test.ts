// Grids of more than 65,535 workgroups, which fold into two axes: one op for every way in which kernels use their grid. The numbers
// are small integers, so every result is exact and can be compared without a reference.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import { Graph } from '../tensor/graph';
import { free, upload } from '../tensor/memory';
import { compile } from '../tensor/step';
import { type HostData, type Shape, type Tensor, sizeOf, tensor } from '../tensor/tensor';
import { PROFILES } from '../testing/check';
import { testDevice } from '../testing/device';
import { addColumns, attention, axpby, columnDot, crossEntropy, matmul } from '.';

const MOST = 65535;
/** Some numbers below 1000 without a period that a grid could share. */
const small = (i: number) => (i * 31) % 997;

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

const inputs: Tensor[] = [];
function input(shape: Shape, at: (i: number) => number, dtype: 'f32' | 'i32' = 'f32'): Tensor {
  const data: HostData = new (dtype === 'f32' ? Float32Array : Int32Array)(sizeOf(shape));
  for (let i = 0; i < data.length; i++) data[i] = at(i);
  const t = upload(device, tensor('x', shape, 'input', dtype), data);
  inputs.push(t);
  return t;
}

/**
 * Runs the op on the kernels of each profile and hands every result over. Kernels with barriers, which so many workgroups keep a
 * software adapter at for minutes, are left to real GPUs; that grid1d and group_index fit together is proved in gpu/kernel.test.ts.
 */
async function each(op: () => Tensor, check: (y: Float32Array) => void): Promise<void> {
  for (const profile of device.profile.software ? PROFILES.slice(0, 1) : PROFILES) {
    const graph = new Graph();
    const y = graph.record(op);
    const step = await compile(device, graph, { keep: [y], kernels: ({ family, params }) => family.candidates(profile, params)[0] as ReturnType<typeof family.candidates>[0] });
    step.run();
    check(await step.read(y));
    step.dispose();
  }
  for (const t of inputs.splice(0)) free(device, t);
}

/** The first index that is wrong, −1 when none is. */
const firstWrong = (y: Float32Array, wanted: (i: number) => number) => y.findIndex((value, i) => value !== wanted(i));

describe('a grid beyond one fold', () => {
  it('of elements, 256 a workgroup', async () => {
    const n = MOST * 256 + 300;
    const x = input([n], small);
    await each(() => axpby(x, x, 2, 1), (y) => expect(firstWrong(y, (i) => 3 * small(i))).toBe(-1));
  });

  it('of columns, one or four a workgroup', async () => {
    const columns = 4 * MOST + 5;
    const x = input([2, columns], small);
    await each(() => columnDot(x), (y) => expect(firstWrong(y, (i) => small(i) + small(i + columns))).toBe(-1));
  });

  it('of rows, one or four a workgroup', async () => {
    const rows = 4 * MOST + 5;
    const logits = input([1, rows, 1], small);
    // One class: each row's loss is exactly 0, and the count says how many rows were reached.
    await each(() => crossEntropy(logits, input([1, rows], () => 0, 'i32'), 0).count, (y) => expect([...y]).toEqual([rows]));
  });

  it('of attention rows, 8 or 64 or a tile a workgroup', async () => {
    const batch = 4 * MOST + 5;
    const [q, v] = [input([batch, 2, 4], () => 0), input([batch, 2, 4], small)];
    // Equal scores: the first token gives its own value, the second the mean of two.
    const wanted = (i: number) => (i % 8 < 4 ? small(i) : (small(i) + small(i - 4)) / 2);
    await each(() => attention(q, q, v, { heads: 1, kvHeads: 1, causal: true }), (y) => expect(firstWrong(y, wanted)).toBe(-1));
  });

  it('of matrix rows, 4 to 128 a workgroup', async () => {
    const m = 4 * MOST + 5;
    const [a, b, c] = [input([m, 1], small), input([1, 1], () => 3), input([1], () => 5)];
    await each(() => addColumns(matmul(a, b), c), (y) => expect(firstWrong(y, (i) => 3 * small(i) + 5)).toBe(-1));
  });
});
