// Matrix products on every kernel of the family: against the f64 reference, and against each other bit for bit, since all of them
// add up in ascending k. Gradients are products of the family too, so they are compared with it.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import { type Case, PROFILES, findings, halves, normals, testCase } from '../testing/check';
import { testDevice } from '../testing/device';
import { expected } from '../testing/reference';
import { add } from './add';
import { addColumns } from './columns';
import { matmul, matmulFamily } from './matmul';
import * as reference from './matmul.reference';

interface Product {
  m: number;
  n: number;
  k: number;
  alpha?: number;
  withC?: boolean;
  /** Splits the rows of a: [batch, m / batch, k]. */
  batch?: number;
}

/** Around the blocks of the kernels (4 × 8, 16 … 128 square, k by 16 and 32), in fours and not. */
const PRODUCTS: Product[] = [
  { m: 1, n: 1, k: 1 },
  { m: 3, n: 5, k: 7, alpha: 0.3, withC: true },
  { m: 1, n: 65, k: 63 },
  { m: 65, n: 1, k: 3, withC: true },
  { m: 33, n: 63, k: 257, alpha: -1.7 },
  { m: 64, n: 64, k: 64, withC: true },
  { m: 68, n: 36, k: 132, alpha: 2 },
  { m: 4, n: 260, k: 4 },
  { m: 6, n: 129, k: 33, batch: 3 },
  { m: 129, n: 3, k: 17 },
  // Few columns on one side and many terms: aᵀ·b is split along k.
  { m: 8, n: 65, k: 300, alpha: 2, withC: true },
  { m: 70, n: 16, k: 257 },
  { m: 12, n: 32, k: 520 },
  // Few blocks and many terms: k is cut into two and four slices.
  { m: 68, n: 132, k: 132, alpha: 2, withC: true },
  { m: 36, n: 68, k: 260 },
];

function productCase({ m, n, k, alpha = 1, withC = false, batch = 1 }: Product, ta: boolean, tb: boolean): Case {
  const shapeA = ta ? [k, m] : batch > 1 ? [batch, m / batch, k] : [m, k];
  const shapeY = ta || batch === 1 ? [m, n] : [batch, m / batch, n];
  const inputs = { a: normals(shapeA), b: normals(tb ? [n, k] : [k, n]), c: normals(shapeY) };
  const name = `${ta ? 'aᵀ' : 'a'}·${tb ? 'bᵀ' : 'b'} ${m}×${n}×${k}${alpha === 1 ? '' : ` times ${alpha}`}${withC ? ' plus c' : ''}${batch > 1 ? ` batch ${batch}` : ''}`;
  return testCase(name, inputs,
    ({ a, b, c }) => matmul(a, b, { ta, tb, alpha, ...(withC ? { c } : {}) }),
    ({ a, b, c }) => reference.matmul(a, b, { ta, tb, alpha, ...(withC ? { c } : {}) }),
    { sameBits: true });
}

const FLAGS = [[false, false], [false, true], [true, false], [true, true]] as const;
const CASES = PRODUCTS.flatMap((product) => FLAGS.map(([ta, tb]) => productCase(product, ta, tb)));

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

describe('value, gradients and bits of', () => {
  it.each(CASES.map((test) => [test.name, test] as const))('%s', async (_, test) => {
    expect(await findings(device, test)).toEqual([]);
  });

  it('a row without a batch: a [k]', async () => {
    const test = testCase('vector', { a: normals([9]), b: normals([9, 5]) }, ({ a, b }) => matmul(a, b), ({ a, b }) => reference.matmul(a, b));
    expect(await findings(device, test)).toEqual([]);
  });

  it('a product with itself: aᵀ·a', async () => {
    const test = testCase('gram', { a: normals([5, 3]) }, ({ a }) => matmul(a, a, { ta: true }), ({ a }) => reference.matmul(a, a, { ta: true }));
    expect(await findings(device, test)).toEqual([]);
  });
});

/** y = alpha·a·op(b) + s·(t·low(a))·op(q) (+ bias) (+ c), every part optional but the first: what the fusion pass joins into one kernel. */
interface Joined { m: number; n: number; k: number; tb: boolean; rank?: number; bias?: boolean; residual?: boolean }
const JOINED: Joined[] = [
  { m: 5, n: 70, k: 9, tb: true, residual: true },
  { m: 5, n: 70, k: 9, tb: false, bias: true },
  { m: 33, n: 68, k: 36, tb: false, bias: true, residual: true },
  ...[1, 3, 16, 63].map((rank) => ({ m: 33, n: 132, k: 68, tb: true, rank, residual: rank === 16, bias: rank === 3 })),
  ...[2, 16].map((rank) => ({ m: 66, n: 65, k: 33, tb: false, rank })),
  { m: 9, n: 68, k: 72, tb: false, rank: 8, residual: true },
  { m: 36, n: 68, k: 260, tb: true, rank: 16, residual: true },
];

