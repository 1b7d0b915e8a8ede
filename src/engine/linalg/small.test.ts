// The recorded ops for small matrices, on the kernels of software adapters and on those of GPUs: residuals in double precision, and the
// same bits every time.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import { testDevice } from '../testing/device';
import { Graph } from '../tensor/graph';
import { free, upload } from '../tensor/memory';
import { compile } from '../tensor/step';
import { type Tensor, tensor } from '../tensor/tensor';
import { cholesky } from './cholesky';
import { eigh, inverse, sylvester } from './eigen';
import * as host from './host/cholesky';
import * as hostEigen from './host/eigen';
import { type HostMatrix, combine, diagonal, frobenius, hostMatrix, identity, multiply, transpose } from './host/matrix';
import * as hostSvd from './host/svd';
import { pinv } from './pinv';
import { polar } from './polar';
import { product, turnInto } from './products';
import { disorder, distance, gram, pretending, random, rounded, stacked, symmetric, unorthonormal, withValues } from './testing/matrices';

let real: Device;
beforeAll(async () => {
  real = await testDevice();
});

/** Matrices of one shape through an op that gives stacks, back as matrices of the stated shapes. */
async function through(device: Device, inputs: readonly (readonly HostMatrix[])[], op: (...stacks: Tensor[]) => readonly Tensor[]): Promise<HostMatrix[][]> {
  const tensors = inputs.map((matrices, i) => {
    const [{ rows, columns }] = matrices as [HostMatrix];
    return upload(device, tensor(`input ${i}`, [matrices.length, rows, columns], 'input'), stacked(matrices));
  });
  const graph = new Graph();
  const outputs = graph.record(() => op(...tensors));
  const step = await compile(device, graph, { keep: outputs });
  step.run();
  const results: HostMatrix[][] = [];
  for (const t of outputs) {
    const [batch, rows = 1, columns = 1] = t.shape as [number, number?, number?];
    const data = await step.read(t);
    results.push(Array.from({ length: batch }, (_, i) => hostMatrix(rows, columns, data.slice(i * rows * columns, (i + 1) * rows * columns))));
  }
  step.dispose();
  for (const t of tensors) free(device, t);
  return results;
}

const bits = (results: readonly (readonly HostMatrix[])[]) => results.flat().flatMap(({ data }) => [...data]);

const KINDS = [['software', true], ['GPU', false]] as const;

