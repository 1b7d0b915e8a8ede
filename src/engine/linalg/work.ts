// What the drivers share: matrices grouped by shape into stacks on the device, work cut into submissions of bounded length, and an end
// to everything allocated, also when a caller stops half-way.
import peakSource from '../../../shaders/linalg/peak.wgsl?raw';
import unitSource from '../../../shaders/linalg/unit.wgsl?raw';
import { DataError, ShapeError } from '../../util/errors';
import type { Device } from '../gpu/device';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import { rowFamily } from '../tensor/family';
import { Graph, dispatch } from '../tensor/graph';
import { allocate, free, readF32, sliceOf } from '../tensor/memory';
import { type Step, compile } from '../tensor/step';
import { type DType, type Shape, type Tensor, elements, tensor } from '../tensor/tensor';

/** One matrix to work on: a tensor [rows, columns] on the device, or numbers on the host, row-major. */
export type Source = Tensor | { readonly label: string; readonly shape: Shape; readonly data: Float32Array };

export interface DriverOptions {
  /** Called between submissions: matrices done so far, a fraction of the ones at work included, of all. */
  readonly progress?: ((done: number, total: number) => void) | undefined;
  /** Ends the work between two submissions, with the signal's reason as the error; what was allocated is given back. */
  readonly signal?: AbortSignal | undefined;
}

/** Bytes of one stack of matrices: keeps the four or five copies that a decomposition needs well below what devices have. */
const STACK_BYTES = 2 ** 27;
/** Operations of one submission, some tenths of a second on a slow GPU: drivers reset a device that is silent for two. */
const SUBMISSION_FLOPS = 5e9;

/** Matrices of one shape, and where they stand among the caller's. */
export interface Chunk {
  readonly rows: number;
  readonly columns: number;
  readonly sources: readonly Source[];
  readonly indices: readonly number[];
}

/** The matrices by shape, as many at a time as fit. Throws a ShapeError for what is no matrix. */
export function chunksOf(device: Device, what: string, matrices: readonly Source[]): Chunk[] {
  const groups = new Map<string, number[]>();
  matrices.forEach(({ label, shape }, i) => {
    if (shape.length !== 2) throw new ShapeError(`${what}: ${label} is no matrix: its shape is [${shape.join(', ')}]`, 'Give [rows, columns].');
    const key = shape.join('×');
    groups.set(key, [...(groups.get(key) ?? []), i]);
  });
  return [...groups.values()].flatMap((all) => {
    const [rows, columns] = (matrices[all[0] as number] as Source).shape as [number, number];
    const most = Math.max(1, Math.floor(Math.min(STACK_BYTES, device.largestBuffer) / (4 * rows * columns)));
    return Array.from({ length: ceilDiv(all.length, most) }, (_, i) => {
      const indices = all.slice(i * most, (i + 1) * most);
      return { rows, columns, indices, sources: indices.map((at) => matrices[at] as Source) };
    });
  });
}

const peakKernel = rowFamily((LANES, ROWS) => kernel('linalg/peak', peakSource, (p) => grid1d(ceilDiv(p.batch as number, ROWS)), { overrides: { LANES, ROWS } }));
const unitKernel = elementwise('linalg/unit', unitSource, 'total');

/** Lasting tensors and the submissions that fill them, for the time of one driver call. */
export class Work {
  private readonly tensors: Tensor[] = [];
  private steps: Step[] = [];
  constructor(readonly device: Device, private readonly options: DriverOptions) {}

  tensor(label: string, shape: Shape, dtype: DType = 'f32'): Tensor {
    const t = tensor(`linalg.${label}`, shape, 'param', dtype);
    allocate(this.device, t);
    this.tensors.push(t);
    return t;
  }

  /** Gives a tensor's memory back before the end. */
  release(t: Tensor): void {
    free(this.device, t);
  }

  /** Throws when the caller has given up. */
  checkIn(): void {
    this.options.signal?.throwIfAborted();
  }

  report(done: number, total: number): void {
    this.options.progress?.(done, total);
  }

