// AdamW over all trainable tensors in one kernel, with gradient clipping and a guard that keeps the last good state.
// Parameters, gradients and moments each stand in one arena (engine/tensor/memory.ts). Masks freeze rows, columns or elements:
// what is frozen is left out of the gradient norm, and its numbers, moments and count of steps stay as they are.
// Methods that make factors of their parameters for all layers at once (engine/joint) have these and their gradients in two more arenas,
// and what of the adapter does not train in another.
import adamwSource from '../../../shaders/optim/adamw.wgsl?raw';
import advanceSource from '../../../shaders/optim/advance.wgsl?raw';
import controlSource from '../../../shaders/optim/control.wgsl?raw';
import freezeSource from '../../../shaders/optim/freeze.wgsl?raw';
import squaresSource from '../../../shaders/optim/sum_squares.wgsl?raw';
import { ShapeError, StudioError } from '../../util/errors';
import type { Device } from '../gpu/device';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import { rowFamily, single } from '../tensor/family';
import { dispatch, output } from '../tensor/graph';
import { ARENA_BLOCK, type Arena, allocateArena, free, freeArena, layout, sliceOf, write } from '../tensor/memory';
import { type Tensor, byteLength, elements, lastOf, tensor } from '../tensor/tensor';

const squaresKernel = rowFamily((LANES, ROWS) => kernel('optim/sum_squares', squaresSource, (p) => grid1d(ceilDiv(p.parts as number, ROWS)), { overrides: { LANES, ROWS } }));
const controlKernel = single(kernel('optim/control', controlSource, () => [1]));
const adamwKernel = elementwise('optim/adamw', adamwSource, 'n');
const freezeKernel = elementwise('optim/freeze', freezeSource, 'n');
const advanceKernel = elementwise('optim/advance', advanceSource, 'entries');

export interface AdamSettings {
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Largest global gradient norm; 0 = no clipping. */
  readonly clip: number;
}
/** What a group has of its own; the run's where it is left out. */
export interface GroupSettings {
  readonly lrScale: number;
  readonly weightDecay: number;
  readonly beta1?: number;
  readonly beta2?: number;
}

export interface Trained {
  readonly tensor: Tensor;
  readonly group: string;
  /** A mask by name, and the axis of the tensor that its entries run along. */
  readonly mask?: { readonly name: string; readonly axis: 'rows' | 'columns' | 'elements' };
}

/** Tensors beside the trained ones that kernels over all layers read and write. */
export interface Aside {
  /** Made of parameters at the head of a step, each with a gradient. */
  readonly joint: readonly Tensor[];
  /** Of the adapter, but not trained. */
  readonly frozen: readonly Tensor[];
}

/** Where a mask's entries stand, in `masks` [2, entries]. */
interface MaskRange {
  readonly first: number;
  readonly size: number;
}

/** A slice of a flat buffer that a tensor of a step is computed into. */
type Place = { buffer: GPUBuffer; offset: number; size: number };

/** The trainable tensors of a run with their optimiser state. */
export class AdamW {
  /** Parameters, first and second moments, gradients. */
  readonly params: Tensor;
  readonly m: Tensor;
  readonly v: Tensor;
  readonly gradients: Tensor;
  /** What is stepped along instead of the gradients, where a method makes that of them. */
  readonly directions: Tensor;
  /** Joint tensors, their gradients, and what is frozen, as words. */
  readonly joint: Tensor;
  readonly jointGradients: Tensor;
  readonly frozen: Tensor;
  /** (norm, clip factor, go, halted) of the last step: shaders/optim/control.wgsl. */
  readonly control = tensor('control', [4], 'param');
  readonly blocks: Tensor;
  readonly groups: readonly string[];
  /** [2, entries]: 1 = may move; steps taken. */
  readonly masks: Tensor;
  readonly maskRanges: ReadonlyMap<string, MaskRange>;
  private readonly slots: Tensor;
  private readonly settings: Tensor;
  private readonly arenas: Arena[] = [];
  private readonly tables = new Map<string, { tensor: Tensor; words: Uint32Array }>();
  private readonly entries: number;
  private readonly written = new Map<string, Uint32Array>();
  private plainSteps: ReadonlySet<Tensor> = new Set();
  private redirected = false;

