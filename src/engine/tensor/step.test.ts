// Compiled recordings: a replay gives what a fresh compile gives, inputs and scalars reach the kernels, and what may not be read or
// placed is refused with what to do.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import { kernel } from '../gpu/kernel';
import { add, copy, fill, matmul, reshape, scale } from '../ops';
import { testDevice } from '../testing/device';
import { type Network, network } from '../testing/network';
import { single } from './family';
import { Graph, dispatch, output } from './graph';
import { allocate, allocateArena, freeArena, readF32, upload } from './memory';
import { compile } from './step';
import { type Tensor, tensor } from './tensor';

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

const record = <T>(build: () => T): { graph: Graph; result: T } => {
  const graph = new Graph();
  return { graph, result: graph.record(build) };
};
const floats = (...values: number[]): Tensor => upload(device, tensor('x', [values.length], 'input'), Float32Array.from(values));

describe('a replayed step', () => {
  const scalars = (i: number) => ({ seed: 11, step: i + 1 });

  async function fresh(net: Network, i: number): Promise<Float32Array[]> {
    const { graph, loss, logits, gradients } = net.record();
    const step = await compile(device, graph, { keep: [loss, logits, ...gradients] });
    step.run(net.batch(i), scalars(i));
    const values: Float32Array[] = [];
    for (const t of [loss, logits, ...gradients]) values.push(await step.read(t));
    step.dispose();
    return values;
  }

  it('gives the bits of a fresh compile, five times over', async () => {
    const net = network(device);
    const { graph, loss, logits, gradients } = net.record();
    const step = await compile(device, graph, { keep: [loss, logits, ...gradients] });
    const losses: number[] = [];
    for (let i = 0; i < 5; i++) {
      step.run(net.batch(i), scalars(i));
      const replayed: Float32Array[] = [];
      for (const t of [loss, logits, ...gradients]) replayed.push(await step.read(t));
      expect(replayed).toEqual(await fresh(net, i));
      losses.push(replayed[0]?.[0] as number);
    }
    // Every batch is another, so five equal losses would mean that inputs never arrive.
    expect(new Set(losses).size).toBe(5);
    step.dispose();
  });

  it('needs no waiting between runs', async () => {
    const x = floats(0);
    const sum = upload(device, tensor('sum', [1], 'param'), Float32Array.of(0));
    const addTo = single(kernel('test/add_to', `@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> sum: array<f32>;
@compute @workgroup_size(1) fn main() { sum[0] += x[0]; }`, () => [1]));
    const { graph } = record(() => dispatch(addTo, { x, sum }));
    const step = await compile(device, graph);
    for (let i = 1; i <= 100; i++) step.run(new Map([[x, Float32Array.of(i)]]));
    expect([...(await readF32(device, sum))]).toEqual([5050]);
    step.dispose();
  });

  it('hands copies that are asked for into the same submission', async () => {
    const x = floats(1, 2, 3, 4);
    const { graph, result: y } = record(() => scale(x, 2));
    const step = await compile(device, graph, { keep: [y] });
    const target = allocate(device, tensor('target', [4], 'param'));
    step.run(null, {}, (encoder) => encoder.copyBufferToBuffer(step.slice(y).buffer, 0, target.buffer, 0, 16));
    expect([...new Float32Array(await device.read(target))]).toEqual([2, 4, 6, 8]);
    step.dispose();
  });
});

describe('uniforms', () => {
  it('carry params of all types, in order, a block to each command', async () => {
    const echo = single(kernel('test/echo', `struct Params { a: u32, b: i32, c: f32, d: u32, e: f32 }
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
@compute @workgroup_size(1) fn main() { y[0] = f32(params.a); y[1] = f32(params.b); y[2] = params.c; y[3] = f32(params.d); y[4] = params.e; }`, () => [1]));
    const { graph, result } = record(() => [1, 2].map((i) => {
      const y = output('echo', [5]);
      dispatch(echo, { y }, { a: 7 * i, b: -5 * i, c: 0.5 * i, d: 4e9, e: -1.25 });
      return y;
    }));
    const step = await compile(device, graph, { keep: result });
    step.run();
    expect([...(await step.read(result[0] as Tensor))]).toEqual([7, -5, 0.5, 4e9, -1.25]);
    expect([...(await step.read(result[1] as Tensor))]).toEqual([14, -10, 1, 4e9, -1.25]);
    step.dispose();
  });

  it('carry the scalars of the step', async () => {
    const echo = single(kernel('test/echo_step', `#include "common/step.wgsl"
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(1) fn main() { y[0] = f32(scalars.step); y[1] = f32(scalars.seed); y[2] = scalars.lr; y[3] = scalars.bias1; y[4] = scalars.bias2; }`, () => [1]));
    const { graph, result: y } = record(() => {
      const t = output('echo', [5]);
      dispatch(echo, { y: t });
      return t;
    });
    const step = await compile(device, graph, { keep: [y] });
    step.run(null, { step: 3, seed: 2 ** 31, lr: 0.25, bias1: 0.5, bias2: 0.125 });
    expect([...(await step.read(y))]).toEqual([3, 2 ** 31, 0.25, 0.5, 0.125]);
    step.run();
    expect([...(await step.read(y))]).toEqual([1, 0, 0, 1, 1]);
    step.dispose();
  });
});

