// How long one kernel takes on given buffers: many dispatches in one pass, so that neither submitting nor the coarse clock counts.
import type { Device, Slice } from './device';
import { type Kernel, type ParamValues, paramBlock } from './kernel';

export interface Timing {
  /** Milliseconds a dispatch, the median of the passes. */
  readonly ms: number;
  /** Slowest minus fastest pass, as a share of the median. */
  readonly spread: number;
  readonly timed: 'timestamps' | 'wall clock';
}

/** A pass is this long, so that Dawn's 65 µs steps of the clock and the cost of waiting stay below a hundredth. */
const PASS_MS = 15;

/** Times `kernel` over `passes` passes. What it writes is overwritten again and again. */
export async function timeKernel(device: Device, kernel: Kernel, params: ParamValues, slices: readonly Slice[], passes = 5): Promise<Timing> {
  const { gpu } = device;
  const { pipeline, tensors } = await device.pipeline(kernel);
  const [block, scalars] = [uniform(device, 256), uniform(device, 32)];
  gpu.queue.writeBuffer(block, 0, paramBlock(kernel.reflection, params));
  // Step 1, seed 1, then the rate and the bias corrections: what AdamW divides by must not be zero.
  gpu.queue.writeBuffer(scalars, 0, new Uint32Array([1, 1]));
  gpu.queue.writeBuffer(scalars, 8, new Float32Array([1e-4, 1, 1]));
  const groups = [
    gpu.createBindGroup({ layout: tensors, entries: slices.map(({ buffer, offset, size }, binding) => ({ binding, resource: { buffer, offset, size } })) }),
    gpu.createBindGroup({ layout: device.groupLayouts.params, entries: [{ binding: 0, resource: { buffer: block, size: 256 } }] }),
    gpu.createBindGroup({ layout: device.groupLayouts.step, entries: [{ binding: 0, resource: { buffer: scalars } }] }),
  ] as const;
  const [x, y = 1, z = 1] = kernel.grid(params);
  // A software adapter's timestamps say when its thread got to them, which is no better than our own clock.
  const clock = !device.profile.software && gpu.features.has('timestamp-query') ? new PassClock(device) : null;

  const pass = async (repeats: number): Promise<number> => {
    const encoder = gpu.createCommandEncoder();
    const run = encoder.beginComputePass(clock?.descriptor);
    run.setPipeline(pipeline);
    run.setBindGroup(0, groups[0]);
    run.setBindGroup(1, groups[1]);
    run.setBindGroup(2, groups[2]);
    for (let i = 0; i < repeats; i++) run.dispatchWorkgroups(x, y, z);
    run.end();
    clock?.resolve(encoder);
    const commands = encoder.finish();
    const start = performance.now();
    gpu.queue.submit([commands]);
    await device.idle();
    return clock ? clock.milliseconds() : performance.now() - start;
  };
  await pass(1); // drivers compile on first use
  const start = performance.now();
  await pass(1);
  const repeats = Math.max(1, Math.min(2000, Math.round(PASS_MS / (performance.now() - start))));
  // The waiting counted in that guess: a short kernel is guessed again from a full pass.
  const enough = repeats === 1 ? 1 : Math.max(1, Math.min(2000, Math.round((PASS_MS * repeats) / Math.max(await pass(repeats), 0.1))));
  const times: number[] = [];
  for (let i = 0; i < passes; i++) times.push((await pass(enough)) / enough);
  times.sort((a, b) => a - b);
  block.destroy();
  scalars.destroy();
  clock?.destroy();
  const ms = times[Math.floor(passes / 2)] as number;
  return { ms, spread: ((times.at(-1) as number) - (times[0] as number)) / ms, timed: clock ? 'timestamps' : 'wall clock' };
}

const uniform = ({ gpu }: Device, size: number) => gpu.createBuffer({ size, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });

/** Timestamps at both ends of a pass. */
class PassClock {
  readonly descriptor: GPUComputePassDescriptor;
  private readonly queries: GPUQuerySet;
  private readonly resolved: GPUBuffer;

  constructor(private readonly device: Device) {
    const { gpu } = device;
    this.queries = gpu.createQuerySet({ type: 'timestamp', count: 2 });
    this.resolved = gpu.createBuffer({ size: 16, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC });
    this.descriptor = { timestampWrites: { querySet: this.queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } };
  }

  resolve(encoder: GPUCommandEncoder): void {
    encoder.resolveQuerySet(this.queries, 0, 2, this.resolved, 0);
  }

  async milliseconds(): Promise<number> {
    const [begin = 0n, end = 0n] = new BigUint64Array(await this.device.read({ buffer: this.resolved, offset: 0, size: 16 }));
    return Number(end - begin) / 1e6;
  }

  destroy(): void {
    this.queries.destroy();
    this.resolved.destroy();
  }
}
