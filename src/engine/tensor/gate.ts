// Start-up gates: before a fast kernel runs on a device for the first time it is tried there on random numbers against the family's
// plain kernel. One that gives other numbers, or does not compile, is switched off with a note; the outcome is kept by device and version.
import { normal } from '../../util/random';
import type { Device } from '../gpu/device';
import { type Kernel, type ParamValues, paramBlock } from '../gpu/kernel';
import type { Family } from './family';

/** What one binding holds in a trial. */
export interface TrialBinding {
  readonly elements: number;
  /** Normal numbers, halves of such, or whole numbers by index. */
  readonly fill: 'normal' | 'halves' | ((i: number) => number);
}
/** A small piece of work for all kernels of a family, with sizes that are even with no tile. */
export interface Trial {
  readonly params: ParamValues;
  /** By name; what is written starts as zeros. */
  readonly bindings: Readonly<Record<string, TrialBinding>>;
  /** Largest difference allowed, as a share of the plain kernel's largest number. */
  readonly tolerance: number;
}

/** Bumped when kernels change so that what was tried no longer counts. */
const VERSION = 1;
export const PASSED = 'passed';

/** Whether `kernel` may run on this device. The plain kernel of a family always may; so may kernels whose family has no trial. */
export async function passes(device: Device, family: Family, kernel: Kernel, params: ParamValues): Promise<boolean> {
  // Software adapters run what the tests run.
  if (device.profile.software) return true;
  const outcome = await tried(device, family, kernel, params);
  return outcome === null || outcome === PASSED;
}

/** What came of a kernel's trial on this device: 'passed', or what was wrong; null where there is none, for the plain kernel itself among others. */
export async function tried(device: Device, family: Family, kernel: Kernel, params: ParamValues): Promise<string | null> {
  const plain = family.plain?.(params);
  if (!plain || !family.trial || plain.key === kernel.key) return null;
  const trial = family.trial(params, kernel);
  // What the sizes of the work do not change is what a kernel may get wrong in its own way: turned operands, joined sums, heads.
  const key = `gate v${VERSION} ${device.profile.id} ${kernel.key} ${Object.entries(trial.params).map(([name, value]) => `${name}${value}`).join(' ')}`;
  let known = device.gates.get(key);
  if (!known) {
    known = outcomeOf(device, key, plain, kernel, trial);
    device.gates.set(key, known);
  }
  const outcome = await known;
  if (outcome !== PASSED) device.switchedOff.set(kernel.key, outcome);
  return outcome;
}

async function outcomeOf(device: Device, key: string, plain: Kernel, kernel: Kernel, trial: Trial): Promise<string> {
  const kept = device.tuneStore?.get(key);
  if (kept) return kept;
  const outcome = await tryOut(device, plain, kernel, trial);
  device.tuneStore?.set(key, outcome);
  return outcome;
}

async function tryOut(device: Device, plain: Kernel, kernel: Kernel, trial: Trial): Promise<string> {
  const wanted = await run(device, plain, trial);
  let got: Map<string, Float32Array>;
  try {
    got = await run(device, kernel, trial);
  } catch (error) {
    return `does not run: ${(error as Error).message.split('\n')[0]}`;
  }
  for (const [name, values] of wanted) {
    const scale = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    const other = got.get(name) as Float32Array;
    let worst = 0;
    // Written so that NaN is the worst.
    values.forEach((x, i) => { const off = Math.abs(x - (other[i] as number)); if (!(off <= worst)) worst = Number.isNaN(off) ? Number.POSITIVE_INFINITY : off; });
    if (!(worst <= trial.tolerance * scale)) return `${name} is off by ${(worst / scale).toExponential(1)} of its largest number, allowed are ${trial.tolerance}`;
  }
  return PASSED;
}

/** What the kernel writes, by binding. */
async function run(device: Device, kernel: Kernel, { params, bindings }: Trial): Promise<Map<string, Float32Array>> {
  const { gpu } = device;
  const { pipeline, tensors: layout } = await device.pipeline(kernel);
  const names = kernel.reflection.bindings;
  const buffers = names.map(({ name }) => device.allocate(4 * (bindings[name]?.elements ?? 1), `trial ${name}`));
  const uniform = gpu.createBuffer({ size: 256, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  const step = gpu.createBuffer({ size: 32, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  try {
    names.forEach(({ name, access }, slot) => { if (access === 'read') gpu.queue.writeBuffer(buffers[slot] as GPUBuffer, 0, numbers(bindings[name], slot)); });
    gpu.queue.writeBuffer(uniform, 0, paramBlock(kernel.reflection, params));
    const encoder = gpu.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, gpu.createBindGroup({ layout, entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })) }));
    pass.setBindGroup(1, gpu.createBindGroup({ layout: device.groupLayouts.params, entries: [{ binding: 0, resource: { buffer: uniform, size: 256 } }] }));
    pass.setBindGroup(2, gpu.createBindGroup({ layout: device.groupLayouts.step, entries: [{ binding: 0, resource: { buffer: step } }] }));
    const [x, y = 1, z = 1] = kernel.grid(params);
    pass.dispatchWorkgroups(x, y, z);
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    const written = new Map<string, Float32Array>();
    for (const [slot, { name, access }] of names.entries()) {
      if (access === 'read_write') written.set(name, new Float32Array(await device.read({ buffer: buffers[slot] as GPUBuffer, offset: 0, size: (buffers[slot] as GPUBuffer).size })).slice(0, bindings[name]?.elements ?? 1));
    }
    return written;
  } finally {
    for (const buffer of buffers) device.release(buffer);
    uniform.destroy();
    step.destroy();
  }
}

/** Pairs of halves that are exact in f16. */
const halvesAt = (i: number) => [0x3e00be00, 0x3800ba00, 0xb5003c00, 0x4000b400][(i * 7 + (i >> 3)) % 4] as number;

function numbers(binding: TrialBinding | undefined, slot: number): Float32Array | Uint32Array {
  const { elements, fill } = binding ?? { elements: 1, fill: 'normal' as const };
  if (fill === 'normal') return Float32Array.from({ length: elements }, (_, i) => normal(17, slot, i));
  if (fill === 'halves') return Uint32Array.from({ length: elements }, (_, i) => halvesAt(i));
  return Uint32Array.from({ length: elements }, (_, i) => fill(i));
}
