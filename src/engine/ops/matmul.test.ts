// Matrix products on every kernel of the family: against the f64 reference, and against each other bit for bit, since all of them
// add up in ascending k. Gradients are products of the family too, so they are compared with it.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import { type Case, PROFILES, findings, normals, testCase } from '../testing/check';
import { testDevice } from '../testing/device';
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

describe('the family', () => {
  const sizes = { m: 64, n: 64, k: 64, ta: 0, tb: 1, add_c: 0, alpha: 1 };

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
    expect([fours({ n: 63 }), fours({ n: 63, tb: 0 })]).toEqual([true, false]);
  });

  it('leaves out tiles that the workgroup memory of the device does not hold', () => {
    const largest = (workgroupBytes: number) => matmulFamily.candidates({ software: false, id: '', workgroupBytes }, sizes).map(({ key }) => key);
    expect(largest(32768)).toContain('matmul/tiled_vec4 TM=8 TN=8');
    expect(largest(16384)).not.toContain('matmul/tiled_vec4 TM=8 TN=8');
    expect(largest(16384)).toContain('matmul/tiled TM=4 TN=4 BK=16');
  });
});
