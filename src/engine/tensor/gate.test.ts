// The gates let right kernels pass, switch off wrong ones with a reason, remember outcomes, and leave software adapters alone.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device, TuneStore } from '../gpu/device';
import type { Kernel, ParamValues } from '../gpu/kernel';
import { attention, halfFamily, matmul, matmulFamily } from '../ops';
import { PROFILES } from '../testing/check';
import { testDevice } from '../testing/device';
import { choose } from './autotune';
import type { Family } from './family';
import { passes } from './gate';
import { Graph, node, output } from './graph';
import { tensor } from './tensor';

const [, GPU] = PROFILES;
const sizes: ParamValues = { m: 64, n: 132, k: 260, k2: 16, ta: 0, tb: 1, add_c: 1, add_bias: 1, alpha: 1, alpha2: 1 };

/** The device under test, taken for a GPU, with outcomes of its own. */
function asGpu(device: Device, store?: TuneStore): Device {
  return Object.assign(Object.create(device) as Device, { profile: { ...device.profile, ...GPU }, gates: new Map(), switchedOff: new Map(), tuneStore: store ?? null });
}

let number = 0;
/** A family whose `at`-th candidate for a GPU has another text. */
function planted(family: Family, at: number, change: (source: string) => string): { family: Family; kernel: Kernel } {
  const kernels = family.candidates(GPU as NonNullable<typeof GPU>, sizes).map((kernel, i) => (i === at ? { ...kernel, key: `${kernel.key} planted ${++number}`, source: change(kernel.source) } : kernel));
  return { family: { ...family, candidates: () => kernels }, kernel: kernels[at] as Kernel };
}

let device: Device;
beforeAll(async () => {
  device = await testDevice();
});

describe('right kernels pass', () => {
  it('of products, with what is joined in, and of halves', async () => {
    const gpu = asGpu(device);
    for (const params of [sizes, { ...sizes, tb: 0, k2: 0, add_bias: 0 }, { ...sizes, ta: 1, tb: 0, k2: 0 }, { ...sizes, n: 16, k2: 0 }]) {
      for (const kernel of matmulFamily.candidates(gpu.profile, params).slice(0, 2)) expect(await passes(gpu, matmulFamily, kernel, params)).toBe(true);
    }
    const half = { ...sizes, lift: 8 };
    for (const kernel of halfFamily.candidates(gpu.profile, half).slice(0, 1)) expect(await passes(gpu, halfFamily, kernel, half)).toBe(true);
    expect(gpu.switchedOff.size).toBe(0);
  });

  it('of attention and its gradients', async () => {
    const gpu = asGpu(device);
    const [q, k] = [tensor('q', [1, 20, 32], 'param'), tensor('k', [1, 20, 16], 'param')];
    const graph = new Graph();
    graph.record(() => {
      const y = attention(q, k, k, { heads: 2, kvHeads: 1, causal: true });
      const loss = output('loss', [1]);
      node('probe', { y }, [loss], () => ({ y: q }));
      graph.grad(loss, [q, k]);
    });
    let tried = 0;
    for (const { family, params } of graph.commands) {
      if (!family.trial) continue;
      for (const kernel of family.candidates(gpu.profile, params)) {
        expect(await passes(gpu, family, kernel, params), kernel.key).toBe(true);
        tried++;
      }
    }
    expect(tried).toBe(3);
  });
});

describe('a wrong kernel', () => {
  const wrong = (source: string) => source.replace('var v = params.alpha * sum', 'var v = 1.01 * params.alpha * sum');

  it('is switched off with a reason, and another one is chosen', async () => {
    const gpu = asGpu(device);
    const { family, kernel } = planted(matmulFamily, 0, wrong);
    const chosen = await choose(gpu, family, sizes, []);
    expect(chosen.key).not.toBe(kernel.key);
    expect(gpu.switchedOff.get(kernel.key)).toMatch(/^y is off by (9\.\d|1\.0)e-[23] of its largest number, allowed are 0\.00001$/);
  });

  it('that does not compile is switched off too', async () => {
    const gpu = asGpu(device);
    const { family, kernel } = planted(matmulFamily, 0, (source) => source.replace('var sum', 'let sum'));
    expect(await passes(gpu, family, kernel, sizes)).toBe(false);
    expect(gpu.switchedOff.get(kernel.key)).toContain('does not run:');
  });

  it('gives way to the plain one where all are wrong', async () => {
    const gpu = asGpu(device);
    const { family, kernel } = planted(matmulFamily, 0, wrong);
    const chosen = await choose(gpu, { ...family, candidates: () => [kernel] }, sizes, []);
    expect(chosen.name).toBe('matmul/direct');
  });
});

it('outcomes are kept by device and version', async () => {
  const kept = new Map<string, string>();
  const gpu = asGpu(device, { get: (key) => kept.get(key), set: (key, value) => void kept.set(key, value) });
  const kernel = matmulFamily.candidates(gpu.profile, sizes)[0] as Kernel;
  expect(await passes(gpu, matmulFamily, kernel, sizes)).toBe(true);
  const [key] = [...kept.keys()];
  expect(key).toContain(kernel.key);
  kept.set(key as string, 'y is off');
  const again = asGpu(device, gpu.tuneStore as TuneStore);
  expect(await passes(again, matmulFamily, kernel, sizes)).toBe(false);
  expect(again.switchedOff.get(kernel.key)).toBe('y is off');
});

it('software adapters are not asked', async () => {
  const graph = new Graph();
  graph.record(() => matmul(tensor('a', [4, 4], 'param'), tensor('b', [4, 4], 'param')));
  const { family, params } = graph.commands[0] as (typeof graph.commands)[0];
  const before = device.gates.size;
  const software = Object.assign(Object.create(device) as Device, { profile: { ...device.profile, software: true } });
  expect(await passes(software, family, family.candidates(PROFILES[1] as NonNullable<typeof GPU>, params)[0] as Kernel, params)).toBe(true);
  expect(device.gates.size).toBe(before);
});
