// Products and moves of many small matrices at once: a stack [batch, rows, columns] holds the matrices of all sites of one shape.
import pickSource from '../../../shaders/linalg/pick.wgsl?raw';
import directSource from '../../../shaders/linalg/product.wgsl?raw';
import tiledSource from '../../../shaders/linalg/product_tiled.wgsl?raw';
import stackSource from '../../../shaders/linalg/stack.wgsl?raw';
import turnSource from '../../../shaders/linalg/turn.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { type ParamValues, ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import type { Family } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Shape, type Tensor, describe, elements, sameShape, wantShape } from '../tensor/tensor';

/** Sizes of a stack [batch, rows, columns]. Throws a ShapeError that names op and input. */
export function stackSizes(what: string, t: Tensor): [batch: number, rows: number, columns: number] {
  if (t.shape.length !== 3) throw new ShapeError(`${what} must be a stack [batch, rows, columns], got ${describe(t)}`, 'Join the matrices with stack().');
  return t.shape as unknown as [number, number, number];
}

/** Largest side that one workgroup takes: its rotations and places stand in workgroup memory. */
export const SMALL = 128;

/** Throws unless x is a stack of square matrices small enough for one workgroup each. */
export function smallSquare(what: string, x: Tensor): [batch: number, n: number] {
  const [batch, n, columns] = stackSizes(what, x);
  if (n !== columns) throw new ShapeError(`${what} must hold square matrices, got ${describe(x)}`);
  if (n > SMALL) throw new ShapeError(`${what}: ${n} × ${n} is more than ${SMALL} × ${SMALL}: ${describe(x)}`, 'Recorded linear algebra is for matrices of rank size; larger ones go through the drivers at the start of a run.');
  return [batch, n];
}

const blocks = (p: ParamValues, high: number, wide: number) => (p.batch as number) * ceilDiv(p.m as number, high) * ceilDiv(p.n as number, wide);
const direct = (WG: number) => kernel('linalg/product', directSource, (p) => grid1d(ceilDiv(blocks(p, 4, 4), WG)), { overrides: { WG } });
const tiled = (TM: number, TN: number) => kernel('linalg/product_tiled', tiledSource, (p) => grid1d(blocks(p, 16 * TM, 16 * TN)), { constants: { TM, TN } });
const [software, small, large, flat] = [direct(4), direct(64), tiled(4, 4), tiled(2, 4)];
/** Both tiles of 16 along k with their column of padding. */
const TILE_BYTES = 4 * 16 * (65 + 65);
/** Chosen by rule, not by measurement: products are a small part of what uses them, and measuring would cost more than it could gain. */
const productFamily: Family = {
  name: 'linalg/product',
  reflection: small.reflection,
  candidates: (profile, { m, n }) => {
    if (profile.software) return [software];
    if (profile.workgroupBytes < TILE_BYTES || (m as number) < 16 || (n as number) < 16) return [small];
    // Blocks of 64 rows would leave half of their work past the edge.
    const rest = (m as number) % 64;
    return [rest > 0 && rest <= 32 ? flat : large];
  },
};

export interface ProductOptions {
  /** Read each a as [k, m]. */
  readonly ta?: boolean;
  /** Read each b as [n, k]. */
  readonly tb?: boolean;
  readonly alpha?: number;
  /** beta times c [batch, m, n] is added. */
  readonly beta?: number;
  readonly c?: Tensor;
}

