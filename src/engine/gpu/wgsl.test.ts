// Reading WGSL text: includes, bindings, Params, overrides, tunable constants, and what is refused by name.
import { describe, expect, it } from 'vitest';
import { BindingError } from '../../util/errors';
import { expandIncludes, reflect, withConstants } from './wgsl';

const GOOD = `// y = alpha x.
override WG: u32 = 64u;
override FAST: bool = false;
override SLOPE: f32 = 0.5;
const TILE: u32 = 4u; // tunable
const FIXED: u32 = 4u;
struct Params { n: u32, shift: i32, alpha: f32 }
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(0) var<storage, read> x: array<f32>; // @group(0) @binding(7) var<storage, read> gone: array<f32>;
/* @group(0) @binding(8) var<storage, read> gone_too: array<f32>; // really
*/
@group(1) @binding(0) var<uniform> params: Params;
`;

describe('reflection', () => {
  it('finds bindings by slot, params in order, overrides with their defaults, constants that are tunable', () => {
    expect(reflect('test/good', GOOD)).toEqual({
      bindings: [{ name: 'x', slot: 0, access: 'read' }, { name: 'y', slot: 1, access: 'read_write' }],
      params: [{ name: 'n', type: 'u32' }, { name: 'shift', type: 'i32' }, { name: 'alpha', type: 'f32' }],
      overrides: { WG: 64, FAST: 0, SLOPE: 0.5 },
      constants: ['TILE'],
      usesStep: false,
    });
  });

  it('sees the scalars of a step, and a storage binding that names no access', () => {
    const { bindings, usesStep, params } = reflect('test/step', `@group(2) @binding(0) var<uniform> scalars: StepScalars;
@group(0) @binding(0) var<storage> x: array<f32>;`);
    expect({ usesStep, bindings, params }).toEqual({ usesStep: true, bindings: [{ name: 'x', slot: 0, access: 'read' }], params: [] });
  });

  const REFUSED: [what: string, from: string, to: string, message: string][] = [
    ['vectors in Params', 'alpha: f32', 'alpha: vec2<f32>', 'test/bad: Params.alpha is vec2<f32>; only u32, i32 and f32 may stand there'],
    ['arrays in Params', 'alpha: f32', 'alpha: array<f32, 4>', 'test/bad: Params.alpha is array<f32; only'],
    ['attributes in Params', 'alpha: f32', '@align(16) alpha: f32', 'test/bad: Params has attributes'],
    ['gaps between bindings', '@binding(1)', '@binding(2)', "test/bad: bindings of group 0 must count 0, 1, 2 …; 'y' has 2"],
    ['one slot for two', '@binding(1)', '@binding(0)', 'test/bad: bindings of group 0 must count 0, 1, 2 …'],
    ['tensors in another group', '@group(0) @binding(1)', '@group(3) @binding(0)', "test/bad: 'y' is bound as group 3, storage, read_write; tensors go to group 0"],
    ['uniform tensors', 'var<storage, read> x', 'var<uniform> x', "test/bad: 'x' is bound as group 0, uniform"],
    ['a uniform that is not Params', 'params: Params;', 'params: Other;', "test/bad: 'params' is bound as group 1, uniform; tensors go to group 0, Params to 1, StepScalars to 2"],
    ['attributes the other way round', '@group(0) @binding(1) var', '@binding(1) @group(0) var', 'test/bad: 3 storage and uniform variables, of which 2 read'],
    ['overrides without a plain default', 'WG: u32 = 64u', 'WG: u32 = TILE * 16u', 'test/bad: override WG has no plain default'],
  ];
  it.each(REFUSED)('refuses %s', (_, from, to, message) => {
    expect(GOOD).toContain(from);
    expect(() => reflect('test/bad', GOOD.replace(from, to))).toThrow(BindingError);
    expect(() => reflect('test/bad', GOOD.replace(from, to))).toThrow(message);
  });
});

describe('includes', () => {
  const files = { 'common/a.wgsl': '#include "common/b.wgsl"\nfn a() {}', 'common/b.wgsl': 'fn b() {}', 'common/loop.wgsl': '#include "common/loop.wgsl"\nfn loop() {}' };

  it('stand where they are asked for, each file once', () => {
    const text = expandIncludes('x', '#include "common/b.wgsl"\n#include "common/a.wgsl"\n#include "common/b.wgsl"\nfn main() {}', files);
    expect(text.replace(/\n+/g, '\n')).toBe('fn b() {}\nfn a() {}\nfn main() {}');
    expect(expandIncludes('x', '#include "common/loop.wgsl"', files)).toBe('\nfn loop() {}');
  });

  it('name the file that is missing and who wants it', () => {
    expect(() => expandIncludes('norm/x', '#include "common/c.wgsl"', files)).toThrow("norm/x: includes 'common/c.wgsl', which is not in shaders/");
  });
});

describe('tunable constants', () => {
  it('are set in the text, typed as they were', () => {
    const text = 'const TILE: u32 = 4u; // tunable\nconst SLOPE: f32 = 0.5; // tunable\nconst N = 3; // tunable\n';
    expect(withConstants('x', text, { TILE: 8, SLOPE: 1, N: 5 })).toBe('const TILE: u32 = 8u;\nconst SLOPE: f32 = 1f;\nconst N = 5;\n');
    expect(withConstants('x', text, {})).toBe(text);
  });

  it('must be there, and be marked', () => {
    expect(() => withConstants('x', GOOD, { FIXED: 8 })).toThrow("x: there is no tunable constant 'FIXED'");
    expect(() => withConstants('x', GOOD, { OTHER: 8 })).toThrow("x: there is no tunable constant 'OTHER'");
  });
});
