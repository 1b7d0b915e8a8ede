// A site is one layer that can be adapted; an adapter is a method's parameters there and the effective weight they define.
import { ShapeError } from '../../util/errors';
import { addColumns, matmul } from '../ops';
import { type DType, type Shape, type Tensor, tensor } from '../tensor/tensor';
import type { Init } from './init';

export interface Param {
  /** 'model.layers.0.self_attn.q_proj.lora_A' */
  readonly name: string;
  readonly tensor: Tensor;
  readonly init: Init;
  readonly trainable: boolean;
  /** Which optimiser group it belongs to: 'default', 'gate' … */
  readonly group: string;
  readonly mask?: MaskUse;
}

/**
 * A mask by name, and the axis of the parameter that it runs along. Where it is 0 the optimiser leaves the numbers, their moments and
 * their step count as they are. Parameters that name the same mask share it.
 */
export interface MaskUse {
  readonly name: string;
  readonly axis: 'rows' | 'columns' | 'elements';
}

export interface ParamOptions {
  /** false: saved with the run, never trained. */
  readonly trainable?: boolean;
  readonly group?: string;
  /** u32 and i32 are for tables, which do not train. */
  readonly dtype?: DType;
  readonly mask?: MaskUse;
}

export interface LinearSite {
  readonly kind: 'linear';
  /** The checkpoint's own name without '.weight'. */
  readonly name: string;
  /** The last part of the name: 'q_proj'. */
  readonly module: string;
  /** Number of the block it stands in, −1 outside the blocks. */
  readonly depth: number;
  /** [out, in], whatever way the checkpoint stores it. */
  readonly shape: readonly [number, number];
  readonly weight: Tensor;
  readonly bias?: Tensor;
  /** The untouched layer y = x Wᵀ + b, or the layer with another weight [out, in] or bias [out]. */
  base(x: Tensor, weight?: Tensor, bias?: Tensor): Tensor;
  /** A new parameter of the adapter at this site, saved and (unless told otherwise) trained. */
  param(name: string, shape: Shape, init: Init, options?: ParamOptions): Param;
}
export type Site = LinearSite;

/** A weight of the model by its name, where no adapted linear layer has it: embeddings, norms, layers that were not chosen. */
export interface NamedWeight {
  readonly kind: 'weight';
  /** The checkpoint's own name: 'model.norm.weight'. */
  readonly name: string;
  /** What it belongs to, the last part but one of the name: 'norm'. */
  readonly module: string;
  readonly depth: number;
  readonly shape: Shape;
  readonly tensor: Tensor;
  /** Whether it is the weight or bias of a linear layer. */
  readonly linear: boolean;
  param(name: string, shape: Shape, init: Init, options?: ParamOptions): Param;
}

export interface CallOptions {
  /** Dropout and other noise act only in training. */
  readonly training: boolean;
  /** Whether what adapters read jointly made (engine/joint) has been made at the head of this recording. */
  readonly joint?: boolean;
}

/** A plain LoRA at one site, on the host: what a file holds. ΔW = scale·B·A. */
export interface LoraFactors {
  readonly rank: number;
  readonly scale: number;
  /** [rank, in] */
  readonly A: Float32Array;
  /** [out, rank] */
  readonly B: Float32Array;
  /** [out], added to what B gives and scaled with it. */
  readonly bias?: Float32Array | undefined;
}

export interface Adapter {
  readonly params: Readonly<Record<string, Param>>;
  /** The effective weight [out, in], recorded: the definition. Of a named weight, what stands in for it. */
  weight(): Tensor;
  /** The effective bias [out], where the adapter changes it. */
  bias?(): Tensor;
  /** A faster way to base(x, weight(), bias()). */
  apply?(x: Tensor, call: CallOptions): Tensor;
  /** The same adapter as plain LoRA, from the parameters' numbers; rank 0 when it does nothing. */
  lora?(values: Readonly<Record<string, Float32Array>>): LoraFactors;
  /** What `lora` needs beside the parameters, recorded: products with the frozen weight. Their numbers join `values`. */
  derived?(): Readonly<Record<string, Tensor>>;
}

/** Adapters by name of site, or of weight; a model call without adapters gets an empty one. */
export type Adapters = ReadonlyMap<string, Adapter>;
export const noAdapters: Adapters = new Map();

/** Makes a site; parameters get the site's name in front. */
export function linearSite(name: string, depth: number, weight: Tensor, bias: Tensor | undefined): LinearSite {
  return {
    kind: 'linear', name, depth, weight, ...(bias ? { bias } : {}),
    module: name.split('.').at(-1) as string,
    shape: weight.shape as [number, number],
    base(x, other = weight, offset = bias) {
      const y = matmul(x, other, { tb: true });
      return offset ? addColumns(y, offset) : y;
    },
    param: (part, shape, init, options) => makeParam(`${name}.${part}`, shape, init, options),
  };
}

/** Number of the block that a name stands in, −1 outside the blocks. */
export const depthOf = (name: string): number => Number(name.match(/\.(\d+)\./)?.[1] ?? -1);

export function namedWeight(name: string, weight: Tensor, linear: boolean): NamedWeight {
  return {
    kind: 'weight', name, linear, tensor: weight, shape: weight.shape,
    module: name.split('.').at(-2) ?? name,
    depth: depthOf(name),
    param: (part, shape, init, options) => makeParam(`${name}.${part}`, shape, init, options),
  };
}

/** A parameter by its full name. */
export function makeParam(name: string, shape: Shape, init: Init, { trainable = true, group = 'default', dtype = 'f32', mask }: ParamOptions = {}): Param {
  if (trainable && dtype !== 'f32') throw new ShapeError(`${name}: a parameter of ${dtype} cannot train`, 'Say trainable: false.');
  return { name, tensor: tensor(name, shape, 'param', dtype), init, trainable, group, ...(mask && trainable ? { mask } : {}) };
}
