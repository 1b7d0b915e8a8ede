// Products with frozen weights as codes and scales: against the f64 reference over odd shapes, and against the plain kernels on the same
// weights widened, bit for bit. Where a kernel does not read codes, they are widened of themselves.
import { beforeAll, describe, expect, it } from 'vitest';
import { type PackedKind, dequantise, quantise } from '../../util/packed';
import { normal } from '../../util/random';
import type { Device, Profile } from '../gpu/device';
import type { Kernel } from '../gpu/kernel';
import { tried } from '../tensor/gate';
import { type Command, Graph, current, node, output } from '../tensor/graph';
import { free, readF32, upload, writePacked } from '../tensor/memory';
import { compile } from '../tensor/step';
import { type DType, type Tensor, byteLength, sizeOf, tensor } from '../tensor/tensor';
import { type Case, PROFILES, findings, halves, normals, quantised, testCase } from '../testing/check';
import { testDevice } from '../testing/device';
import { expected } from '../testing/reference';
import { add, axpby } from './add';
import { addColumns } from './columns';
import { matmul } from './matmul';
import * as reference from './matmul.reference';

const KINDS: PackedKind[] = ['int8', 'int4'];
let device: Device;
beforeAll(async () => { device = await testDevice(); });

const [SOFTWARE, HARDWARE] = PROFILES as [Profile, Profile];
/**
 * y = a bᵀ with b [n, k], and y = a b with b [k, n]: rows of b hold whole groups, all other sizes are free. Tiles differ from those of f32
 * only in how they fetch b, and software adapters compile them slowly: int8 tries one shape each way on them, int4 has the gate's trials.
 */
const SHAPES = [
  [1, 1, 32, true], [3, 65, 64, true], [63, 257, 32, true], [65, 3, 160, true], [257, 63, 32, true], [33, 132, 96, true],
  [1, 32, 1, false], [3, 64, 65, false], [63, 32, 257, false], [65, 160, 3, false], [257, 32, 63, false], [33, 96, 68, false],
] as const;
const profilesOf = (kind: PackedKind, m: number) => (kind === 'int8' && m === 33 ? PROFILES : [SOFTWARE]);
const shaped = (kind: PackedKind, [m, n, k, tb]: (typeof SHAPES)[number]): Case =>
  testCase(`${kind} ${m}×${n}×${k}${tb ? ' bᵀ' : ''} plus c`, { a: normals([m, k]), b: quantised(tb ? [n, k] : [k, n], kind), c: normals([m, n]) },
    ({ a, b, c }) => add(matmul(a, b, { tb, alpha: 0.7 }), c), ({ a, b, c }) => reference.matmul(a, b, { tb, alpha: 0.7, c }), { wrt: m * n < 5000 ? ['a', 'b', 'c'] : ['a'], sameBits: true, profiles: profilesOf(kind, m) });

/** A layer with an adapter: bias, low-rank branch and residual joined into the product with the frozen weight. */
const layer = (kind: PackedKind): Case => {
  const [m, n, k, rank] = [33, 68, 96, 5];
  return testCase(`${kind} layer with bias, branch of rank ${rank} and residual`,
    { x: normals([m, k]), w: quantised([n, k], kind), A: normals([rank, k], 0.3), B: normals([n, rank], 0.3), v: normals([n]), r: normals([m, n]) },
    ({ x, w, A, B, v, r }) => add(matmul(matmul(x, A, { tb: true }), B, { tb: true, alpha: 2, c: addColumns(matmul(x, w, { tb: true }), v) }), r),
    ({ x, w, A, B, v, r }) => {
      const [base, low] = [reference.matmul(x, w, { tb: true }), reference.matmul(x, A, { tb: true })];
      const branch = reference.matmul({ shape: low.shape, data: low.data }, B, { tb: true, alpha: 2 });
      const through = reference.matmul({ shape: low.shape, data: low.error }, { shape: B.shape, data: B.data.map(Math.abs) }, { tb: true, alpha: 2 });
      return expected([m, n], (i) => {
        const value = (base.data[i] as number) + (branch.data[i] as number) + (v.data[i % n] as number) + (r.data[i] as number);
        const error = (base.error[i] as number) + (branch.error[i] as number) + (through.data[i] as number) + 8 * (Math.abs(v.data[i % n] as number) + Math.abs(r.data[i] as number));
        return { value, error: error + (k + rank + 8) * Math.abs(value) };
      });
    }, { wrt: ['x', 'A', 'B', 'v', 'r'], sameBits: true, profiles: [SOFTWARE] });
};

