// Picks a kernel of a family by measurement: the candidates run on scratch buffers of the real sizes, and the fastest is kept
// under (device, family, size class). All variants of a family add up in the same order, so a choice never changes a result.
import type { Device, KernelChoice } from '../gpu/device';
import { type Kernel, type ParamValues, paramBlock } from '../gpu/kernel';
import type { Family } from './family';
import { passes } from './gate';
import { type Tensor, byteLength } from './tensor';

/** Bumped when kernels change so that old measurements no longer count. */
const VERSION = 3;
/** Each candidate runs this many times for about this long. */
const ROUNDS = 3;
const ROUND_MS = 6;

/** Sizes fall into classes of a factor of two; what is small enough counts alone. */
const sizeClass = (value: number) => (value <= 16 ? String(value) : `2^${Math.round(Math.log2(value))}`);

export function tuneKey(device: Device, family: Family, params: ParamValues): string {
  const sizes = family.reflection.params.filter((p) => p.type === 'u32').map((p) => `${p.name}${sizeClass(params[p.name] as number)}`);
  return `v${VERSION} ${device.profile.id} ${family.name} ${sizes.join(' ')}`;
}

export async function choose(device: Device, family: Family, params: ParamValues, tensors: readonly Tensor[]): Promise<Kernel> {
  const proven: Kernel[] = [];
  for (const kernel of family.candidates(device.profile, params)) if (await passes(device, family, kernel, params)) proven.push(kernel);
  // All fast ones failed their trials: the plain one is slow and right.
  const candidates = proven.length > 0 ? proven : [family.plain?.(params) ?? (family.candidates(device.profile, params)[0] as Kernel)];
  const first = candidates[0] as Kernel;
  const note = (kernel: Kernel, reason: KernelChoice['reason'], times: KernelChoice['times'] = []) => {
    const sizes = family.reflection.params.filter((p) => p.type === 'u32').map((p) => `${p.name} ${params[p.name]}`).join(' ');
    device.choices.set(`${family.name} ${sizes}`, { family: family.name, sizes, kernel: kernel.key, reason, times });
    return kernel;
  };
  if (candidates.length === 1 || !device.tuneStore) return note(first, 'only');
  // With the first candidate, since sizes of one class may differ in what suits them: multiples of four.
  const key = `${tuneKey(device, family, params)} ${first.key}`;
  const kept = device.tuneStore.get(key);
  const known = kept && candidates.find((kernel) => kernel.key === kept);
  if (known) return note(known, 'kept');
  const times: KernelChoice['times'] = [];
  const fastest = await measure(device, candidates, params, tensors, times);
  device.tuneStore.set(key, fastest.key);
  return note(fastest, 'measured', times);
}

async function measure(device: Device, candidates: readonly Kernel[], params: ParamValues, tensors: readonly Tensor[], times: KernelChoice['times']): Promise<Kernel> {
  const { gpu } = device;
  const buffers = tensors.map((t) => device.allocate(byteLength(t), 'autotune'));
  const uniform = gpu.createBuffer({ size: 256, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  const step = gpu.createBuffer({ size: 32, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
  const paramsGroup = gpu.createBindGroup({ layout: device.groupLayouts.params, entries: [{ binding: 0, resource: { buffer: uniform, size: 256 } }] });
  const stepGroup = gpu.createBindGroup({ layout: device.groupLayouts.step, entries: [{ binding: 0, resource: { buffer: step } }] });
  const clock = gpu.features.has('timestamp-query')
    ? { queries: gpu.createQuerySet({ type: 'timestamp', count: 2 }), times: gpu.createBuffer({ size: 16, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC }) }
    : null;
  const runs = await Promise.all(candidates.map(async (kernel) => {
    const { pipeline, tensors: layout } = await device.pipeline(kernel);
    gpu.queue.writeBuffer(uniform, 0, paramBlock(kernel.reflection, params));
    const group = gpu.createBindGroup({ layout, entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })) });
    const [x, y = 1, z = 1] = kernel.grid(params);
    const time = async (repeats: number) => {
      const encoder = gpu.createCommandEncoder();
      const pass = encoder.beginComputePass(clock ? { timestampWrites: { querySet: clock.queries, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 } } : {});
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      pass.setBindGroup(1, paramsGroup);
      pass.setBindGroup(2, stepGroup);
      for (let i = 0; i < repeats; i++) pass.dispatchWorkgroups(x, y, z);
      pass.end();
      if (clock) encoder.resolveQuerySet(clock.queries, 0, 2, clock.times, 0);
      const start = performance.now();
      gpu.queue.submit([encoder.finish()]);
      await device.idle();
      const waited = (performance.now() - start) / repeats;
      if (!clock) return waited;
      const [begin, end] = new BigUint64Array(await device.read({ buffer: clock.times, offset: 0, size: 16 })) as unknown as [bigint, bigint];
      // Browsers round their clocks: what they call nothing is told by waiting.
      return end > begin ? Number(end - begin) / 1e6 / repeats : waited;
    };
    return { kernel, time, least: Number.POSITIVE_INFINITY };
  }));
  // The first run also pays for lazy compilation in the driver, so it only counts where it is slow enough to rule a kernel out.
  let first = Number.POSITIVE_INFINITY;
  const warm: { run: (typeof runs)[number]; ms: number }[] = [];
  for (const run of runs) {
    const ms = await run.time(1);
    first = Math.min(first, ms);
    warm.push({ run, ms });
  }
  const contenders = warm.filter(({ ms }) => ms <= 4 * first + 20);
  // In turns, there and back: a GPU's clock rises while it works, which favours whoever comes last.
  for (let round = 0; round < ROUNDS; round++) {
    for (const { run, ms } of round % 2 ? [...contenders].reverse() : contenders) {
      // Waiting costs a fraction of a millisecond by itself, so short kernels run often.
      const repeats = Math.max(1, Math.min(device.profile.software ? 10 : 200, Math.round(ROUND_MS / Math.max(Math.min(ms, run.least), 0.02))));
      run.least = Math.min(run.least, await run.time(repeats));
    }
  }
  for (const { run } of contenders) times.push({ kernel: run.kernel.key, ms: run.least });
  const best = contenders.reduce((a, b) => (b.run.least < a.run.least ? b : a)).run.kernel;
  for (const buffer of buffers) device.release(buffer);
  uniform.destroy();
  clock?.queries.destroy();
  clock?.times.destroy();
  step.destroy();
  return best;
}
