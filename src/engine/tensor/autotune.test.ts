// The choice of kernel: measured once a device, family and size class, remembered, and never measured without a store.
import { beforeAll, describe, expect, it } from 'vitest';
import { Device, type TuneStore } from '../gpu/device';
import { openNodeGpu } from '../../cli/node-gpu';
import { matmul, matmulFamily } from '../ops/matmul';
import { choose, tuneKey } from './autotune';
import { Graph } from './graph';
import { tensor } from './tensor';

/** A store that counts. */
class Memory implements TuneStore {
  readonly kept = new Map<string, string>();
  get(key: string): string | undefined {
    return this.kept.get(key);
  }
  set(key: string, value: string): void {
    this.kept.set(key, value);
  }
}

let device: Device;
beforeAll(async () => {
  // A device of its own: the shared one has no store, and stays so.
  device = await Device.open((await openNodeGpu()).gpu);
});

function product(m: number, n: number, k: number) {
  const graph = new Graph();
  graph.record(() => matmul(tensor('a', [m, k], 'input'), tensor('b', [k, n], 'input')));
  const { params, tensors } = graph.commands[0] as Graph['commands'][number];
  return { params, tensors, choose: () => choose(device, matmulFamily, params, tensors), candidates: matmulFamily.candidates(device.profile, params) };
}

describe('choose', () => {
  it('takes the first candidate where nothing is kept, and measures nothing', async () => {
    device.tuneStore = null;
    const { choose: chosen, candidates } = product(32, 32, 32);
    const before = device.pipelineCount;
    expect(await chosen()).toBe(candidates[0]);
    expect(device.pipelineCount).toBe(before);
  });

  it('measures once, and gives back what it took', async () => {
    const store = new Memory();
    device.tuneStore = store;
    const { choose: chosen, candidates } = product(32, 32, 32);
    const bytes = device.bytes;
    const first = await chosen();
    expect(candidates).toContain(first);
    expect(device.bytes).toBe(bytes);
    expect([...store.kept.values()]).toEqual([first.key]);
    const before = device.pipelineCount;
    expect(await chosen()).toBe(first);
    expect([store.kept.size, device.pipelineCount]).toEqual([1, before]);
  });

  it('goes by what is kept, and measures again where that is no candidate any more', async () => {
    const store = new Memory();
    device.tuneStore = store;
    const { choose: chosen, candidates } = product(32, 32, 32);
    await chosen();
    const key = [...store.kept.keys()][0] as string;
    const last = candidates.at(-1) as (typeof candidates)[number];
    store.set(key, last.key);
    expect(await chosen()).toBe(last);
    store.set(key, 'matmul/of_last_year');
    expect(candidates).toContain(await chosen());
    expect([...store.kept.values()]).not.toContain('matmul/of_last_year');
  });

  it('keeps sizes apart that suit different kernels, though they are of one class', async () => {
    const store = new Memory();
    device.tuneStore = store;
    await product(64, 64, 64).choose();
    await product(64, 64, 63).choose();
    expect(store.kept.size).toBe(device.profile.software ? 2 : 1);
  });
});

describe('size classes', () => {
  it('are powers of two above 16, and single below', () => {
    const key = (m: number) => tuneKey(device, matmulFamily, { ...product(m, 32, 32).params });
    expect(key(100)).toBe(key(128));
    expect(key(100)).not.toBe(key(200));
    expect(key(15)).not.toBe(key(16));
  });
});