describe.each(KINDS)('kernels for %s adapters:', (_, software) => {
  let device: Device;
  beforeAll(() => {
    device = pretending(real, software);
  });

  describe('product', () => {
    it.each([[1, 1, 1], [3, 5, 7], [17, 18, 19], [65, 33, 20], [40, 70, 33]])('%i × %i × %i, turned or not, with alpha and c, one a for all', async (m, n, k) => {
      for (const [ta, tb] of [[false, false], [true, true]] as const) {
        const a = [1, 2, 3].map((seed) => rounded(ta ? random(k, m, seed) : random(m, k, seed)));
        const b = [4, 5, 6].map((seed) => rounded(tb ? random(n, k, seed) : random(k, n, seed)));
        const c = [7, 8, 9].map((seed) => rounded(random(m, n, seed)));
        const plain = (i: number, j: number) => multiply(ta ? transpose(a[i] as HostMatrix) : (a[i] as HostMatrix), tb ? transpose(b[j] as HostMatrix) : (b[j] as HostMatrix));
        const [y, shared] = await through(device, [a, b, c, [a[0] as HostMatrix]], (...t) => {
          const [at, bt, ct, one] = t as [Tensor, Tensor, Tensor, Tensor];
          return [product(at, bt, { ta, tb, alpha: 0.5, beta: -2, c: ct }), product(one, bt, { ta, tb })];
        }) as [HostMatrix[], HostMatrix[]];
        for (let i = 0; i < 3; i++) {
          expect(distance(y[i] as HostMatrix, combine(plain(i, i), c[i] as HostMatrix, 0.5, -2))).toBeLessThan(1e-6);
          expect(distance(shared[i] as HostMatrix, plain(0, i))).toBeLessThan(1e-6);
        }
      }
    });
  });

  describe('eigh', () => {
    const SPECTRA: readonly (readonly [string, readonly HostMatrix[]])[] = [
      ['1 × 1', [hostMatrix(1, 1, [-3]), hostMatrix(1, 1, [2])]],
      ['2 × 2', [symmetric([2, 1]), hostMatrix(2, 2, [0, 1, 1, 0]), hostMatrix(2, 2)]],
      ['odd, with pairs of either sign', [symmetric([3, -3, 3, -3, 1]), symmetric([1, 1, 1, 1, 1], 3), symmetric([5, 0, 0, 0, -1], 4)]],
      ['Gram matrices of low rank', [gram(random(9, 3)), gram(random(9, 20, 2))]],
      ['over many decades', [symmetric([1e4, 10, 1e-2, 1e-4, 0, -1e-3])]],
      ['63 × 63', [gram(random(63, 70)), combine(random(63, 63), transpose(random(63, 63)))]],
    ];
    it.each(SPECTRA)('%s', async (_, given) => {
      const matrices = given.map(rounded);
      const [values, vectors] = await through(device, [matrices], (a) => { const { values, vectors } = eigh(a as Tensor); return [values, vectors]; }) as [HostMatrix[], HostMatrix[]];
      matrices.forEach((a, i) => {
        const [d, v] = [values[i] as HostMatrix, vectors[i] as HostMatrix];
        const exact = hostEigen.eigh(a).values;
        const size = Math.max(...exact.map(Math.abs), 1e-30);
        exact.forEach((value, j) => expect(Math.abs((d.data[j] as number) - value)).toBeLessThan(2e-6 * size));
        expect(unorthonormal(v)).toBeLessThan(1e-5);
        expect(distance(multiply(multiply(transpose(v), diagonal(d.data)), v), a)).toBeLessThan(5e-6);
      });
    });
  });

  it('inverse of what eigh found, with damping and without', async () => {
    const matrices = [gram(random(7, 20)), gram(random(7, 30, 4))].map(rounded);
    const [plain, damped] = await through(device, [matrices], (a) => { const e = eigh(a as Tensor); return [inverse(e), inverse(e, { damping: 3 })]; }) as [HostMatrix[], HostMatrix[]];
    matrices.forEach((a, i) => {
      expect(distance(multiply(plain[i] as HostMatrix, a), identity(7))).toBeLessThan(1e-4);
      expect(distance(multiply(damped[i] as HostMatrix, combine(a, identity(7), 1, 3)), identity(7))).toBeLessThan(1e-5);
    });
  });

  it('sylvester: A X + X B = C for sites of unequal sides, as in a step of LoRA-Pro', async () => {
    const [A, B, C] = [[1, 2, 3].map((s) => rounded(gram(random(8, 40, s)))), [4, 5, 6].map((s) => rounded(gram(random(5, 9, s)))), [7, 8, 9].map((s) => rounded(random(8, 5, s)))];
    const [X] = await through(device, [A, B, C], (a, b, c) => [sylvester(eigh(a as Tensor), eigh(b as Tensor), c as Tensor)]) as [HostMatrix[]];
    X.forEach((x, i) => {
      expect(distance(combine(multiply(A[i] as HostMatrix, x), multiply(x, B[i] as HostMatrix)), C[i] as HostMatrix)).toBeLessThan(1e-5);
      expect(distance(x, hostEigen.sylvester(A[i] as HostMatrix, B[i] as HostMatrix, C[i] as HostMatrix))).toBeLessThan(1e-5);
    });
  });

  it('sylvester leaves zero what has no solution', async () => {
    const [X] = await through(device, [[hostMatrix(2, 2)], [hostMatrix(3, 3)], [random(2, 3)]], (a, b, c) => [sylvester(eigh(a as Tensor), eigh(b as Tensor), c as Tensor)]) as [HostMatrix[]];
    expect([...(X[0] as HostMatrix).data]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it.each([1, 3, 17, 65])('cholesky of side %i', async (n) => {
    const matrices = [gram(random(n, 2 * n + 3)), gram(random(n, 2 * n + 5, 2))].map(rounded);
    const [L, failed] = await through(device, [matrices], (a) => { const { L, failed } = cholesky(a as Tensor, { jitter: 0.25 }); return [L, failed]; }) as [HostMatrix[], HostMatrix[]];
    matrices.forEach((a, i) => {
      const exact = host.cholesky(a, 0.25);
      expect(distance(L[i] as HostMatrix, exact)).toBeLessThan(1e-5);
      expect(distance(gram(L[i] as HostMatrix), gram(exact))).toBeLessThan(1e-6);
    });
    expect(failed.flatMap(({ data }) => [...data])).toEqual([0, 0]);
  });

  it('cholesky counts pivots that are not positive', async () => {
    const [, failed] = await through(device, [[diagonal([1, -1, 2]), diagonal([1, 1, 2]), gram(random(3, 1))]], (a) => { const { L, failed } = cholesky(a as Tensor); return [L, failed]; }) as [HostMatrix[], HostMatrix[]];
    expect([failed[0]?.data[0], failed[1]?.data[0]]).toEqual([1, 0]);
    expect(failed[2]?.data[0]).toBeGreaterThan(0);
  });

  describe('pinv', () => {
    it.each([
      ['regular', [random(6, 6), random(6, 6, 2)]],
      ['flat', [random(5, 12), random(5, 12, 2)]],
      ['tall', [random(12, 5), random(12, 5, 2)]],
      ['of low rank', [withValues(8, 8, [3, 2, 1, 0, 0, 0, 0, 0]), withValues(8, 8, [1, 1, 0, 0, 0, 0, 0, 0], 3)]],
      ['of zeros', [hostMatrix(3, 3)]],
      ['1 × n and n × 1', [random(1, 9)]],
    ] as const)('%s', async (_, given) => {
      const matrices = given.map(rounded);
      const [found] = await through(device, [matrices], (a) => [pinv(a as Tensor, 1e-5)]) as [HostMatrix[]];
      matrices.forEach((a, i) => expect(distance(found[i] as HostMatrix, hostSvd.pinv(a, 1e-5))).toBeLessThan(1e-4));
    });
  });

  it('polar of square, flat and tall matrices', async () => {
    for (const given of [[random(9, 9)], [random(4, 11), random(4, 11, 2)], [random(11, 4)]]) {
      const matrices = given.map(rounded);
      const [found] = await through(device, [matrices], (a) => [polar(a as Tensor)]) as [HostMatrix[]];
      matrices.forEach((a, i) => {
        const q = found[i] as HostMatrix;
        expect(unorthonormal(q.rows <= q.columns ? q : transpose(q))).toBeLessThan(1e-5);
        expect(distance(q, hostSvd.polar(a))).toBeLessThan(1e-4);
      });
    }
  });

  it('gives the same bits every time', async () => {
    const [A, C] = [[1, 2].map((s) => rounded(gram(random(12, 30, s)))), [3, 4].map((s) => rounded(random(12, 12, s)))];
    const run = () => through(device, [A, C], (a, c) => { const e = eigh(a as Tensor); return [e.values, sylvester(e, e, c as Tensor), pinv(c as Tensor), polar(c as Tensor), cholesky(a as Tensor).L]; });
    expect(bits(await run())).toEqual(bits(await run()));
  });
});

it('turn turns matrices', async () => {
  const matrices = Array.from({ length: 17 }, (_, i) => rounded(random(3, 5, i + 1)));
  const turned = tensor('turned', [17, 5, 3], 'param');
  await through(real, [matrices], (x) => { turnInto(turned, x as Tensor); return [turned]; }).then(([found]) => expect(bits([found as HostMatrix[]])).toEqual(bits([matrices.map(transpose)])));
  free(real, turned);
});

it('refuses what it cannot do, by name', () => {
  const graph = new Graph();
  const t = (...shape: number[]) => tensor('w', shape, 'input');
  graph.record(() => {
    expect(() => eigh(t(2, 3, 4))).toThrow(/eigh: a must hold square matrices, got w \[2, 3, 4\]/);
    expect(() => eigh(t(2, 129, 129))).toThrow(/129 × 129 is more than 128 × 128/);
    expect(() => eigh(t(3, 3))).toThrow(/must be a stack \[batch, rows, columns\]/);
    expect(() => product(t(2, 3, 4), t(2, 5, 6))).toThrow(/inner sizes differ/);
    expect(() => product(t(3, 3, 4), t(2, 4, 6))).toThrow(/a stack of 3 and one of 2/);
    expect(() => polar(t(1, 2, 2), 0)).toThrow(/0 iterations/);
  });
});

it('symmetric spectra given to the tests are what they say', () => {
  expect(disorder(hostEigen.eigh(symmetric([3, 2, 1])).values)).toEqual([]);
  expect(frobenius(symmetric([3, 4]))).toBeCloseTo(5, 12);
});
