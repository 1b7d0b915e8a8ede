// What the device panel measures on request: that kernels are right, and what one step of a setup costs. No run is touched.
import type { Dataset } from '../data/dataset';
import type { Device } from '../engine/gpu/device';
import { type Timing, timeKernel } from '../engine/gpu/measure';
import { type Limits, limitsOf, rooflineShare, trafficOf } from '../engine/ops/roofline';
import { type SelfTestRow, selfTest } from '../engine/ops/self-test';
import { type GateRow, tryKernels } from '../engine/ops/try-kernels';
import type { Step, Work } from '../engine/tensor/step';
import { selectSites } from './attach';
import type { KernelTime, StepTimes } from './card';
import type { RunConfig } from './config';
import type { BoundMethod } from './contract';
import { goLive, releaseNumbers, releaseStep } from './live';
import type { LoadedModel } from './loaded';
import { prepare } from './prepare';
import { hostInputs, unitsOf } from './task';

const WARM_UPS = 2;
const RUNS = 7;
/** Of a kernel by itself. */
const PASSES = 3;

/** Every matmul kernel that this device may use against a double-precision product; every fast kernel for usual work against its plain one. */
export async function checkKernels(device: Device): Promise<{ products: SelfTestRow[]; gates: GateRow[] }> {
  return { products: await selfTest(device), gates: await tryKernels(device) };
}

export interface Timed {
  readonly device: Device;
  readonly loaded: LoadedModel;
  readonly data: Dataset;
  readonly bound: BoundMethod;
  readonly config: RunConfig;
  readonly progress?: (done: number, total: number) => void;
}

/** Times whole training steps of a setup on throw-away parameters, then each kernel by itself, beside what the device can do. */
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
    const { dispatches, flops } = compiled.cost;
    const limits = await limitsOf(device);
    const parts = await timeParts(device, compiled, progress);
    return {
      ms, msLeast: times[0] as number, runs: RUNS, tokensPerSecond: (1000 * unitsOf(loaded, training)) / ms, gflops: flops / ms / 1e6, dispatches,
      kernels: byKernel(parts, limits), timed: parts[0]?.timed ?? 'wall clock', limits: { gbps: limits.bytes / 1e6, gflops: limits.f32 / 1e6 },
    };
  } finally {
    releaseStep(live);
    releaseNumbers(device, live, live.attachment);
  }
}

/** A kernel over certain sizes, timed by itself. */
export interface Part extends Work, Pick<Timing, 'timed'> {
  /** A dispatch. */
  readonly ms: number;
}

/** Times everything that a step does, each kernel over the same sizes once. What the step trains is overwritten. */
export async function timeParts(device: Device, step: Step, progress: (done: number, total: number) => void = () => {}): Promise<Part[]> {
  const works = step.works();
  const parts: Part[] = [];
  for (const work of works) {
    const { ms, timed } = await timeKernel(device, work.kernel, work.command.params, work.slices, PASSES);
    parts.push({ ...work, ms, timed });
    progress(parts.length, works.length);
  }
  return parts;
}

/** They look rows up in a table, or take columns out of one: how much they move is not told by the sizes of their tensors. */
const PARTLY = /embedding|slice_columns/;

function byKernel(parts: readonly Part[], limits: Limits): KernelTime[] {
  const groups = new Map<string, { count: number; ms: number; flops: number; bytes: number; whole: boolean }>();
  for (const { kernel, command, count, ms } of parts) {
    const group = groups.get(kernel.name) ?? { count: 0, ms: 0, flops: 0, bytes: 0, whole: true };
    const whole = group.whole && !PARTLY.test(command.family.name) && !kernel.source.includes('subgroup_matrix');
    groups.set(kernel.name, { count: group.count + count, ms: group.ms + count * ms, flops: group.flops + count * command.flops, bytes: group.bytes + count * trafficOf(command), whole });
  }
  return [...groups]
    .map(([kernel, { count, ms, flops, bytes, whole }]) => ({ kernel, count, ms, gflops: flops / ms / 1e6, ...(whole ? { roofline: rooflineShare(limits, { flops, bytes, ms }) } : {}) }))
    .sort((a, b) => b.ms - a.ms);
}
