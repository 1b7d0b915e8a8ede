// AdamW over all trainable tensors in one kernel, with gradient clipping and a guard that keeps the last good state.
// Parameters, gradients and moments each stand in one arena (engine/tensor/memory.ts).
import adamwSource from '../../../shaders/optim/adamw.wgsl?raw';
import controlSource from '../../../shaders/optim/control.wgsl?raw';
import squaresSource from '../../../shaders/optim/sum_squares.wgsl?raw';
import type { Device } from '../gpu/device';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { rowFamily, single } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { ARENA_BLOCK, type Arena, allocateArena, free, freeArena, layout, write } from '../tensor/memory';
import { type Tensor, byteLength, elements, tensor } from '../tensor/tensor';

const squaresKernel = rowFamily((LANES, ROWS) => kernel('optim/sum_squares', squaresSource, (p) => grid1d(ceilDiv(p.parts as number, ROWS)), { overrides: { LANES, ROWS } }));
const controlKernel = single(kernel('optim/control', controlSource, () => [1]));
const adamwKernel = single(kernel('optim/adamw', adamwSource, (p) => grid1d(ceilDiv(p.n as number, 256))));

export interface AdamSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Largest global gradient norm; 0 = no clipping. */
  readonly clip: number;
}
export interface GroupSettings {
  readonly lrScale: number;
  readonly weightDecay: number;
}

export interface Trained {
  readonly tensor: Tensor;
  readonly group: string;
}

/** The trainable tensors of a run with their optimiser state. */
export class AdamW {
  /** Parameters, first and second moments, gradients. */
  readonly params: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  readonly gradients: Tensor;
  /** (norm, clip factor, go, halted) of the last step: shaders/optim/control.wgsl. */
  readonly control = tensor('control', [4], 'param');
  readonly blocks: Tensor;
  readonly groups: readonly string[];
  private readonly settings: Tensor;
  private readonly arenas: Arena[] = [];

  constructor(private readonly trained: readonly Trained[], readonly options: AdamSettings) {
    const { length } = layout(trained.map((t) => t.tensor));
    const flat = (name: string) => tensor(name, [length], 'param');
    [this.params, this.m, this.v, this.gradients] = [flat('parameters'), flat('adam.m'), flat('adam.v'), flat('gradients')];
    this.groups = [...new Set(trained.map((t) => t.group))];
    this.blocks = tensor('arena groups', [length / ARENA_BLOCK], 'param', 'u32');
    this.settings = tensor('group settings', [Math.max(1, this.groups.length), 2], 'param');
  }

  /** Bytes on the device: parameters, gradients, moments, tables. */
  get bytes(): { params: number; gradients: number; moments: number } {
    return { params: byteLength(this.params), gradients: byteLength(this.gradients) + byteLength(this.blocks), moments: byteLength(this.m) + byteLength(this.v) };
  }

  /** Allocates everything zeroed and writes the tables. The trained tensors get their slices of the parameter arena. */
  allocate(device: Device, settings: Readonly<Record<string, GroupSettings>>): void {
    this.arenas.push(allocateArena(device, this.params, this.trained.map((t) => t.tensor)));
    for (const flat of [this.m, this.v, this.gradients]) this.arenas.push(allocateArena(device, flat, []));
    const { starts } = layout(this.trained.map((t) => t.tensor));
    const blocks = new Uint32Array(elements(this.blocks));
    this.trained.forEach(({ tensor: t, group }, i) => {
      const first = (starts[i] as number) / ARENA_BLOCK;
      blocks.fill(this.groups.indexOf(group), first, first + Math.ceil(elements(t) / ARENA_BLOCK));
    });
    write(device, this.blocks, blocks);
    write(device, this.settings, Float32Array.from(this.groups.flatMap((name) => [settings[name]?.lrScale ?? 1, settings[name]?.weightDecay ?? 0])));
    write(device, this.control, new Float32Array(4));
  }

  /** Where each gradient is to be computed: `place` of compile(). Recorded gradients must be tensors of their own. */
  places(device: Device, gradients: readonly Tensor[]): Map<Tensor, { buffer: GPUBuffer; offset: number; size: number }> {
    const { starts } = layout(this.trained.map((t) => t.tensor));
    const whole = device.slices.get(this.gradients.id);
    if (!whole) throw new Error('AdamW.places before allocate');
    return new Map(gradients.map((g, i) => [g, { buffer: whole.buffer, offset: 4 * (starts[i] as number), size: Math.ceil(byteLength(g) / 16) * 16 }]));
  }

  /** Records norm, clipping, guard and update. `loss` [1] is watched for infinities. */
  update(loss: Tensor): void {
    const n = elements(this.params);
    const parts = Math.min(256, Math.ceil(n / 256));
    const partial = output('gradient norm parts', [parts]);
    dispatch(squaresKernel, { g: this.gradients, partial_sums: partial }, { n, chunk: Math.ceil(n / parts), parts }, 2 * n);
    dispatch(controlKernel, { partial_sums: partial, loss, control: this.control }, { parts, clip: this.options.clip });
    const { beta1, beta2, eps } = this.options;
    dispatch(adamwKernel, { g: this.gradients, control: this.control, blocks: this.blocks, settings: this.settings, p: this.params, m: this.m, v: this.v }, { n, beta1, beta2, eps }, 15 * n);
  }

  /** Scalars of a step (from 1). */
  bias(step: number): { bias1: number; bias2: number } {
    return { bias1: 1 - this.options.beta1 ** step, bias2: 1 - this.options.beta2 ** step };
  }

  dispose(device: Device): void {
    for (const arena of this.arenas) freeArena(device, arena);
    for (const t of [this.blocks, this.settings, this.control]) free(device, t);
  }
}
