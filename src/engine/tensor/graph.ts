// One recording: the commands that kernels will run, and the tape that gradients walk back along. No buffers, no device.
import { BindingError, StudioError } from '../../util/errors';
import type { ParamValues } from '../gpu/kernel';
import type { Family } from './family';
import { type Shape, type Tensor, describe, elements, isPacked, rootOf, sameShape, tensor } from './tensor';

export interface Command {
  readonly family: Family;
  /** In the order of the kernel's bindings. */
  readonly tensors: readonly Tensor[];
  readonly params: ParamValues;
  /** Floating-point operations, where the op knows them. */
  readonly flops: number;
  /** Recorded by a reverse walk. */
  readonly backward?: boolean;
  /** Part of the model that may be recomputed as a whole: a block. */
  readonly segment?: number;
}

/** What a command writes, and what it reads. */
export const writesOf = ({ family, tensors }: Command) => tensors.filter((_, i) => family.reflection.bindings[i]?.access === 'read_write');
export const readsOf = ({ family, tensors }: Command) => tensors.filter((_, i) => family.reflection.bindings[i]?.access !== 'read_write');

/** Adjoint of one op: output gradients in (undefined where nothing flows), input gradients out. */
export type Backward<I extends string> = (dys: readonly (Tensor | undefined)[], needs: (input: I) => boolean) => Partial<Record<I, Tensor | undefined>>;

interface Node {
  readonly name: string;
  readonly inputs: Readonly<Record<string, Tensor>>;
  readonly outputs: readonly Tensor[];
  readonly backward: Backward<string> | null;
}

export class Graph {
  readonly commands: Command[] = [];
  private readonly tape: Node[] = [];
  private walking = false;
  private segments = 0;
  private currentSegment: number | undefined;

  /** Runs `build` with this graph as the one that ops are recorded onto. Recording is synchronous. */
  record<T>(build: () => T): T {
    const outer = active;
    active = this;
    try {
      const result = build();
      if (result instanceof Promise) throw new StudioError('record: the recorded function is async', 'Recording is synchronous; wait for data outside it.');
      return result;
    } finally {
      active = outer;
    }
  }

  dispatch(family: Family, tensors: Readonly<Record<string, Tensor>>, params: ParamValues, flops: number): void {
    const { bindings, params: declared } = family.reflection;
    const widened = new Map<number, Tensor>();
    const bound = bindings.map(({ name, access }) => {
      const found = tensors[name];
      if (!found) throw new BindingError(`${family.name}: nothing is bound to '${name}'`);
      const wanted = family.packed?.[name];
      if (wanted === found.dtype || (!wanted && !isPacked(found.dtype))) return rootOf(found);
      if (wanted || access !== 'read') throw new BindingError(`${family.name}: '${name}' takes ${wanted ?? 'no packed weights'}, got ${describe(found)} ${found.dtype}`);
      const root = rootOf(found);
      const wide = widened.get(root.id) ?? ownOps().widen(root);
      widened.set(root.id, wide);
      return wide;
    });
    if (Object.keys(tensors).length !== bindings.length) {
      const extra = Object.keys(tensors).find((name) => !bindings.some((b) => b.name === name));
      throw new BindingError(`${family.name}: '${extra}' is not a binding`, `It binds ${bindings.map((b) => b.name).join(', ')}.`);
    }
    for (const { name } of declared) {
      if (!Number.isFinite(params[name])) throw new BindingError(`${family.name}: parameter '${name}' is ${params[name]}`);
    }
    for (const name of Object.keys(params)) {
      if (!declared.some((d) => d.name === name)) throw new BindingError(`${family.name}: '${name}' is not a parameter`);
    }
    this.commands.push({ family, tensors: bound, params, flops, ...(this.walking ? { backward: true } : {}), ...(this.currentSegment === undefined ? {} : { segment: this.currentSegment }) });
  }

  push(node: Node): void {
    this.tape.push(node);
  }

  /** Name of the op that made `t`, while nothing read it yet. */
  madeBy(t: Tensor): string | undefined {
    if (this.tape.some((node) => Object.values(node.inputs).some((input) => rootOf(input) === rootOf(t)))) return undefined;
    return this.tape.find((node) => node.outputs.includes(t))?.name;
  }

  /** Marks what `build` records as one part that can be recomputed as a whole. */
  segment<T>(build: () => T): T {
    const outer = this.currentSegment;
    this.currentSegment ??= this.segments++;
    try {
      return build();
    } finally {
      this.currentSegment = outer;
    }
  }

