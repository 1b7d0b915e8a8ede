// Matrix products, the bulk of all work: one op, several kernels, chosen by measurement on the device at hand.
import directSource from '../../../shaders/matmul/direct.wgsl?raw';
import vec4Source from '../../../shaders/matmul/direct_vec4.wgsl?raw';
import tiledSource from '../../../shaders/matmul/tiled.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { type Grid, type Kernel, type ParamValues, ceilDiv, grid1d, kernel } from '../gpu/kernel';
import type { Family } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements, lastOf, sameShape } from '../tensor/tensor';
import { reshape } from './reshape';

/** Blocks of the result along x; down it along y, and along z beyond 65,535. */
function blocks(p: ParamValues, rows: number, columns: number): Grid {
  const [y, z] = grid1d(ceilDiv(p.m as number, rows));
  return [ceilDiv(p.n as number, columns), y, z];
}

const direct = (wx: number, wy: number) =>
  kernel('matmul/direct', directSource, (p) => blocks(p, 4 * wy, 8 * wx), { overrides: { WX: wx, WY: wy } });
const vec4 = (wx: number, wy: number, ta: number, tb: number) =>
  kernel('matmul/direct_vec4', vec4Source, (p) => blocks(p, 4 * wy, 8 * wx), { overrides: { WX: wx, WY: wy, TA: ta, TB: tb } });
const tiled = (tm: number, tn: number, bk: number) =>
  kernel('matmul/tiled', tiledSource, (p) => blocks(p, 16 * tm, 16 * tn), { constants: { TM: tm, TN: tn, BK: bk } });

// Few candidates: each costs a measurement on devices where measuring is slow. Few columns want the invocations along the rows.
const software = [direct(8, 1), direct(1, 4)];
const softwareVec4 = [0, 1, 2, 3].map((flags) => {
  const [wide, tall] = [vec4(8, 1, flags >> 1, flags & 1), vec4(1, 4, flags >> 1, flags & 1)];
  return { few: [tall, wide], many: [wide, direct(8, 1)] };
});
const hardware = [tiled(4, 4, 16), tiled(8, 8, 16), tiled(2, 2, 32), tiled(4, 1, 32), tiled(1, 4, 32), direct(8, 8), direct(16, 4)];
/** Workgroup memory of tiled.wgsl: tiles of a and b, each with a column of padding. */
const tileBytes = ({ tuning }: Kernel) => 4 * (tuning.constants?.BK ?? 0) * (16 * ((tuning.constants?.TM ?? 0) + (tuning.constants?.TN ?? 0)) + 2);

export const matmulFamily: Family = {
  name: 'matmul',
  reflection: (hardware[0] as (typeof hardware)[number]).reflection,
  candidates: (profile, { m, n, k, ta, tb }) => {
    if (!profile.software) return hardware.filter((kernel) => tileBytes(kernel) <= profile.workgroupBytes);
    const fours = [k, ta ? m : k, tb ? k : n].every((size) => (size as number) % 4 === 0);
    const byFlags = softwareVec4[2 * (ta as number) + (tb as number)];
    if (!fours || !byFlags) return software;
    return (n as number) <= 16 ? byFlags.few : byFlags.many;
  },
};

export interface MatmulOptions {
  /** Read a as [k, m]. */
  ta?: boolean;
  /** Read b as [n, k]. */
  tb?: boolean;
  alpha?: number;
  /** Added to the product, shape [m, n]. */
  c?: Tensor;
}

/**
 * alpha·a·b (+ c). Leading sizes of `a` count as rows: a [..., k] · b [k, n] gives [..., n].
 * With `ta` or when it is the right factor, an operand is read as the matrix [rows, last size].
 */
export function matmul(a: Tensor, b: Tensor, { ta = false, tb = false, alpha = 1, c }: MatmulOptions = {}): Tensor {
  const [aRows, aCols] = [elements(a) / lastOf(a), lastOf(a)];
  const [bRows, bCols] = [elements(b) / lastOf(b), lastOf(b)];
  const [m, k] = ta ? [aCols, aRows] : [aRows, aCols];
  const [kb, n] = tb ? [bCols, bRows] : [bRows, bCols];
  if (k !== kb) throw new ShapeError(`matmul: inner sizes differ: ${describe(a)}${ta ? 'ᵀ' : ''} has ${k}, ${describe(b)}${tb ? 'ᵀ' : ''} has ${kb}`);
  const shape = ta ? [m, n] : [...a.shape.slice(0, -1), n];
  if (c && !sameShape(c.shape, shape)) throw new ShapeError(`matmul: c must be [${shape.join(', ')}], got ${describe(c)}`);
  const y = output('matmul', shape);
  dispatch(matmulFamily, { a, b, c: c ?? a, y }, { m, n, k, ta: Number(ta), tb: Number(tb), add_c: Number(c !== undefined), alpha }, 2 * m * n * k);
  node('matmul', { a, b, c }, [y], ([dy], needs) => {
    if (!dy) return {};
    // y = op(a) op(b):  d op(a) = dy op(b)ᵀ,  d op(b) = op(a)ᵀ dy; a transposed operand takes the transposed gradient.
    const da = needs('a') && (ta ? reshape(matmul(b, dy, { ta: tb, tb: true, alpha }), a.shape) : reshape(matmul(dy, b, { tb: !tb, alpha }), a.shape));
    const db = needs('b') && (tb ? reshape(matmul(dy, a, { ta: true, tb: ta, alpha }), b.shape) : reshape(matmul(a, dy, { ta: !ta, alpha }), b.shape));
    return { a: da || undefined, b: db || undefined, c: c && needs('c') ? dy : undefined };
  });
  return y;
}