  /** Records `build`, which must write lasting tensors only, as steps that can run again and again. */
  async prepare(build: () => void): Promise<Step[]> {
    const whole = new Graph();
    whole.record(build);
    const parts: Graph[] = [];
    let flops = Number.POSITIVE_INFINITY;
    for (const command of whole.commands) {
      if (flops + command.flops > SUBMISSION_FLOPS) {
        parts.push(new Graph());
        flops = 0;
      }
      (parts[parts.length - 1] as Graph).commands.push(command);
      flops += command.flops;
    }
    const steps: Step[] = [];
    for (const part of parts) {
      steps.push(await compile(this.device, part));
      this.steps.push(steps[steps.length - 1] as Step);
    }
    return steps;
  }

  async replay(steps: readonly Step[], each?: (share: number) => void): Promise<void> {
    for (const [i, step] of steps.entries()) {
      this.checkIn();
      step.run();
      await this.device.idle();
      each?.((i + 1) / steps.length);
    }
  }

  /** Records and runs once. */
  async perform(build: () => void, each?: (share: number) => void): Promise<void> {
    const steps = await this.prepare(build);
    await this.replay(steps, each);
    for (const step of steps) step.dispose();
    this.steps = this.steps.filter((step) => !steps.includes(step));
  }

  read(t: Tensor): Promise<Float32Array> {
    return readF32(this.device, t);
  }

  /**
   * The matrices of a chunk as a stack [count, rows, columns], each divided by a power of two so that its largest entry is in [1, 2), and
   * those powers [count]. Throws a DataError that names the matrix where a number is not finite.
   */
  async load(what: string, { rows, columns, sources }: Chunk): Promise<{ x: Tensor; scale: Tensor; powers: Float32Array }> {
    const x = this.tensor('matrices', [sources.length, rows, columns]);
    const scale = this.tensor('scale', [sources.length]);
    const { buffer, offset } = sliceOf(this.device, x);
    const bytes = 4 * rows * columns;
    const encoder = this.device.gpu.createCommandEncoder();
    sources.forEach((source, i) => {
      if ('data' in source) {
        if (source.data.length !== rows * columns) throw new ShapeError(`${what}: ${source.label} is [${rows}, ${columns}], but has ${source.data.length} numbers`);
        this.device.gpu.queue.writeBuffer(buffer, offset + i * bytes, source.data as GPUAllowSharedBufferSource);
      } else {
        const from = sliceOf(this.device, source);
        encoder.copyBufferToBuffer(from.buffer, from.offset, buffer, offset + i * bytes, bytes);
      }
    });
    this.device.gpu.queue.submit([encoder.finish()]);
    await this.perform(() => {
      dispatch(peakKernel, { x, scale }, { batch: sources.length, size: rows * columns }, elements(x));
      dispatch(unitKernel, { scale, x }, { total: elements(x), size: rows * columns }, elements(x));
    });
    const powers = await this.read(scale);
    const broken = powers.indexOf(0);
    if (broken >= 0) throw new DataError(`${what}: ${(sources[broken] as Source).label} holds a number that is not finite`, 'Look for NaN or infinity in the weights or gradients it was made of.');
    return { x, scale, powers };
  }

  end(): void {
    for (const step of this.steps) step.dispose();
    for (const t of this.tensors) free(this.device, t);
  }
}

/** Runs `each` on every chunk of the matrices; results come back in the caller's order. */
export async function drive<R>(device: Device, what: string, matrices: readonly Source[], options: DriverOptions, each: (work: Work, chunk: Chunk, report: (share: number) => void) => Promise<readonly R[]>): Promise<R[]> {
  const results = new Array<R>(matrices.length);
  let done = 0;
  for (const chunk of chunksOf(device, what, matrices)) {
    const work = new Work(device, options);
    try {
      work.checkIn();
      const found = await each(work, chunk, (share) => work.report(done + share * chunk.sources.length, matrices.length));
      chunk.indices.forEach((at, i) => { results[at] = found[i] as R; });
    } finally {
      work.end();
    }
    done += chunk.sources.length;
    options.progress?.(done, matrices.length);
  }
  return results;
}

/** Matrix i of a stack that was read back, as numbers of its own. */
export const matrixOf = (data: Float32Array, i: number, size: number): Float32Array => data.slice(i * size, (i + 1) * size);
