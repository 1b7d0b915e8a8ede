// A compiled recording: buffers, pipelines, bind groups and uniforms are all made once; a run writes its inputs, encodes one
// command buffer with one compute pass, submits it, and never waits.
import { StudioError } from '../../util/errors';
import { type Device, type Pipeline, type Slice, roundUp } from '../gpu/device';
import { type Kernel, PARAM_BLOCK, type ParamValues, paramBlock } from '../gpu/kernel';
import type { Reflection } from '../gpu/wgsl';
import { choose } from './autotune';
import type { Command, Graph } from './graph';
import { readBytes, sliceOf, write } from './memory';
import { type MemoryPlan, plan } from './planner';
import type { Recompute } from './recompute';
import { type HostData, type Tensor, describe, elements, rootOf } from './tensor';

/** The step block of common/step.wgsl. `bias1`, `bias2`: 1 − βᵗ of Adam, computed in double precision by the host. */
export interface StepScalars {
  readonly step: number;
  readonly seed: number;
  readonly lr: number;
  readonly bias1: number;
  readonly bias2: number;
}

export interface CompileOptions {
  /** Tensors to be read after a run. */
  readonly keep?: readonly Tensor[];
  /** Step tensors that are to be computed right into a slice of a lasting buffer: gradients into their arena. */
  readonly place?: ReadonlyMap<Tensor, Slice>;
  /** false gives every step tensor a buffer of its own: the planner's test. */
  readonly share?: boolean;
  /** What is computed twice instead of being kept; default 'cheap'. */
  readonly recompute?: Recompute;
  readonly progress?: (done: number, total: number) => void;
  /** Overrides the choice of kernel: tests and benches. */
  readonly kernels?: (command: Command) => Kernel;
}

interface Dispatch {
  readonly kernel: Kernel;
  readonly pipeline: GPUComputePipeline;
  readonly bindings: GPUBindGroup;
  readonly params: GPUBindGroup;
  readonly grid: readonly [number, number, number];
}

/** A kernel over certain sizes and where its tensors stand, `count` times in the step. */
export interface Work {
  readonly kernel: Kernel;
  readonly command: Command;
  readonly slices: readonly Slice[];
  count: number;
}

/** Dispatches handed over first, and at most at a time: the GPU starts early, and never waits for the next part to be encoded. */
const SUBMIT = { first: 32, most: 256 };
/** Ends of the parts in which so many dispatches are submitted. */
export function partsOf(dispatches: number): number[] {
  const ends: number[] = [];
  for (let end = 0, size = SUBMIT.first; end < dispatches || ends.length === 0; size = Math.min(2 * size, SUBMIT.most)) {
    end = Math.min(end + size, dispatches);
    ends.push(end);
  }
  return ends;
}

export async function compile(device: Device, graph: Graph, options: CompileOptions = {}): Promise<Step> {
  const place = new Map<Tensor, Slice>();
  for (const [t, slice] of options.place ?? []) {
    if (place.has(rootOf(t))) throw new StudioError(`${describe(t)} is placed twice: a view and the tensor behind it are the same numbers`, 'Give one of them a copy.');
    place.set(rootOf(t), slice);
  }
  const memory = plan(graph.commands, (options.keep ?? []).map(rootOf), [...place.keys()], options);
  const kernels: Kernel[] = [];
  for (const [i, command] of memory.commands.entries()) {
    kernels.push(options.kernels?.(command) ?? (await choose(device, command.family, command.params, command.tensors)));
    options.progress?.(i + 1, memory.commands.length);
  }
  const pipelines = await Promise.all(kernels.map((kernel) => device.pipeline(kernel)));
  return new Step(device, memory, pipelines, place);
}

export class Step {
  readonly cost: { readonly dispatches: number; readonly bytes: number; readonly flops: number };
  private readonly dispatches: Dispatch[] = [];
  private readonly parts: readonly number[];
  private readonly buffers: GPUBuffer[];
  private readonly stepBlock: GPUBuffer;
  private readonly paramBlock: GPUBuffer;
  private readonly stepGroup: GPUBindGroup;