  constructor(private readonly trained: readonly Trained[], readonly options: AdamSettings, private readonly aside: Aside = { joint: [], frozen: [] }) {
    const { length } = layout(trained.map((t) => t.tensor));
    const beside = (name: string, tensors: readonly Tensor[]) => tensor(name, [layout(tensors).length], 'param');
    [this.joint, this.jointGradients, this.frozen] = [beside('joint', aside.joint), beside('joint gradients', aside.joint), beside('frozen', aside.frozen)];
    const flat = (name: string) => tensor(name, [length], 'param');
    [this.params, this.m, this.v, this.gradients, this.directions] = [flat('parameters'), flat('adam.m'), flat('adam.v'), flat('gradients'), flat('directions')];
    this.groups = [...new Set(trained.map((t) => t.group))];
    this.blocks = tensor('arena groups', [length / ARENA_BLOCK], 'param', 'u32');
    this.slots = tensor('arena slots', [length / ARENA_BLOCK, 4], 'param', 'u32');
    this.settings = tensor('group settings', [Math.max(1, this.groups.length), 7], 'param');
    this.maskRanges = rangesOf(trained);
    this.entries = [...this.maskRanges.values()].reduce((sum, { size }) => sum + size, 0);
    this.masks = tensor('masks', [2, Math.max(1, this.entries)], 'param', 'u32');
  }

  /** Bytes on the device: parameters and what is made of them, gradients and tables, moments; what does not train, where it has an arena. */
  get bytes(): { params: number; gradients: number; moments: number; frozen: number } {
    const tables = [this.blocks, this.slots, this.masks, ...[...this.tables.values()].map((t) => t.tensor)].reduce((sum, t) => sum + byteLength(t), 0);
    const joint = this.aside.joint.length > 0 ? byteLength(this.joint) : 0;
    return { params: byteLength(this.params) + joint, gradients: byteLength(this.gradients) * (this.redirected ? 2 : 1) + joint + tables, moments: byteLength(this.m) + byteLength(this.v), frozen: this.aside.frozen.length > 0 ? byteLength(this.frozen) : 0 };
  }

  /** Allocates everything zeroed, all masks open, and writes the tables. The trained tensors get their slices of the parameter arena. */
  allocate(device: Device, settings: Readonly<Record<string, GroupSettings>>): void {
    this.arenas.push(allocateArena(device, this.params, this.trained.map((t) => t.tensor)));
    for (const flat of [this.m, this.v, this.gradients, ...(this.redirected ? [this.directions] : [])]) this.arenas.push(allocateArena(device, flat, []));
    if (this.aside.joint.length > 0) this.arenas.push(allocateArena(device, this.joint, this.aside.joint), allocateArena(device, this.jointGradients, []));
    if (this.aside.frozen.length > 0) this.arenas.push(allocateArena(device, this.frozen, this.aside.frozen));
    for (const { tensor: t, words } of this.tables.values()) write(device, t, words);
    const { starts } = layout(this.trained.map((t) => t.tensor));
    const [blocks, slots] = [new Uint32Array(elements(this.blocks)), new Uint32Array(elements(this.slots))];
    this.trained.forEach(({ tensor: t, group, mask }, i) => {
      const start = starts[i] as number;
      const which = this.groups.indexOf(group);
      const axis = mask ? 1 + ['rows', 'columns', 'elements'].indexOf(mask.axis) : 0;
      const word = which + 0x10000 * (axis + (this.plainSteps.has(t) ? 4 : 0));
      const range = mask && this.maskRanges.get(mask.name);
      for (let block = start / ARENA_BLOCK; block < Math.ceil((start + elements(t)) / ARENA_BLOCK); block++) {
        blocks[block] = which;
        slots.set([word, start, lastOf(t), range ? range.first + 1 : 0], 4 * block);
      }
    });
    write(device, this.blocks, blocks);
    write(device, this.slots, slots);
    const log = (beta: number) => Math.max(Math.log(beta), -1e30);
    write(device, this.settings, Float32Array.from((this.groups.length > 0 ? this.groups : ['default']).flatMap((name) => {
      const { lrScale = 1, weightDecay = 0, beta1 = this.options.beta1, beta2 = this.options.beta2 } = settings[name] ?? {};
      const own = beta1 !== this.options.beta1 || beta2 !== this.options.beta2;
      return [lrScale, weightDecay, beta1, beta2, log(beta1), log(beta2), Number(own)];
    })));
    write(device, this.control, new Float32Array(4));
    write(device, this.masks, new Uint32Array(elements(this.masks)).fill(1, 0, this.entries));
  }

  /** A table of words for a kernel over all layers, by name; made once. */
  table(name: string, words: () => Uint32Array): Tensor {
    const found = this.tables.get(name);
    if (found) return found.tensor;
    const made = words();
    const t = tensor(name, [made.length], 'param', 'u32');
    this.tables.set(name, { tensor: t, words: made });
    return t;
  }

  /** First element of a trained, a joint or a frozen tensor in its arena. */
  at(t: Tensor): number {
    for (const tensors of [this.trained.map((one) => one.tensor), this.aside.joint, this.aside.frozen]) {
      const i = tensors.indexOf(t);
      if (i >= 0) return layout(tensors).starts[i] as number;
    }
    throw new StudioError(`${t.label} stands in no arena`);
  }

