// Matrix products, the bulk of all work: one op, several kernels, chosen by measurement on the device at hand.
import directSource from '../../../shaders/matmul/direct.wgsl?raw';
import vec4Source from '../../../shaders/matmul/direct_vec4.wgsl?raw';
import partsSource from '../../../shaders/matmul/sum_parts.wgsl?raw';
import thinSource from '../../../shaders/matmul/thin.wgsl?raw';
import tiledSource from '../../../shaders/matmul/tiled.wgsl?raw';
import tiledVec4Source from '../../../shaders/matmul/tiled_vec4.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { type Grid, type Kernel, type ParamValues, ceilDiv, grid1d, kernel } from '../gpu/kernel';
import type { Family } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, describe, elements, lastOf, sameShape } from '../tensor/tensor';
import { elementwise } from './elementwise';
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
const tiledVec4 = (tm: number, tn: number) =>
  kernel('matmul/tiled_vec4', tiledVec4Source, (p) => blocks(p, 16 * tm, 16 * tn), { constants: { TM: tm, TN: tn } });
// Large blocks reuse more, small ones fill more of the device.
const hardware = [tiled(4, 4, 16), tiled(2, 2, 32), tiled(4, 1, 32), direct(8, 8)];
const hardwareVec4 = [tiledVec4(4, 4), tiledVec4(8, 4), tiledVec4(8, 8), ...hardware];
/** Workgroup memory of the tiled kernels: tiles of a and b, each with a column of padding. */
const tileBytes = ({ tuning }: Kernel) => 4 * (tuning.constants?.BK ?? 16) * (16 * ((tuning.constants?.TM ?? 0) + (tuning.constants?.TN ?? 0)) + 2);

export const matmulFamily: Family = {
  name: 'matmul',
  reflection: (hardware[0] as (typeof hardware)[number]).reflection,
  candidates: (profile, { m, n, k, ta, tb }) => {
    const fours = [k, ta ? m : k, tb ? k : n].every((size) => (size as number) % 4 === 0);
    if (!profile.software) return (fours ? hardwareVec4 : hardware).filter((kernel) => tileBytes(kernel) <= profile.workgroupBytes);
    const byFlags = softwareVec4[2 * (ta as number) + (tb as number)];
    if (!fours || !byFlags) return software;
    return (n as number) <= 16 ? byFlags.few : byFlags.many;
  },
};

const THIN_SIZES = [4, 8, 12, 16, 20, 24, 28, 32];
/** aᵀ b with one side of a few columns, split along k: a family of its own, since it adds up in another order. */
const thinKernels = new Map(THIN_SIZES.map((thin) => {
  const make = (WG: number) => kernel('matmul/thin', thinSource, (p) => [ceilDiv(p.columns as number, WG), ceilDiv(p.k as number, p.chunk as number)], { overrides: { WG, THIN: thin } });
  const [software, gpu] = [make(8), make(64)];
  return [thin, { name: 'matmul/thin', reflection: gpu.reflection, candidates: ({ software: soft }) => [soft ? software : gpu] } as Family];
}));
const sumParts = elementwise('matmul/sum_parts', partsSource);
/** Fewer terms than this are not worth a second kernel. */
const SPLIT_FROM = 256;

/** aᵀ b (a [k, m], b [k, n]) in parts along k, into y. */
function thinProduct(family: Family, a: Tensor, b: Tensor, y: Tensor, m: number, n: number, k: number, alpha: number, c: Tensor | undefined): void {
  const chunk = Math.max(64, ceilDiv(k, 32));
  const count = ceilDiv(k, chunk);
  const parts = output('matmul.parts', [count, m, n]);
  const [wide, thin, turned] = n > m ? [b, a, 1] : [a, b, 0];
  dispatch(family, { wide, thin, parts }, { k, columns: Math.max(m, n), chunk, turned }, 2 * m * n * k);
  dispatch(sumParts, { parts, c: c ?? parts, y }, { size: m * n, count, add_c: Number(c !== undefined), alpha }, m * n * count);
}

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
  const thin = ta && !tb && k >= SPLIT_FROM ? thinKernels.get(Math.min(m, n)) : undefined;
  if (thin) thinProduct(thin, a, b, y, m, n, k, alpha, c);
  else dispatch(matmulFamily, { a, b, c: c ?? a, y }, { m, n, k, ta: Number(ta), tb: Number(tb), add_c: Number(c !== undefined), alpha }, 2 * m * n * k);
  node('matmul', { a, b, c }, [y], ([dy], needs) => {
    if (!dy) return {};
    // y = op(a) op(b):  d op(a) = dy op(b)ᵀ,  d op(b) = op(a)ᵀ dy; a transposed operand takes the transposed gradient.
    const da = needs('a') && (ta ? reshape(matmul(b, dy, { ta: tb, tb: true, alpha }), a.shape) : reshape(matmul(dy, b, { tb: !tb, alpha }), a.shape));
    const db = needs('b') && (tb ? reshape(matmul(dy, a, { ta: true, tb: ta, alpha }), b.shape) : reshape(matmul(a, dy, { ta: !ta, alpha }), b.shape));
    return { a: da || undefined, b: db || undefined, c: c && needs('c') ? dy : undefined };
  });
  return y;
}