  /**
   * Records `build` and, right behind it, the gradients of its one-element result with respect to all it reads, so that what it holds
   * in between can be let go: a loss over a large vocabulary, chunk by chunk. Where no gradient is asked for, the planner drops them.
   */
  withGradients(name: string, build: () => Tensor): Tensor {
    const ops = ownOps();
    const mark = this.tape.length;
    const loss = build();
    const nodes = this.tape.splice(mark);
    const made = new Set(nodes.flatMap((node) => node.outputs.map((t) => t.id)));
    const read = new Map(nodes.flatMap((node) => Object.values(node.inputs)).filter((t) => !made.has(t.id)).map((t) => [t.id, t]));
    const inputs = [...read.values()].filter((t) => t.dtype === 'f32' || isPacked(t.dtype));
    const gradients = this.walk(nodes, () => ops.fill([1], 1), loss, inputs).map((g, i) => g ?? ops.fill((inputs[i] as Tensor).shape, 0));
    this.tape.splice(mark);
    node(name, Object.fromEntries(inputs.map((t, i) => [String(i), t])), [loss], ([dy], needs) =>
      Object.fromEntries(inputs.flatMap((_, i) => (dy && needs(String(i)) ? [[String(i), dy === this.seed ? gradients[i] : ops.scaleBy(gradients[i] as Tensor, dy)]] : []))));
    return loss;
  }

  /**
   * Gradients of the one-element `loss` with respect to any tensors at all: the reverse walk emits more ops onto this graph.
   * Only what lies between `wrt` and `loss` is differentiated, so a frozen weight costs nothing unless it is asked for.
   */
  grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
    return this.gradients(loss, wrt).map((g, i) => g ?? ownOps().fill((wrt[i] as Tensor).shape, 0));
  }

  /** The same, undefined where nothing flows. */
  gradients(loss: Tensor, wrt: readonly Tensor[]): (Tensor | undefined)[] {
    if (elements(loss) !== 1) throw new StudioError(`grad: the loss must have one element, got ${describe(loss)}`);
    const outer = [this.walking, this.currentSegment] as const;
    [this.walking, this.currentSegment] = [true, undefined];
    try {
      return this.walk([...this.tape], () => { this.seed = ownOps().fill(loss.shape, 1); return this.seed; }, loss, wrt);
    } finally {
      [this.walking, this.currentSegment] = outer;
    }
  }
  /** The one that the last reverse walk began with. */
  private seed: Tensor | null = null;

  private walk(nodes: Node[], seed: () => Tensor, loss: Tensor, wrt: readonly Tensor[]): (Tensor | undefined)[] {
    const ops = ownOps();
    const activeIds = new Set(wrt.map((t) => t.id));
    for (const node of nodes) {
      if (Object.values(node.inputs).some((t) => activeIds.has(t.id))) for (const output of node.outputs) activeIds.add(output.id);
    }
    const cotangents = new Map<number, Tensor>();
    if (activeIds.has(loss.id)) cotangents.set(loss.id, seed());
    for (const node of nodes.reverse()) {
      const dys = node.outputs.map((output) => cotangents.get(output.id));
      const needs = (name: string) => activeIds.has(node.inputs[name]?.id ?? -1);
      if (!dys.some(Boolean) || !Object.keys(node.inputs).some(needs)) continue;
      if (!node.backward) throw new StudioError(`${node.name} has no backward`, 'A fused backward kernel cannot be differentiated again.');
      const gradients = node.backward(dys, needs);
      for (const [name, gradient] of Object.entries(gradients)) {
        const input = node.inputs[name];
        if (!gradient || !input || !activeIds.has(input.id)) continue;
        if (!sameShape(gradient.shape, input.shape)) throw new StudioError(`${node.name}: gradient of ${describe(input)} has shape [${gradient.shape.join(', ')}]`);
        const before = cotangents.get(input.id);
        cotangents.set(input.id, before ? ops.add(before, gradient) : gradient);
      }
    }
    return wrt.map((t) => cotangents.get(t.id));
  }
}

let active: Graph | null = null;

/** The graph being recorded; ops outside a recording are a mistake in the caller. */
export function current(): Graph {
  if (!active) throw new StudioError('an op was called outside a recording', 'Wrap it in graph.record(() => …).');
  return active;
}

/** A tensor of this recording, owned by the planner. */
export const output = (label: string, shape: Shape) => tensor(label, shape, 'step');

/** Emits one kernel onto the graph being recorded. */
export function dispatch(family: Family, tensors: Readonly<Record<string, Tensor>>, params: ParamValues = {}, flops = 0): void {
  current().dispatch(family, tensors, params, flops);
}

/** Puts an op on the tape. `backward: null` marks a kernel that cannot be differentiated. */
export function node<I extends string>(name: string, inputs: Readonly<Record<I, Tensor | undefined>>, outputs: readonly Tensor[], backward: Backward<I> | null): void {
  const given = Object.fromEntries(Object.entries(inputs).filter(([, t]) => t !== undefined)) as Record<string, Tensor>;
  current().push({ name, inputs: given, outputs, backward: backward as Backward<string> | null });
}

// Recording itself needs a few ops: the seed and the sums of the reverse walk, and packed weights as f32 where a kernel reads nothing
// else. They live a layer up, in engine/ops, which hands them in.
interface OwnOps {
  fill(shape: Shape, value: number): Tensor;
  add(a: Tensor, b: Tensor): Tensor;
  /** x·s[0] */
  scaleBy(x: Tensor, s: Tensor): Tensor;
  /** The same numbers in f32. */
  widen(t: Tensor): Tensor;
}
let supplied: OwnOps | null = null;
export function supplyOwnOps(ops: OwnOps): void {
  supplied = ops;
}
function ownOps(): OwnOps {
  if (!supplied) throw new StudioError('engine/ops has not been imported');
  return supplied;
}