function joinedCase({ m, n, k, tb, rank = 0, bias = false, residual = false }: Joined): Case {
  const inputs = {
    a: normals([m, k]), b: normals(tb ? [n, k] : [k, n]), p: normals([Math.max(rank, 1), k]), q: normals(tb ? [n, Math.max(rank, 1)] : [Math.max(rank, 1), n]),
    v: normals([n]), c: normals([m, n]),
  };
  const [s, t] = [0.5, 1.5];
  return testCase(`joined ${m}×${n}×${k}${tb ? ' bᵀ' : ''}${rank ? ` rank ${rank}` : ''}${bias ? ' bias' : ''}${residual ? ' residual' : ''}`, inputs,
    ({ a, b, p, q, v, c }) => {
      const base = matmul(a, b, { tb });
      const adapted = rank ? matmul(matmul(a, p, { tb: true, alpha: t }), q, { tb, alpha: s, c: bias ? addColumns(base, v) : base }) : bias ? addColumns(base, v) : base;
      return residual ? add(adapted, c) : adapted;
    },
    ({ a, b, p, q, v, c }) => {
      const parts = [reference.matmul(a, b, { tb })];
      if (rank) {
        const low = reference.matmul(a, p, { tb: true, alpha: t });
        const sum = reference.matmul({ shape: low.shape, data: low.data }, q, { tb, alpha: s });
        // What low is off by goes through q: its bound by the magnitudes of q.
        const through = reference.matmul({ shape: low.shape, data: low.error }, { shape: q.shape, data: q.data.map(Math.abs) }, { tb, alpha: s });
        parts.push({ ...sum, error: sum.error.map((e, i) => e + (through.data[i] as number)) });
      }
      return expected([m, n], (i) => {
        const value = parts.reduce((x, part) => x + (part.data[i] as number), 0) + (bias ? (v.data[i % n] as number) : 0) + (residual ? (c.data[i] as number) : 0);
        // Each part joins a longer sum: a few roundings of what is there by then.
        const size = parts.reduce((x, part) => x + (part.error[i] as number), 0) + 8 * (Math.abs(v.data[i % n] as number) + Math.abs(c.data[i] as number));
        return { value, error: size + (k + rank + 8) * Math.abs(value) };
      });
    },
    { sameBits: true, wrt: ['a', 'b', ...(rank ? (['p', 'q'] as const) : []), ...(bias ? (['v'] as const) : []), ...(residual ? (['c'] as const) : [])] });
}

/** Frozen weights kept as halves: products, their gradients and what is joined in are those of the rounded numbers. */
const HALF_CASES = ([[33, 68, 36, true], [33, 68, 36, false], [5, 132, 260, true], [68, 260, 132, false]] as const).map(([m, n, k, tb]) => {
  const inputs = { a: normals([m, k]), b: halves(tb ? [n, k] : [k, n]), c: normals([m, n]) };
  return testCase(`halves ${m}×${n}×${k}${tb ? ' bᵀ' : ''} plus c`, inputs, ({ a, b, c }) => add(matmul(a, b, { tb, alpha: 0.7 }), c), ({ a, b, c }) => reference.matmul(a, b, { tb, alpha: 0.7, c }), { wrt: ['a', 'c'], sameBits: true });
});

describe('products with halves', () => {
  it.each(HALF_CASES.map((test) => [test.name, test] as const))('%s', async (_, test) => {
    expect(await findings(device, test)).toEqual([]);
  });

});

describe('products with what the fusion pass joins in', () => {
  it.each(JOINED.map((joined) => joinedCase(joined)).map((test) => [test.name, test] as const))('%s', async (_, test) => {
    expect(await findings(device, test)).toEqual([]);
  });
});

describe('the family', () => {
  const sizes = { m: 64, n: 128, k: 64, k2: 0, ta: 0, tb: 1, add_c: 0, add_bias: 0, alpha: 1, alpha2: 1 };

  it('has the same bindings and params in every kernel', () => {
    for (const kernel of PROFILES.flatMap((profile) => matmulFamily.candidates(profile, sizes))) {
      const names = ({ reflection }: typeof kernel) => ({ bindings: reflection.bindings.map(({ name, access }) => [name, access]), params: reflection.params });
      expect(names(kernel)).toEqual(names({ ...kernel, reflection: matmulFamily.reflection }));
    }
  });

  it('takes loads of four only where every row of a and b starts at a multiple of four', () => {
    const software = PROFILES[0] as (typeof PROFILES)[number];
    const fours = (change: Partial<typeof sizes>) => matmulFamily.candidates(software, { ...sizes, ...change }).some((kernel) => kernel.name === 'matmul/direct_vec4');
    expect(fours({})).toBe(true);
    expect(fours({ k: 63 })).toBe(false);
    expect([fours({ m: 63 }), fours({ m: 63, ta: 1 })]).toEqual([true, false]);
    expect([fours({ n: 127 }), fours({ n: 127, tb: 0 })]).toEqual([true, false]);
  });

  it('leaves out tiles that the workgroup memory of the device does not hold', () => {
    const largest = (workgroupBytes: number) => matmulFamily.candidates({ software: false, id: '', workgroupBytes, invocations: 256, matrices: false }, sizes).map(({ key }) => key);
    expect(largest(32768)).toContain('matmul/tiled_vec4 BM=128 BN=64 TM=8 TN=4 S=1');
    expect(largest(8192)).not.toContain('matmul/tiled_vec4 BM=128 BN=64 TM=8 TN=4 S=1');
    expect(largest(8192)).toContain('matmul/tiled_vec4 BM=64 BN=32 TM=4 TN=4 S=1');
  });
});
