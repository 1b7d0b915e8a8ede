// Products of the matrices of all layers, whatever their sizes, in one dispatch.
import source from '../../../shaders/joint/products.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { ceilDiv } from '../gpu/kernel';
import { dispatch, output } from '../tensor/graph';
import { type Shape, type Tensor, describe, elements, view } from '../tensor/tensor';
import { type Flat, UNIT, byUnits, unitFamily } from './table';

const productsFamily = unitFamily('joint/products', source);

/** One matrix a layer, row-major in one flat tensor. */
export interface Matrices {
  readonly flat: Tensor;
  readonly places: readonly Place[];
}
export interface Place {
  readonly at: number;
  readonly rows: number;
  readonly columns: number;
}

export interface ProductsOptions {
  /** Read each a as [k, m]. */
  readonly ta?: boolean;
  /** Read each b as [n, k]. */
  readonly tb?: boolean;
  readonly alpha?: number;
  /** Added, of the results' sizes. */
  readonly c?: Matrices;
  /** Where the results are to stand; default one behind the other in a new tensor. */
  readonly into?: Matrices;
}

/** alpha·op(a)·op(b) (+ c) for every layer. `name` is the table's: no two products of a recording share one. Not differentiable. */
export function products({ table }: Pick<Flat, 'table'>, name: string, a: Matrices, b: Matrices, { ta = false, tb = false, alpha = 1, c, into }: ProductsOptions = {}): Matrices {
  const sizes = a.places.map((left, i) => {
    const right = b.places[i] as Place;
    const [m, k] = ta ? [left.columns, left.rows] : [left.rows, left.columns];
    const [inner, n] = tb ? [right.columns, right.rows] : [right.rows, right.columns];
    if (inner !== k) throw new ShapeError(`${name}: inner sizes of layer ${i} differ: ${k} and ${inner}`);
    return { m, n, k };
  });
  const y = into ?? behind(name, sizes.map(({ m, n }) => [m, n]));
  const words = () => byUnits(sizes.map(({ m, n, k }, i) => ({ size: ceilDiv(m * n, UNIT), words: [a.places[i]?.at ?? 0, b.places[i]?.at ?? 0, c?.places[i]?.at ?? 0, y.places[i]?.at ?? 0, m, n, k] }))).words;
  const units = sizes.reduce((sum, { m, n }) => sum + ceilDiv(m * n, UNIT), 0);
  const flops = 2 * sizes.reduce((sum, { m, n, k }) => sum + m * n * k, 0);
  dispatch(productsFamily, { table: table(name, words), a: a.flat, b: b.flat, c: c?.flat ?? a.flat, y: y.flat }, { units, ta: Number(ta), tb: Number(tb), add_c: Number(c !== undefined), alpha }, flops);
  return y;
}

/** Room for matrices one behind the other, without gaps. */
function behind(name: string, shapes: readonly (readonly [rows: number, columns: number])[]): Matrices {
  let at = 0;
  const places = shapes.map(([rows, columns]) => {
    at += rows * columns;
    return { at: at - rows * columns, rows, columns };
  });
  return { flat: output(name, [at]), places };
}

/** Matrices of one size as a stack [layers, rows, columns] of the same numbers. */
export function asStack({ flat, places }: Matrices): Tensor {
  const { rows, columns } = places[0] as Place;
  if (places.some((place, i) => place.rows !== rows || place.columns !== columns || place.at !== i * rows * columns)) throw new ShapeError(`stack: the matrices of ${describe(flat)} differ in size, or stand apart`);
  return view(flat, [places.length, rows, columns]);
}
/** A stack [layers, rows, columns] as single matrices. */
export function ofStack(stack: Tensor): Matrices {
  const [layers, rows, columns] = stack.shape as Shape & [number, number, number];
  return { flat: view(stack, [elements(stack)]), places: Array.from({ length: layers }, (_, i) => ({ at: i * rows * columns, rows, columns })) };
}
