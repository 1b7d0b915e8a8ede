// Products and moves of many small matrices at once: a stack [batch, rows, columns] holds the matrices of all sites of one shape.
import copySource from '../../../shaders/linalg/copy.wgsl?raw';
import directSource from '../../../shaders/linalg/product.wgsl?raw';
import tiledSource from '../../../shaders/linalg/product_tiled.wgsl?raw';
import turnSource from '../../../shaders/linalg/turn.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { type ParamValues, ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import type { Family } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements, wantShape } from '../tensor/tensor';

/** Sizes of a stack [batch, rows, columns]. Throws a ShapeError that names op and input. */
export function stackSizes(what: string, t: Tensor): [batch: number, rows: number, columns: number] {
  if (t.shape.length !== 3) throw new ShapeError(`${what} must be a stack [batch, rows, columns], got ${describe(t)}`, 'Products of all layers make one: asStack of engine/joint/products.ts.');
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

const turnKernel = elementwise('linalg/turn', turnSource);
const copyKernel = elementwise('linalg/copy', copySource);

/** Every matrix of x [batch, rows, columns] turned, into y [batch, columns, rows]. */
export function turnInto(y: Tensor, x: Tensor): void {
  const [batch, rows, columns] = stackSizes('turn: x', x);
  wantShape('turn: y', y, [batch, columns, rows]);
  dispatch(turnKernel, { x, y }, { size: elements(x), rows, columns });
}

/** The numbers of x into y, of as many elements. */
export function copyInto(y: Tensor, x: Tensor): void {
  wantShape('copy: y', y, x.shape);
  dispatch(copyKernel, { x, y }, { size: elements(x) });
}