describe('products', () => {
  const cases = KINDS.flatMap((kind) => [...SHAPES.map((shape) => shaped(kind, shape)), layer(kind)]);
  it.each(cases.map((test) => [test.name, test] as const))('%s', async (_, test) => {
    expect(await findings(device, test)).toEqual([]);
  });

  it.each(KINDS)('of %s weights read codes, and widen nothing', (kind) => {
    const graph = new Graph();
    const [x, w] = [tensor('x', [65, 96], 'param'), tensor('w', [64, 96], 'param', kind)];
    graph.record(() => {
      const y = matmul(x, w, { tb: true });
      const loss = output('loss', [1]);
      node('probe', { y }, [loss], () => ({ y: tensor('dy', [65, 64], 'param') }));
      graph.grad(loss, [x]);
    });
    expect(graph.commands.map(({ family }) => family.name)).toEqual([`matmul/${kind}`, 'elementwise/fill', `matmul/${kind}`]);
  });

  it.each(KINDS.flatMap((kind) => [[kind, true], [kind, false]] as const))('of %s weights, turned %s: the plain kernel of the same blocks on widened weights gives the same bits', async (kind, tb) => {
    const [m, n, k] = [65, 96, 128];
    const shape = tb ? [n, k] : [k, n];
    const numbers = (seed: number, size: number) => Float32Array.from({ length: size }, (_, i) => normal(seed, 0, i));
    const packed = quantise(kind, numbers(1, n * k));
    const [a, b, wide] = [tensor('a', [m, k], 'input'), tensor('b', shape, 'input', kind), tensor('wide', shape, 'input')];
    upload(device, a, numbers(2, m * k));
    writePacked(device, b, packed);
    upload(device, wide, dequantise(packed));
    const graph = new Graph();
    const [y, z] = graph.record(() => [matmul(a, b, { tb }), matmul(a, wide, { tb })]);
    const kernels = ({ family, params }: Command) => family.candidates(SOFTWARE, params).find(({ name }) => name.includes('direct')) as Kernel;
    const step = await compile(device, graph, { keep: [y, z], kernels });
    step.run();
    expect(await step.read(y)).toEqual(await step.read(z));
    step.dispose();
    for (const t of [a, b, wide]) free(device, t);
  });
});

describe('a packed weight where a kernel reads f32', () => {
  const plain = (dtype: DType, shape: readonly number[]) => (dtype === 'f16' ? halves(shape) : quantised(shape, dtype as PackedKind));
  const cases = (['f16', ...KINDS] as const).flatMap((dtype) => [
    testCase(`${dtype} as the left factor`, { a: plain(dtype, [33, 32]), b: normals([5, 32]) }, ({ a, b }) => matmul(a, b, { tb: true }), ({ a, b }) => reference.matmul(a, b, { tb: true }), { wrt: ['a', 'b'], profiles: [SOFTWARE] }),
    testCase(`${dtype} beside a turned factor`, { a: normals([33, 7]), b: plain(dtype, [33, 64]) }, ({ a, b }) => matmul(a, b, { ta: true }), ({ a, b }) => reference.matmul(a, b, { ta: true }), { wrt: ['a', 'b'], profiles: [SOFTWARE] }),
    testCase(`${dtype} added to a product`, { a: normals([5, 3]), b: normals([3, 32]), c: plain(dtype, [5, 32]) }, ({ a, b, c }) => matmul(a, b, { c }), ({ a, b, c }) => reference.matmul(a, b, { c }), { wrt: ['a', 'b', 'c'], profiles: [SOFTWARE] }),
    testCase(`${dtype} in a sum with itself`, { a: plain(dtype, [3, 32]) }, ({ a }) => axpby(a as Tensor, a as Tensor, 2, 0.5),
      ({ a }) => expected([3, 32], (i) => ({ value: 2.5 * (a.data[i] as number), error: 8 * Math.abs(a.data[i] as number) })), { wrt: ['a'] }),
  ]);
  it.each(cases.map((test) => [test.name, test] as const))('%s', async (_, test) => {
    expect(await findings(device, test)).toEqual([]);
  });

  it('is refused where something would be written to it', () => {
    const w = tensor('w', [2, 32], 'param', 'int8');
    expect(() => new Graph().record(() => { const command = matmul(tensor('x', [1, 32], 'param'), tensor('v', [32, 32], 'param')); current().dispatch((current().commands[0] as Command).family, { a: command, b: command, a2: command, b2: command, c: command, bias: command, y: w }, (current().commands[0] as Command).params, 0); })).toThrow("'y' takes no packed weights, got w [2, 32] int8");
  });
});

describe('tensors of codes', () => {
  it.each([['int8', 34], ['int4', 18]] as const)('%s takes %i bytes for 32 numbers', (dtype, bytes) => {
    expect(byteLength(tensor('w', [64, 32], 'param', dtype))).toBe(64 * bytes);
  });
  it.each(KINDS)('%s comes back from the device as what the codes stand for', async (kind) => {
    const w = tensor('w', [3, 32], 'input', kind);
    const values = Float32Array.from({ length: sizeOf(w.shape) }, (_, i) => normal(9, 0, i));
    upload(device, w, values);
    expect(await readF32(device, w)).toEqual(dequantise(quantise(kind, values)));
    free(device, w);
  });
  it('wants rows of whole groups', () => {
    expect(() => tensor('w', [32, 48], 'param', 'int4')).toThrow('w: rows of 48 cannot be int4');
  });
});

describe('the start-up gate', () => {
  const work = (kind: PackedKind, tb: boolean): Command => {
    const graph = new Graph();
    graph.record(() => matmul(tensor('a', [64, 96], 'param'), tensor('b', [96, 96], 'param', kind), { tb }));
    return graph.commands[0] as Command;
  };
  it.each(KINDS.flatMap((kind) => [[kind, true], [kind, false]] as const))('passes every fast kernel for %s, turned %s', async (kind, tb) => {
    const { family, params } = work(kind, tb);
    const fast = family.candidates(HARDWARE, params);
    expect(fast.map(({ name }) => name)).toEqual(['quant/tiled', 'quant/tiled']);
    for (const kernel of fast) expect(await tried(device, family, kernel, params), kernel.key).toBe('passed');
  });
  it('turns away a kernel that takes the codes of a group with the scale of the next', async () => {
    const { family, params } = work('int8', true);
    const [right] = family.candidates(SOFTWARE, params) as [Kernel];
    const wrong: Kernel = { ...right, key: `${right.key} wrong`, source: right.source.replace('let group = i / 8u;', 'let group = i / 8u + 1u;') };
    expect(wrong.source).not.toBe(right.source);
    expect(await tried(device, family, wrong, params)).toMatch(/^y is off by/);
  });
});