  constructor(private readonly device: Device, private readonly memory: MemoryPlan, pipelines: readonly Pipeline[], private readonly place: ReadonlyMap<Tensor, Slice>) {
    const { gpu } = device;
    this.cost = { dispatches: memory.commands.length, bytes: memory.bytes, flops: memory.commands.reduce((sum, c) => sum + c.flops, 0) };
    this.parts = partsOf(memory.commands.length);
    this.buffers = memory.sizes.map((size, i) => device.allocate(size, `step buffer ${i}`));

    const { offsets, data } = packParams(memory.commands.map((command, i) => ({ values: command.params, reflection: (pipelines[i] as Pipeline).kernel.reflection })));
    this.paramBlock = gpu.createBuffer({ label: 'params', size: data.byteLength, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    gpu.queue.writeBuffer(this.paramBlock, 0, data);
    // A bind group a block: dynamic offsets cost more to encode.
    const params = Array.from({ length: data.byteLength / PARAM_BLOCK }, (_, i) =>
      gpu.createBindGroup({ layout: device.groupLayouts.params, entries: [{ binding: 0, resource: { buffer: this.paramBlock, offset: i * PARAM_BLOCK, size: PARAM_BLOCK } }] }));
    this.stepBlock = gpu.createBuffer({ label: 'step scalars', size: 32, usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST });
    this.stepGroup = gpu.createBindGroup({ layout: device.groupLayouts.step, entries: [{ binding: 0, resource: { buffer: this.stepBlock } }] });

    const groups = new Map<string, GPUBindGroup>();
    const bufferIds = new Map<GPUBuffer, number>();
    const numberOf = (buffer: GPUBuffer) => {
      if (!bufferIds.has(buffer)) bufferIds.set(buffer, bufferIds.size);
      return bufferIds.get(buffer);
    };
    memory.commands.forEach((command, i) => {
      const { kernel, tensors, pipeline } = pipelines[i] as Pipeline;
      const slices = command.tensors.map((t) => this.locate(t));
      checkWrites(command, slices);
      const key = [kernel.key, ...slices.map((s) => `${numberOf(s.buffer)}:${s.offset}:${s.size}`)].join('|');
      let bindings = groups.get(key);
      if (!bindings) {
        bindings = gpu.createBindGroup({ label: kernel.key, layout: tensors, entries: slices.map(({ buffer, offset, size }, slot) => ({ binding: slot, resource: { buffer, offset, size } })) });
        groups.set(key, bindings);
      }
      const [x, y = 1, z = 1] = kernel.grid(command.params);
      this.dispatches.push({ kernel, pipeline, bindings, params: params[offsets[i] as number] as GPUBindGroup, grid: [x, y, z] });
    });
  }

  /** Writes inputs and scalars, encodes and submits, in parts so that the GPU starts on the first while the next is encoded. `after` may add copies behind the last. */
  run(inputs: ReadonlyMap<Tensor, HostData> | null = null, scalars: Partial<StepScalars> = {}, after?: (encoder: GPUCommandEncoder) => void): void {
    const { device } = this;
    device.check();
    if (inputs) for (const [t, data] of inputs) write(device, t, data);
    const block = new ArrayBuffer(32);
    new Uint32Array(block).set([scalars.step ?? 1, scalars.seed ?? 0]);
    new Float32Array(block).set([scalars.lr ?? 0, scalars.bias1 ?? 1, scalars.bias2 ?? 1], 2);
    device.gpu.queue.writeBuffer(this.stepBlock, 0, block);

    this.parts.forEach((end, i) => {
      const encoder = device.gpu.createCommandEncoder();
      this.encode(encoder, this.parts[i - 1] ?? 0, end);
      if (end === this.dispatches.length) after?.(encoder);
      device.gpu.queue.submit([encoder.finish()]);
    });
  }

  private encode(encoder: GPUCommandEncoder, start: number, end: number): void {
    const pass = encoder.beginComputePass();
    pass.setBindGroup(2, this.stepGroup);
    let pipeline: GPUComputePipeline | null = null;
    let params: GPUBindGroup | null = null;
    for (let i = start; i < end; i++) {
      const d = this.dispatches[i] as Dispatch;
      if (d.pipeline !== pipeline) {
        pipeline = d.pipeline;
        pass.setPipeline(pipeline);
      }
      pass.setBindGroup(0, d.bindings);
      if (d.params !== params) {
        params = d.params;
        pass.setBindGroup(1, params);
      }
      pass.dispatchWorkgroups(d.grid[0], d.grid[1], d.grid[2]);
    }
    pass.end();
  }

  /** What the step does, each kernel over the same sizes once, with how often: for timing one by one. */
  works(): Work[] {
    const found = new Map<string, Work>();
    this.dispatches.forEach(({ kernel }, i) => {
      const command = this.memory.commands[i] as Command;
      const key = [kernel.key, ...Object.values(command.params), ...command.tensors.map((t) => t.shape.join())].join(' ');
      const work = found.get(key);
      if (work) work.count++;
      else found.set(key, { kernel, command, slices: command.tensors.map((t) => this.locate(t)), count: 1 });
    });
    return [...found.values()];
  }

  /** The numbers of a kept or lasting tensor after the runs submitted so far. */
  async read(t: Tensor): Promise<Float32Array> {
    return new Float32Array(await readBytes(this.device, t, this.slice(t)));
  }

  /** Where a kept or lasting tensor stands. */
  slice(t: Tensor): Slice {
    if (rootOf(t).life === 'step' && !this.memory.kept.has(rootOf(t).id)) throw new StudioError(`${describe(t)} was not kept: another tensor may have its buffer by now`, 'Pass it in `keep` when the graph is compiled.');
    return this.locate(t);
  }

  private locate(tensor: Tensor): Slice {
    const t = rootOf(tensor);
    const placed = this.place.get(t);
    if (placed) return placed;
    if (t.life !== 'step') return sliceOf(this.device, t);
    const buffer = this.buffers[this.memory.buffers.get(t.id) ?? -1];
    if (!buffer) throw new StudioError(`${describe(t)} is not part of this step`, 'Pass it in `keep` when the graph is compiled.');
    return { buffer, offset: 0, size: roundUp(4 * elements(t), 16) };
  }

  dispose(): void {
    for (const buffer of this.buffers) this.device.release(buffer);
    this.paramBlock.destroy();
    this.stepBlock.destroy();
  }
}

/** WebGPU refuses a buffer that one dispatch writes and reads, even where the ranges do not touch, and ranges written twice. */
function checkWrites({ family, tensors }: Command, slices: readonly Slice[]): void {
  family.reflection.bindings.forEach(({ access }, i) => {
    const mine = slices[i] as Slice;
    const clash = (s: Slice, j: number) => j !== i && s.buffer === mine.buffer && (family.reflection.bindings[j]?.access === 'read' || (s.offset < mine.offset + mine.size && mine.offset < s.offset + s.size));
    const other = access === 'read_write' ? slices.findIndex(clash) : -1;
    if (other >= 0) throw new StudioError(`${family.name}: ${describe(tensors[i] as Tensor)} is written into the buffer in which ${describe(tensors[other] as Tensor)} stands`, 'Compute one of them elsewhere and copy it.');
  });
}

/** Every command's Params in one uniform buffer, 256 bytes a block; equal blocks are stored once. */
function packParams(commands: readonly { values: ParamValues; reflection: Reflection }[]): { offsets: number[]; data: ArrayBuffer } {
  const blocks = new Map<string, number>();
  const packed: ArrayBuffer[] = [];
  const offsets = commands.map(({ values, reflection }) => {
    const block = paramBlock(reflection, values);
    const key = new Uint32Array(block).join();
    let number = blocks.get(key);
    if (number === undefined) {
      number = packed.length;
      blocks.set(key, number);
      packed.push(block);
    }
    return number;
  });
  const data = new Uint8Array(Math.max(packed.length, 1) * PARAM_BLOCK);
  packed.forEach((block, i) => data.set(new Uint8Array(block), i * PARAM_BLOCK));
  return { offsets, data: data.buffer };
}
