// What the device panel measures on request: that kernels are right, and what one step of a setup costs. No run is touched.
import type { Dataset } from '../data/dataset';
import type { Device } from '../engine/gpu/device';
import { type SelfTestRow, selfTest } from '../engine/ops/self-test';
import { selectSites } from './attach';
import type { KernelTime, StepTimes } from './card';
import type { RunConfig } from './config';
import type { BoundMethod } from './contract';
import { goLive, releaseNumbers, releaseStep } from './live';
import type { LoadedModel } from './loaded';
import { prepare } from './prepare';
import { hostInputs } from './task';

const WARM_UPS = 2;
const RUNS = 7;

/** Every matmul kernel that this device may use against a double-precision product. */
export const checkKernels = (device: Device): Promise<SelfTestRow[]> => selfTest(device);

export interface Timed {
  readonly device: Device;
  readonly loaded: LoadedModel;
  readonly data: Dataset;
  readonly bound: BoundMethod;
  readonly config: RunConfig;
  readonly progress?: (done: number, total: number) => void;
}

/** Times whole training steps of a setup on throw-away parameters, then each dispatch by itself where the device has timestamps. */
export async function timeStep({ device, loaded, data, bound, config, progress = () => {} }: Timed): Promise<StepTimes> {
  const { training, targets } = config;
  const { shared, state } = await prepare(bound, selectSites(loaded.network, targets), { device, loaded, data, training });
  const live = await goLive({ device, loaded, bound, config }, { shared, state });
  const { compiled, adamw, inputs } = live;
  try {
    const times: number[] = [];
    for (let i = 1; i <= WARM_UPS + RUNS; i++) {
      const batch = data.batch(i - 1);
      const start = performance.now();
      compiled.run(hostInputs(inputs, batch), { step: i, seed: training.seed, lr: training.lr, ...adamw.bias(i) });
      await device.idle();
      if (i > WARM_UPS) times.push(performance.now() - start);
      progress(i, WARM_UPS + RUNS);
    }
    times.sort((a, b) => a - b);
    const ms = times[Math.floor(times.length / 2)] as number;
    const rows = await compiled.profile();
    const { dispatches, flops } = compiled.cost;
    return { ms, msLeast: times[0] as number, runs: RUNS, tokensPerSecond: (1000 * training.batch * training.seq) / ms, gflops: flops / ms / 1e6, dispatches, kernels: rows && byKernel(rows) };
  } finally {
    releaseStep(live);
    releaseNumbers(device, live, live.attachment);
  }
}

function byKernel(rows: readonly { family: string; flops: number; ms: number }[]): KernelTime[] {
  const groups = new Map<string, { count: number; ms: number; flops: number }>();
  for (const { family, ms, flops } of rows) {
    const group = groups.get(family) ?? { count: 0, ms: 0, flops: 0 };
    groups.set(family, { count: group.count + 1, ms: group.ms + ms, flops: group.flops + flops });
  }
  return [...groups].map(([kernel, { count, ms, flops }]) => ({ kernel, count, ms, gflops: flops / ms / 1e6 })).sort((a, b) => b.ms - a.ms);
}
