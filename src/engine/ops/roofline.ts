// What the device at hand can do at most, measured and not looked up: bytes a second by copying, operations a second by chains of
// multiply-adds. A kernel's share of this roofline (Williams et al. 2009) says how much is left to gain.
import copySource from '../../../shaders/probe/copy.wgsl?raw';
import fmaSource from '../../../shaders/probe/fma.wgsl?raw';
import fmaF16Source from '../../../shaders/probe/fma_f16.wgsl?raw';
import type { Device } from '../gpu/device';
import { type Kernel, ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { type Timing, timeKernel } from '../gpu/measure';
import type { Command } from '../tensor/graph';
import { type Tensor, byteLength } from '../tensor/tensor';

/** Bytes a millisecond, and floating-point operations a millisecond. */
export interface Limits {
  /** Read and written together, by a copy that fits in no cache. */
  readonly bytes: number;
  readonly f32: number;
  /** null where the device has no f16. Units that multiply whole matrices may be faster than this. */
  readonly f16: number | null;
}

const copyKernel = (EACH: number) => kernel('probe/copy', copySource, (p) => grid1d(ceilDiv(p.n as number, 64 * EACH)), { overrides: { EACH } });
const perInvocation = (p: Readonly<Record<string, number>>) => grid1d(ceilDiv(p.n as number, 64));
const copies = [copyKernel(1), copyKernel(8)];
const fmaF32 = kernel('probe/fma', fmaSource, perInvocation);
const fmaF16 = kernel('probe/fma_f16', fmaF16Source, perInvocation);

/** Operations of one round of an invocation: eight vectors of four, a product and a sum each. */
const ROUND = 8 * 4 * 2;

const known = new WeakMap<Device, Promise<Limits>>();

/** Measured once a device. */
export function limitsOf(device: Device): Promise<Limits> {
  let found = known.get(device);
  if (!found) {
    found = measure(device);
    known.set(device, found);
  }
  return found;
}

async function measure(device: Device): Promise<Limits> {
  const { software } = device.profile;
  const bytes = Math.min(software ? 2 ** 26 : 2 ** 29, device.largestBuffer);
  const [from, to] = [device.allocate(bytes, 'roofline'), device.allocate(bytes, 'roofline')];
  const slices = [from, to].map((buffer) => ({ buffer, offset: 0, size: buffer.size }));
  // Numbers that stay between 0 and 20 however long the chain is.
  device.gpu.queue.writeBuffer(from, 0, new Float32Array([0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1]));
  try {
    const copied: Timing[] = [];
    for (const copy of copies) copied.push(await timeKernel(device, copy, { n: bytes / 16 }, slices));
    const [n, rounds] = software ? [4096, 512] : [2 ** 21, 1024];
    const rate = ({ ms }: Timing) => (n * rounds * ROUND) / ms;
    const chain = (which: Kernel) => timeKernel(device, which, { n, rounds }, slices);
    return {
      bytes: (2 * bytes) / Math.min(...copied.map(({ ms }) => ms)),
      f32: rate(await chain(fmaF32)),
      f16: device.gpu.features.has('shader-f16') ? rate(await chain(fmaF16)) : null,
    };
  } finally {
    device.release(from);
    device.release(to);
  }
}

/** The larger of both shares, and what the kernel is nearer to being bound by. Above 1 where its numbers stay in a cache. */
export function rooflineShare({ bytes, f32 }: Limits, work: { flops: number; bytes: number; ms: number }): { share: number; bound: 'compute' | 'memory' } {
  const [computed, moved] = [work.flops / work.ms / f32, work.bytes / work.ms / bytes];
  return computed > moved ? { share: computed, bound: 'compute' } : { share: moved, bound: 'memory' };
}

/** Bytes that must move at the least: every tensor once, AdamW's state in and out. */
export function trafficOf({ family, tensors }: Command): number {
  const once = [...new Set(tensors)].reduce((sum, t) => sum + byteLength(t), 0);
  return family.name === 'optim/adamw' ? once + 3 * byteLength(tensors.at(-1) as Tensor) : once;
}