/** alpha·a·b (+ beta·c) matrix by matrix into y [batch, m, n]. `a` may be one matrix [1, m, k] that all share. */
export function productInto(y: Tensor, a: Tensor, b: Tensor, { ta = false, tb = false, alpha = 1, beta = 1, c }: ProductOptions = {}): void {
  const [aCount, aRows, aColumns] = stackSizes('product: a', a);
  const [batch, bRows, bColumns] = stackSizes('product: b', b);
  const [m, k] = ta ? [aColumns, aRows] : [aRows, aColumns];
  const [kb, n] = tb ? [bColumns, bRows] : [bRows, bColumns];
  if (k !== kb) throw new ShapeError(`product: inner sizes differ: ${describe(a)}${ta ? 'ᵀ' : ''} has ${k}, ${describe(b)}${tb ? 'ᵀ' : ''} has ${kb}`);
  if (aCount !== batch && aCount !== 1) throw new ShapeError(`product: a stack of ${aCount} and one of ${batch}: ${describe(a)}, ${describe(b)}`);
  wantShape('product: y', y, [batch, m, n]);
  if (c) wantShape('product: c', c, [batch, m, n]);
  dispatch(productFamily, { a, b, c: c ?? a, y }, { batch, m, n, k, ta: Number(ta), tb: Number(tb), shared_a: Number(aCount < batch), alpha, beta: c ? beta : 0 }, 2 * batch * m * n * k);
}

/** The product as a step tensor. Not differentiable. */
export function product(a: Tensor, b: Tensor, options: ProductOptions = {}): Tensor {
  const [batch, bRows, bColumns] = stackSizes('product: b', b);
  const [, aRows, aColumns] = stackSizes('product: a', a);
  const y = output('product', [batch, options.ta ? aColumns : aRows, options.tb ? bRows : bColumns]);
  productInto(y, a, b, options);
  node('product', { a, b, c: options.c }, [y], null);
  return y;
}

/** Several dispatches fill one stack, so recomputing the last of them would not bring it back. */
const stackKernel: Family = { ...elementwise('linalg/stack', stackSource, 'total'), cheap: false };
const pickKernel = elementwise('linalg/pick', pickSource);
const turnKernel = elementwise('linalg/turn', turnSource);
/** Tensors that one dispatch of stack.wgsl takes: eight bindings less the result. */
const AT_ONCE = 7;

/** Tensors of one shape as a stack [count, ...shape]. Not differentiable. */
export function stack(tensors: readonly Tensor[]): Tensor {
  const first = tensors[0];
  if (!first) throw new ShapeError('stack: no tensors were given');
  const other = tensors.find((t) => !sameShape(t.shape, first.shape));
  if (other) throw new ShapeError(`stack: shapes differ: ${describe(first)} and ${describe(other)}`, 'Group the sites by shape.');
  const y = output('stack', [tensors.length, ...first.shape]);
  for (let start = 0; start < tensors.length; start += AT_ONCE) {
    const part = tensors.slice(start, start + AT_ONCE);
    const bound = Object.fromEntries(Array.from({ length: AT_ONCE }, (_, i) => [`x${i}`, part[i] ?? first]));
    dispatch(stackKernel, { ...bound, y }, { total: part.length * elements(first), size: elements(first), first: start });
  }
  node('stack', Object.fromEntries(tensors.map((t, i) => [`x${i}`, t])), [y], null);
  return y;
}

/** Matrix `index` of a stack, as a tensor of its own. Not differentiable. */
export function pick(x: Tensor, index: number): Tensor {
  const count = x.shape[0] ?? 0;
  if (!Number.isInteger(index) || index < 0 || index >= count) throw new ShapeError(`pick: there is no matrix ${index} in ${describe(x)}`);
  const shape: Shape = x.shape.slice(1);
  const y = output('pick', shape);
  dispatch(pickKernel, { x, y }, { size: elements(y), index });
  node('pick', { x }, [y], null);
  return y;
}

/** Every matrix of x [batch, rows, columns] turned, into y [batch, columns, rows]. */
export function turnInto(y: Tensor, x: Tensor): void {
  const [batch, rows, columns] = stackSizes('turn: x', x);
  wantShape('turn: y', y, [batch, columns, rows]);
  dispatch(turnKernel, { x, y }, { size: elements(x), rows, columns });
}

/** The numbers of x into y, of as many elements. */
export function copyInto(y: Tensor, x: Tensor): void {
  wantShape('copy: y', y, x.shape);
  dispatch(pickKernel, { x, y }, { size: elements(x), index: 0 });
}