  /** Where each gradient is to be computed: `place` of compile(). Recorded gradients must be tensors of their own; one that is left out is written otherwise. */
  places(device: Device, gradients: readonly (Tensor | undefined)[], directions: readonly (Tensor | undefined)[] = [], joint: readonly Tensor[] = []): Map<Tensor, Place> {
    const into = (flat: Tensor, gradients: readonly (Tensor | undefined)[], laidOut: readonly Tensor[]) => {
      const { starts } = layout(laidOut);
      return gradients.flatMap((g, i): [Tensor, Place][] => {
        if (!g) return [];
        const whole = device.slices.get(flat.id);
        if (!whole) throw new Error('AdamW.places before allocate');
        return [[g, { buffer: whole.buffer, offset: 4 * (starts[i] as number), size: Math.ceil(byteLength(g) / 16) * 16 }]];
      });
    };
    const trained = this.trained.map((t) => t.tensor);
    return new Map([...into(this.gradients, gradients, trained), ...into(this.directions, directions, trained), ...into(this.jointGradients, joint, this.aside.joint)]);
  }

  /** Records freezing, norm, clipping and guard. `loss` [1] is watched for infinities. */
  guard(loss: Tensor): void {
    const n = elements(this.params);
    const parts = Math.min(256, Math.ceil(n / 256));
    const partial = output('gradient norm parts', [parts]);
    if (this.entries > 0) dispatch(freezeKernel, { slots: this.slots, masks: this.masks, g: this.gradients }, { n });
    dispatch(squaresKernel, { g: this.gradients, partial_sums: partial }, { n, chunk: Math.ceil(n / parts), parts }, 2 * n);
    dispatch(controlKernel, { partial_sums: partial, loss, control: this.control }, { parts, clip: this.options.clip });
    if (this.entries > 0) dispatch(advanceKernel, { control: this.control, masks: this.masks }, { entries: this.entries });
  }

  /**
   * Records the update: along the gradients, or along what stands in `directions` by then. `plainSteps`: tensors that move by
   * lr · direction as it is, without clipping and without moments.
   */
  update(redirected = false, plainSteps: ReadonlySet<Tensor> = new Set()): void {
    this.redirected = redirected;
    this.plainSteps = plainSteps;
    const n = elements(this.params);
    const g = redirected ? this.directions : this.gradients;
    dispatch(adamwKernel, { g, control: this.control, slots: this.slots, settings: this.settings, masks: this.masks, p: this.params, m: this.m, v: this.v }, { n, eps: this.options.eps, entries: Math.max(1, this.entries) }, 15 * n);
  }

  /** Scalars of a step (from 1). */
  bias(step: number): { bias1: number; bias2: number } {
    return { bias1: 1 - this.options.beta1 ** step, bias2: 1 - this.options.beta2 ** step };
  }

  /** Opens (1) or closes (0) the entries of a mask from the next step on. */
  setMask(device: Device, name: string, open: Uint32Array): void {
    const range = this.maskRanges.get(name);
    if (!range) throw new StudioError(`there is no mask '${name}'`, `The masks are: ${[...this.maskRanges.keys()].join(', ') || 'none'}.`);
    if (open.length !== range.size) throw new ShapeError(`mask '${name}' has ${range.size} entries, got ${open.length}`);
    // Methods set their masks before every step; most of the time nothing is new.
    const last = this.written.get(name);
    if (last && open.every((x, i) => x === last[i])) return;
    this.written.set(name, open.slice());
    const { buffer } = sliceOf(device, this.masks);
    device.gpu.queue.writeBuffer(buffer, 4 * range.first, open as GPUAllowSharedBufferSource);
  }

  dispose(device: Device): void {
    for (const arena of this.arenas) freeArena(device, arena);
    for (const t of [this.blocks, this.slots, this.settings, this.masks, this.control, ...[...this.tables.values()].map((one) => one.tensor)]) free(device, t);
  }
}

/** The masks by name, in the order of first use; parameters that share one must agree on its size. */
function rangesOf(trained: readonly Trained[]): Map<string, MaskRange> {
  const ranges = new Map<string, MaskRange>();
  let first = 0;
  for (const { tensor: t, mask } of trained) {
    if (!mask) continue;
    const size = mask.axis === 'rows' ? elements(t) / lastOf(t) : mask.axis === 'columns' ? lastOf(t) : elements(t);
    const known = ranges.get(mask.name);
    if (known && known.size !== size) throw new ShapeError(`${t.label}: mask '${mask.name}' has ${known.size} entries, along its ${mask.axis} there are ${size}`);
    if (known) continue;
    ranges.set(mask.name, { first, size });
    first += size;
  }
  return ranges;
}
