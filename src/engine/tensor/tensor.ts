// A Tensor is a contiguous row-major array on the GPU: a name for numbers, with a shape and a lifetime. It owns no buffer.
import { ShapeError } from '../../util/errors';
import { GROUP, packedWords } from '../../util/packed';

/** f16, int8 and int4 are frozen weights only, kept small (util/packed.ts); what is computed is f32. */
export type DType = 'f32' | 'u32' | 'i32' | 'f16' | 'int8' | 'int4';
export type Shape = readonly number[];
/** param: kept across steps · input: written by the host before a step · step: owned by the planner of one compiled graph */
export type Life = 'param' | 'input' | 'step';
export type HostData = Float32Array | Uint32Array | Int32Array;

export interface Tensor {
  readonly id: number;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly life: Life;
  readonly label: string;
  /** A constant's data, uploaded once a device. */
  readonly constant?: () => HostData;
  /** The tensor whose numbers these are, for a reshape. */
  readonly viewOf?: Tensor;
}

let nextId = 1;

/** A new tensor of a checked shape. */
export function tensor(label: string, shape: Shape, life: Life, dtype: DType = 'f32', constant?: () => HostData): Tensor {
  for (const size of shape) {
    if (!Number.isInteger(size) || size < 1) throw new ShapeError(`${label}: ${size} is no size`, `The shape was [${shape.join(', ')}].`);
  }
  if (isQuantised(dtype) && (shape.at(-1) ?? 1) % GROUP !== 0) throw new ShapeError(`${label}: rows of ${shape.at(-1) ?? 1} cannot be ${dtype}, whose scales stand for ${GROUP} numbers each`, 'Keep it as f16 or f32.');
  return { id: nextId++, shape, dtype, life, label, ...(constant ? { constant } : {}) };
}

const constants = new Map<string, Tensor>();

/** A constant by key: asking twice gives the same tensor. The key must say everything that the data depend on. */
export function constant(key: string, shape: Shape, dtype: DType, data: () => HostData): Tensor {
  let found = constants.get(key);
  if (!found) {
    found = tensor(key, shape, 'param', dtype, data);
    constants.set(key, found);
  }
  return found;
}

/** The same numbers under another shape. */
export function view(t: Tensor, shape: Shape): Tensor {
  if (sizeOf(shape) !== elements(t)) throw new ShapeError(`reshape: ${describe(t)} has ${elements(t)} elements, [${shape.join(', ')}] has ${sizeOf(shape)}`);
  return { ...tensor(t.label, shape, t.life, t.dtype), viewOf: rootOf(t) };
}
/** The first rows of a matrix, where it stands. Not for what trains: its gradient would have fewer rows than it. */
export function firstRows(t: Tensor, rows: number): Tensor {
  if (rows > rowsOf(t)) throw new ShapeError(`first_rows: ${describe(t)} has fewer than ${rows} rows`);
  return { ...tensor(t.label, [rows, lastOf(t)], t.life, t.dtype), viewOf: rootOf(t) };
}
/** The tensor that owns the numbers. */
export const rootOf = (t: Tensor): Tensor => t.viewOf ?? t;

export const sizeOf = (shape: Shape) => shape.reduce((a, b) => a * b, 1);
export const elements = (t: Tensor) => sizeOf(t.shape);
export const isQuantised = (dtype: DType): dtype is 'int8' | 'int4' => dtype === 'int8' || dtype === 'int4';
/** Whether these are frozen weights in fewer than 32 bits. */
export const isPacked = (dtype: DType): dtype is 'f16' | 'int8' | 'int4' => dtype === 'f16' || isQuantised(dtype);
/** Bytes on the device. */
export function byteLength(t: Tensor): number {
  if (isQuantised(t.dtype)) return 4 * packedWords(t.dtype, elements(t));
  return t.dtype === 'f16' ? 4 * Math.ceil(elements(t) / 2) : 4 * elements(t);
}
export const describe = (t: Tensor) => `${t.label} [${t.shape.join(', ')}]`;
/** [..., c] read as a matrix [rows, c]. */
export const rowsOf = (t: Tensor) => elements(t) / lastOf(t);
export const lastOf = (t: Tensor) => t.shape[t.shape.length - 1] ?? 1;
export const sameShape = (a: Shape, b: Shape) => a.length === b.length && a.every((size, i) => size === b[i]);

/** Throws unless `t` has the wanted shape; `what` names op and input: "rms_norm: weight". */
export function wantShape(what: string, t: Tensor, wanted: Shape): void {
  if (!sameShape(t.shape, wanted)) throw new ShapeError(`${what} must be [${wanted.join(', ')}], got ${describe(t)}`);
}
