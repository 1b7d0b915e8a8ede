// A site is one layer that can be adapted; an adapter is a method's parameters there and the effective weight they define.
import { addColumns, matmul } from '../ops';
import type { Shape, Tensor } from '../tensor/tensor';
import type { Init } from './init';

export interface Param {
  /** 'model.layers.0.self_attn.q_proj.lora_A' */
  readonly name: string;
  readonly tensor: Tensor;
  readonly init: Init;
  readonly trainable: boolean;
  /** Which optimiser group it belongs to: 'default', 'gate' … */
  readonly group: string;
}

export interface ParamOptions {
  readonly trainable?: boolean;
  readonly group?: string;
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
  /** The untouched layer y = x Wᵀ + b, or the layer with another weight [out, in]. */
  base(x: Tensor, weight?: Tensor): Tensor;
  /** A new parameter of the adapter at this site, saved and (unless told otherwise) trained. */
  param(name: string, shape: Shape, init: Init, options?: ParamOptions): Param;
}
export type Site = LinearSite;

export interface CallOptions {
  /** Dropout and other noise act only in training. */
  readonly training: boolean;
}

/** A plain LoRA at one site, on the host: what a file holds. ΔW = scale·B·A. */
export interface LoraFactors {
  readonly rank: number;
  readonly scale: number;
  /** [rank, in] */
  readonly A: Float32Array;
  /** [out, rank] */
  readonly B: Float32Array;
}

export interface Adapter {
  readonly params: Readonly<Record<string, Param>>;
  /** The effective weight [out, in], recorded: the definition. */
  weight(): Tensor;
  /** A faster way to base(x, weight()). */
  apply?(x: Tensor, call: CallOptions): Tensor;
  /** The same adapter as plain LoRA, from the parameters' numbers; rank 0 when it does nothing. */
  lora?(values: Readonly<Record<string, Float32Array>>): LoraFactors;
}

/** Adapters by site name; a model call without adapters gets an empty one. */
export type Adapters = ReadonlyMap<string, Adapter>;
export const noAdapters: Adapters = new Map();

/** Makes a site; parameters get the site's name in front. */
export function linearSite(name: string, depth: number, weight: Tensor, bias: Tensor | undefined, makeTensor: (label: string, shape: Shape) => Tensor): LinearSite {
  return {
    kind: 'linear', name, depth, weight, ...(bias ? { bias } : {}),
    module: name.split('.').at(-1) as string,
    shape: weight.shape as [number, number],
    base(x, other = weight) {
      const y = matmul(x, other, { tb: true });
      return bias ? addColumns(y, bias) : y;
    },
    param(part, shape, init, { trainable = true, group = 'default' } = {}) {
      const full = `${name}.${part}`;
      return { name: full, tensor: makeTensor(full, shape), init, trainable, group };
    },
  };
}
