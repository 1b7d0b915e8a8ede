// Kernels as data: the key that tells tunings apart, and the folding of one-dimensional grids.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { SHADERS } from '../testing/shaders';
import { grid1d, kernel } from './kernel';

const SOURCE = `// Nothing.
override WG: u32 = 64u;
const D4: u32 = 8u; // tunable
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(WG) fn main() { y[0] = f32(D4); }`;

describe('a kernel', () => {
  it('is another with another tuning, and its constants stand in its text', () => {
    const [plain, wide, deep] = [kernel('test/k', SOURCE, () => [1]), kernel('test/k', SOURCE, () => [1], { overrides: { WG: 8 } }), kernel('test/k', SOURCE, () => [1], { overrides: { WG: 8 }, constants: { D4: 2 } })];
    expect([plain.key, wide.key, deep.key]).toEqual(['test/k', 'test/k WG=8', 'test/k WG=8 D4=2']);
    expect(deep.source).toContain('const D4: u32 = 2u;');
    expect(deep.reflection).toEqual(plain.reflection);
  });

  it('names an include that is not there', () => {
    expect(() => kernel('test/k', '#include "common/missing.wgsl"\n', () => [1])).toThrow("test/k: includes 'common/missing.wgsl'");
  });
});

describe('grid1d', () => {
  it('covers every workgroup once, with few to spare, within what every device allows', () => {
    // group_index of common/index.wgsl: group.y * groups.x + group.x counts 0 … x·y − 1, each once.
    expect(SHADERS['common/index']).toContain('return group.y * groups.x + group.x;');
    const counts = fc.oneof(fc.integer({ min: 0, max: 300_000 }), fc.integer({ min: 1, max: 65534 }).chain((rows) => fc.integer({ min: -2, max: 2 }).map((d) => Math.max(0, rows * 65535 + d))));
    fc.assert(fc.property(counts, (groups) => {
      const [x, y = 1, z = 1] = grid1d(groups);
      expect(Math.max(x, y)).toBeLessThanOrEqual(65535);
      expect(z).toBe(1);
      expect(x * y).toBeGreaterThanOrEqual(groups);
      expect(x * y - Math.max(groups, 1)).toBeLessThan(y);
    }));
  });
});
