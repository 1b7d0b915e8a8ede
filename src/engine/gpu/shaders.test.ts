// Every shader in shaders/, in every tuning that the engine makes of it: the real compiler takes it, and sees what reflection sees.
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { PROFILES } from '../testing/check';
import { invocations, tileBytes } from '../ops/matmul';
import { testDevice } from '../testing/device';
import { INCLUDE_FILES, KERNEL_FILES, SHADERS, plainKernel } from '../testing/shaders';
import type { Device } from './device';
import { type Kernel, kernel } from './kernel';
import { reflect } from './wgsl';

// Notes every kernel that is made, whichever module makes it and whenever.
const made = vi.hoisted(() => new Map<string, Kernel>());
vi.mock('./kernel', async (original) => {
  const actual = await original<typeof import('./kernel')>();
  const noted: typeof actual.kernel = (...args) => {
    const result = actual.kernel(...args);
    made.set(result.key, result);
    return result;
  };
  return { ...actual, kernel: noted };
});

/** The largest head in use, for kernels that are made when one is first asked for; ops.test.ts runs the smaller ones. */
const HEAD_SIZE = 64;

let device: Device;
beforeAll(async () => {
  device = await testDevice();
  await Promise.all(Object.values(import.meta.glob(['../{ops,linalg,nn,optim}/**/*.ts', '../../methods/*.ts', '!../**/*.{test,reference,bench}.ts', '!../../methods/*.test.ts'])).map((load) => load()));
  const { attention } = await import('../ops');
  const { Graph, node, output } = await import('../tensor/graph');
  const { tensor } = await import('../tensor/tensor');
  const graph = new Graph();
  const q = tensor('q', [1, 2, HEAD_SIZE], 'input');
  graph.record(() => {
    const y = attention(q, q, q, { heads: 1, kvHeads: 1, causal: true });
    const loss = output('loss', [1]);
    node('loss', { y }, [loss], () => ({ y: q }));
    graph.grad(loss, [q]);
  });
  for (const { family, params } of graph.commands) for (const profile of PROFILES) family.candidates(profile, params);
});
afterAll(() => vi.restoreAllMocks());

/** Language features that a file asks for and the device may lack. */
const FEATURES: Record<string, GPUFeatureName> = { f16: 'shader-f16', subgroups: 'subgroups', chromium_experimental_subgroup_matrix: 'chromium-experimental-subgroup-matrix' as GPUFeatureName };
const lacks = (source: string) => [...source.matchAll(/^enable (\w+);/gm)].some(([, name]) => !device.gpu.features.has(FEATURES[name as string] ?? (name as GPUFeatureName)));

describe('the real compiler takes', () => {
  it.each(KERNEL_FILES)('%s as it is written, with every override that reflection found', async (name) => {
    const plain = plainKernel(name);
    if (lacks(plain.source)) return;
    // The compiler refuses overrides that are not there, bindings that the text does not have as reflected, and accesses that differ.
    await device.pipeline(kernel(name, SHADERS[name] as string, () => [1], { overrides: plain.reflection.overrides }));
    device.check();
  });

  it('every tuning that the engine makes', async () => {
    const tunings = [...made.values()].filter((kernel) => kernel.name in SHADERS && !lacks(kernel.source) && tileBytes(kernel) <= device.profile.workgroupBytes && invocations(kernel) <= device.profile.invocations);
    expect(tunings.length).toBeGreaterThan(KERNEL_FILES.length);
    const failures = await Promise.all(tunings.map((tuned) => device.pipeline(tuned).then(() => [], (error: Error) => [`${tuned.key}: ${error.message}`])));
    expect(failures.flat()).toEqual([]);
    device.check();
  });

  // Bodies that kernels share want all their names; they are compiled with those.
  it.each(INCLUDE_FILES.filter((name) => !name.startsWith('common/matmul_')))('%s by itself, or beside the names it wants', async (name) => {
    const wants = name === 'common/target' ? '@group(0) @binding(1) var<storage, read> labels: array<i32>;\nstruct Params { time: u32, shift: u32, vocab: u32 }\n@group(1) @binding(0) var<uniform> params: Params;\n' : '';
    const text = `#include "${name}.wgsl"\n@group(0) @binding(0) var<storage, read_write> y: array<f32>;\n${wants}@compute @workgroup_size(1) fn main() { y[0] = 1.0; }\n`;
    await device.pipeline(kernel(`test/${name}`, text, () => [1]));
    device.check();
  });
});

describe('reflection agrees with the text of', () => {
  it.each(KERNEL_FILES)('%s', (name) => {
    const { source, reflection } = plainKernel(name);
    const code = source.replace(/\/\/.*$/gm, '');
    expect(reflection.bindings.map((binding) => binding.name)).toEqual([...code.matchAll(/var<storage[^>]*>\s*(\w+)/g)].map(([, found]) => found));
    expect(Object.keys(reflection.overrides).sort()).toEqual([...code.matchAll(/\boverride\s+(\w+)/g)].map(([, found]) => found).sort());
    expect(reflection.constants.length).toBe(source.match(/\/\/ tunable/g)?.length ?? 0);
    expect(reflection.params.length).toBe(paramsOf(code)?.split(',').filter((field) => field.trim()).length ?? 0);
    // A field that nothing reads is one that somebody forgot; kernels of a family share their Params, and one of them reads it.
    const family = KERNEL_FILES.map((other) => plainKernel(other).source).filter((other) => paramsOf(other) === paramsOf(code));
    for (const { name: field } of reflection.params) expect(family.some((other) => other.includes(`params.${field}`)), field).toBe(true);
  });
});

describe('house rules hold for', () => {
  it.each(KERNEL_FILES)('%s', (name) => {
    const text = SHADERS[name] as string;
    const { reflection } = plainKernel(name);
    expect(text.match(/@compute/g)).toHaveLength(1);
    expect(text).toMatch(/^fn main\(/m);
    // Every device has eight storage buffers a stage.
    expect(reflection.bindings.length).toBeLessThanOrEqual(8);
    expect(4 * reflection.params.length).toBeLessThanOrEqual(256);
    // The file begins with a comment that gives the shapes, or an equation with subscripts.
    const comment = /^(\/\/.*\n)+/.exec(text)?.[0] ?? '';
    expect(comment).toMatch(/\[[\w ,·/^−+*-]+\]/);
    // A kernel that folds its grid must unfold it.
    const folds = [...made.values()].some((tuned) => tuned.name === name && (tuned.grid({ ...anyParams(tuned), m: 1e9 })[1] ?? 1) > 1);
    if (folds) expect(plainKernel(name).source).toMatch(/group_index\(group, groups\)|group\.z \* groups\.y/);
    // Comparison with itself proves nothing where NaN is assumed away.
    expect(text).not.toMatch(/\b(\w+) [!=]= \1\b/);
  });

  it.each(INCLUDE_FILES)('%s', (name) => {
    const text = SHADERS[name] as string;
    expect(text.startsWith('// ')).toBe(true);
    expect(text).not.toContain('@compute');
    expect(reflect(name, text).params).toEqual([]);
  });
});

const paramsOf = (source: string) => /struct Params\s*\{([^}]*)\}/.exec(source)?.[1];

/** Sizes so large that any grid over them folds. */
const anyParams = ({ reflection }: Kernel) => Object.fromEntries(reflection.params.map(({ name }) => [name, name === 'keys' || name === 'time' ? 1 : 1e9]));