describe('what may be read', () => {
  it('is what was kept, its views, and lasting tensors', async () => {
    const x = floats(1, 2, 3, 4);
    const { graph, result: [a, b, c] } = record(() => {
      const first = scale(x, 2);
      const second = scale(first, 2);
      return [first, second, scale(second, 2)] as const;
    });
    const step = await compile(device, graph, { keep: [reshape2(b), c] });
    step.run();
    expect([...(await step.read(b))]).toEqual([4, 8, 12, 16]);
    expect([...(await step.read(reshape2(c)))]).toEqual([8, 16, 24, 32]);
    expect([...(await step.read(x))]).toEqual([1, 2, 3, 4]);
    // Its buffer is there, and holds another tensor by now.
    await expect(step.read(a)).rejects.toMatchObject({ message: 'scale [4] was not kept: another tensor may have its buffer by now', hint: 'Pass it in `keep` when the graph is compiled.' });
    step.dispose();
  });
  const reshape2 = (t: Tensor) => record(() => reshape(t, [2, 2])).result;

  it('is not a step tensor by itself', async () => {
    const { result: y } = record(() => fill([3], 1));
    await expect(readF32(device, y)).rejects.toMatchObject({ message: 'fill [3] is a step tensor that was not kept', hint: 'Pass it in `keep` when the graph is compiled.' });
  });

  it('is not a tensor of another graph', async () => {
    const { result: foreign } = record(() => fill([3], 1));
    const { graph, result: y } = record(() => scale(foreign, 2));
    await expect(compile(device, graph, { keep: [y] })).rejects.toThrow('elementwise/axpby: nothing in this graph computes fill [3]');
  });
});

describe('placing', () => {
  it('computes right into the slice, and leaves what is beside it alone', async () => {
    const x = floats(1, 2, 3);
    const [g, h] = [tensor('g', [3], 'param'), tensor('h', [3], 'param')];
    const arena = allocateArena(device, tensor('flat', [128], 'param'), [g, h]);
    const { graph, result: y } = record(() => scale(x, 2));
    const step = await compile(device, graph, { place: new Map([[y, device.slices.get(h.id) as NonNullable<ReturnType<typeof device.slices.get>>]]) });
    step.run();
    const flat = await readF32(device, arena.flat);
    expect([...flat.slice(64, 67)]).toEqual([2, 4, 6]);
    expect(flat.filter((v) => v !== 0)).toHaveLength(3);
    expect(await step.read(y)).toEqual(await readF32(device, h));
    expect(step.cost.bytes).toBe(0);
    step.dispose();
    freeArena(device, arena);
  });

  it('refuses one tensor at two places, under another shape too', async () => {
    const slice = allocate(device, tensor('slice', [4], 'param'));
    const { graph, result } = record(() => {
      const y = fill([4], 1);
      return [y, reshape(y, [2, 2])] as const;
    });
    const failing = compile(device, graph, { place: new Map(result.map((t) => [t, slice])) });
    await expect(failing).rejects.toMatchObject({ message: 'fill [2, 2] is placed twice: a view and the tensor behind it are the same numbers', hint: 'Give one of them a copy.' });
  });

  it('refuses a dispatch that would read and write one buffer', async () => {
    const [g, h] = [tensor('g', [4], 'param'), tensor('h', [4], 'param')];
    const arena = allocateArena(device, tensor('flat', [128], 'param'), [g, h]);
    const at = (t: Tensor) => device.slices.get(t.id) as NonNullable<ReturnType<typeof device.slices.get>>;
    const { graph, result: [a, b] } = record(() => {
      const first = fill([4], 1);
      return [first, scale(first, 2)] as const;
    });
    await expect(compile(device, graph, { place: new Map([[a, at(g)], [b, at(h)]]) })).rejects.toThrow('elementwise/axpby: scale [4] is written into the buffer in which fill [4] stands');
    // A copy in between is the way out.
    const { graph: other, result: [c, d] } = record(() => {
      const first = fill([4], 1);
      return [copy(first), scale(first, 2)] as const;
    });
    const step = await compile(device, other, { place: new Map([[c, at(g)], [d, at(h)]]) });
    step.run();
    expect([...(await readF32(device, g)), ...(await readF32(device, h))]).toEqual([1, 1, 1, 1, 2, 2, 2, 2]);
    step.dispose();
    freeArena(device, arena);
  });
});

describe('an account', () => {
  it('of dispatches, bytes and operations', async () => {
    const [x, w] = [tensor('x', [4, 8], 'input'), tensor('w', [8, 2], 'input')];
    const { graph, result: y } = record(() => {
      matmul(x, w, { alpha: 2 });
      return add(matmul(x, w), matmul(x, w));
    });
    const before = device.bytes;
    const step = await compile(device, graph, { keep: [y] });
    // The first product leads nowhere, the sum is joined into the third: two tensors of 32 bytes, each in a block of 256.
    expect(step.cost).toEqual({ dispatches: 2, bytes: 512, flops: 2 * 2 * 4 * 8 * 2 + 2 * 8 });
    step.dispose();
    // x and w were allocated on first use and stay.
    expect(device.bytes - before).toBe(4 * (4 * 8 + 8 * 2));
  });
});
