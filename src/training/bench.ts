// What the device panel measures on request: that kernels are right, and what one step of a setup costs. No run is touched.
import type { Device } from '../engine/gpu/device';
import { free, write } from '../engine/tensor/memory';
import { type SelfTestRow, selfTest } from '../engine/ops/self-test';
import { compile } from '../engine/tensor/step';
import { attach, detach, initialise } from './attach';
import type { KernelTime, StepTimes } from './card';
import type { RunConfig } from './config';
import type { BoundMethod } from './contract';
import type { LoadedModel } from './loaded';
import { groupSettings, recordTraining } from './step';

const WARM_UPS = 2;
const RUNS = 7;

/** Every matmul kernel that this device may use against a double-precision product. */
export const checkKernels = (device: Device): Promise<SelfTestRow[]> => selfTest(device);

/** Times whole training steps of a setup on throw-away parameters, then each dispatch by itself where the device has timestamps. */
export async function timeStep(device: Device, loaded: LoadedModel, bound: BoundMethod, { training, targets }: RunConfig, progress: (done: number, total: number) => void = () => {}): Promise<StepTimes> {
  const { batch, seq } = training;
  const attachment = attach(loaded.network, bound, targets);
  const recorded = recordTraining(loaded, bound, attachment, training);
  const { adamw, ring } = recorded;
  try {
    adamw.allocate(device, groupSettings(bound, training));
    ring.allocate(device);
    initialise(device, attachment.params, training.seed);
    const step = await compile(device, recorded.graph, { place: adamw.places(device, recorded.gradients) });
    try {
      const ids = Uint32Array.from({ length: batch * seq }, (_, i) => (i * 7919) % loaded.info.vocab);
      write(device, recorded.ids, ids);
      write(device, recorded.labels, Int32Array.from(ids));
      for (const scalar of recorded.scalars.values()) write(device, scalar, Float32Array.of(0));
      const times: number[] = [];
      for (let i = 1; i <= WARM_UPS + RUNS; i++) {
        const start = performance.now();
        step.run(null, { step: i, seed: training.seed, lr: training.lr, ...adamw.bias(i) });
        await device.idle();
        if (i > WARM_UPS) times.push(performance.now() - start);
        progress(i, WARM_UPS + RUNS);
      }
      times.sort((a, b) => a - b);
      const ms = times[Math.floor(times.length / 2)] as number;
      const rows = await step.profile();
      return {
        ms, msLeast: times[0] as number, runs: RUNS, tokensPerSecond: (1000 * batch * seq) / ms, gflops: step.cost.flops / ms / 1e6, dispatches: step.cost.dispatches,
        kernels: rows && byKernel(rows),
      };
    } finally {
      step.dispose();
    }
  } finally {
    adamw.dispose(device);
    ring.dispose(device);
    detach(device, attachment);
    for (const t of [recorded.ids, recorded.labels, ...recorded.scalars.values()]) free(device, t);
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
