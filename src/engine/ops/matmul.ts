// Matrix products, the bulk of all work: one op, several kernels, chosen by measurement on the device at hand.
import directSource from '../../../shaders/matmul/direct.wgsl?raw';
import vec4Source from '../../../shaders/matmul/direct_vec4.wgsl?raw';
import halfDirectSource from '../../../shaders/matmul/half_direct.wgsl?raw';
import halfMatrixSource from '../../../shaders/matmul/half_matrix.wgsl?raw';
import halfTiledSource from '../../../shaders/matmul/half_tiled.wgsl?raw';
import narrowSource from '../../../shaders/matmul/narrow.wgsl?raw';
import narrowRowsSource from '../../../shaders/matmul/narrow_rows.wgsl?raw';
import thinSource from '../../../shaders/matmul/thin.wgsl?raw';
import splitSource from '../../../shaders/matmul/thin_split.wgsl?raw';
import tiledSource from '../../../shaders/matmul/tiled.wgsl?raw';
import tiledVec4Source from '../../../shaders/matmul/tiled_vec4.wgsl?raw';
import quantDirectSource from '../../../shaders/quant/direct.wgsl?raw';
import quantTiledSource from '../../../shaders/quant/tiled.wgsl?raw';
import { ShapeError } from '../../util/errors';
import { GROUP, type PackedKind, packedWords } from '../../util/packed';
import type { Profile } from '../gpu/device';
import { type Grid, type Kernel, type ParamValues, ceilDiv, grid1d, kernel } from '../gpu/kernel';
import type { Family } from '../tensor/family';
import type { Trial, TrialBinding } from '../tensor/gate';
import { bound, rebind, supplyFusion, supplyTwins } from '../tensor/fuse';
import { type Command, dispatch, node, output } from '../tensor/graph';
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
const tiledVec4 = (BM: number, BN: number, TM: number, TN: number, S: number) =>
  kernel('matmul/tiled_vec4', tiledVec4Source, (p) => blocks(p, BM, BN), { constants: { BM, BN, TM, TN, S } });
const narrow = (name: string, source: string) => kernel(name, source, (p) => [ceilDiv(p.m as number, 4), ceilDiv(p.n as number, 16)]);
const [narrowColumns, narrowRows] = [narrow('matmul/narrow', narrowSource), narrow('matmul/narrow_rows', narrowRowsSource)];

// Few candidates: each costs a measurement on devices where measuring is slow. Few columns want the invocations along the rows.
const software = [direct(8, 1), direct(1, 4)];
const softwareVec4 = [0, 1, 2, 3].map((flags) => {
  const [wide, tall] = [vec4(8, 1, flags >> 1, flags & 1), vec4(1, 4, flags >> 1, flags & 1)];
  return { few: [tall, wide], many: [wide, direct(8, 1)] };
});
// Large blocks reuse more, small ones fill more of the device.
const hardware = [tiled(4, 4, 16), tiled(2, 2, 32), tiled(4, 1, 32), direct(8, 8)];
const hardwareVec4 = new Map<number, Kernel[]>([
  [1, [tiledVec4(64, 64, 8, 4, 1), tiledVec4(128, 64, 8, 4, 1), tiledVec4(64, 32, 4, 4, 1), tiledVec4(32, 32, 4, 4, 1)]],
  [2, [tiledVec4(64, 32, 4, 4, 2), tiledVec4(64, 64, 8, 4, 2), tiledVec4(32, 32, 4, 4, 2)]],
  [4, [tiledVec4(64, 32, 4, 4, 4), tiledVec4(32, 32, 4, 4, 4), tiledVec4(64, 64, 8, 4, 4)]],
]);
/** Into how many slices k is cut where blocks are too few to fill a GPU. By shape alone, since it changes the order of the sum. */
function slicesOf(m: number, n: number, k: number): number {
  const blocks = ceilDiv(m, 64) * ceilDiv(n, 64);
  if (k < 128 || blocks > 160) return 1;
  return blocks > 80 || k < 192 ? 2 : 4;
}
/** Workgroup memory of the tiled kernels: tiles of a and b, each row with its padding. */
export function tileBytes({ tuning: { constants } }: Kernel): number {
  if (!constants) return 0;
  const { BM, BN, TM, TN, BK, S } = constants;
  return BM === undefined ? 4 * (BK as number) * (16 * ((TM as number) + (TN as number)) + 2) : 4 * 16 * (S as number) * (BM + (BN as number) + 8);
}
/** Invocations of a workgroup. */
export function invocations({ tuning: { constants } }: Kernel): number {
  const { BM, BN, TM, TN, S } = constants ?? {};
  return BM === undefined ? 256 : ((BM * (BN as number)) / ((TM as number) * (TN as number))) * (S as number);
}
const fitting = (profile: Profile) => (kernel: Kernel) => tileBytes(kernel) <= profile.workgroupBytes && invocations(kernel) <= profile.invocations;
/** Columns up to which a product is a way into a low rank, and the terms from which sharing them out pays. */
const NARROW = { columns: 64, terms: 64 };

export const matmulFamily: Family = {
  name: 'matmul',
  plain: () => direct(8, 1),
  trial: productTrial,
  reflection: (hardware[0] as (typeof hardware)[number]).reflection,
  candidates: (profile, { m, n, k, k2, ta, tb }) => {
    const fours = [k, n, ta ? m : k, tb ? k : n].every((size) => (size as number) % 4 === 0);
    if (!profile.software) {
      // It adds up in another order than the others, so shapes alone decide on it.
      if (!ta && !k2 && (n as number) <= NARROW.columns && (k as number) >= NARROW.terms && profile.workgroupBytes > NARROW_BYTES) return [!tb && (n as number) % 4 === 0 ? narrowRows : narrowColumns];
      const fast = fours ? (hardwareVec4.get(slicesOf(m as number, n as number, (k as number) + (k2 as number))) ?? []).filter(fitting(profile)) : [];
      return fast.length > 0 ? fast : hardware.filter(fitting(profile));
    }
    const byFlags = softwareVec4[2 * (ta as number) + (tb as number)];
    if (![k, ta ? m : k, tb ? k : n].every((size) => (size as number) % 4 === 0) || !byFlags) return software;
    return (n as number) <= 16 ? byFlags.few : byFlags.many;
  },
};
/** Frozen weights as halves on the right: their fours must not cross rows. */
const halfMatrix = (BM: number, BN: number, WM: number, WN: number, TB: number) =>
  kernel('matmul/half_matrix', halfMatrixSource, (p) => blocks(p, BM, BN), { constants: { BM, BN, WM, WN, TB } });
const matrixKernels = [0, 1].map((tb) => [halfMatrix(64, 64, 32, 32, tb), halfMatrix(128, 64, 32, 32, tb), halfMatrix(128, 128, 64, 64, tb)]);
const halfTiled = new Map([1, 2, 4].map((S) => [S, (S < 4 ? [[64, 8], [32, 4]] as const : [[32, 4]] as const).map(([BN, TM]) =>
  kernel('matmul/half_tiled', halfTiledSource, (p) => blocks(p, 64, BN), { constants: { BM: 64, BN, TM, TN: 4, S } }))]));
const halfDirect = [0, 1].map((TB) => kernel('matmul/half_direct', halfDirectSource, (p) => blocks(p, 4, 64), { overrides: { WX: 8, WY: 1, TA: 0, TB } }));

export const halfFamily: Family = {
  name: 'matmul/half',
  reflection: (halfDirect[0] as Kernel).reflection,
  packed: { b: 'f16' },
  plain: ({ tb }) => halfDirect[tb as number] as Kernel,
  trial: productTrial,
  candidates: (profile, { m, n, k, k2, tb }) => {
    const direct = halfDirect[tb as number] as Kernel;
    if (profile.software || (n as number) % 4 !== 0) return [direct];
    // Matrix units round the left factor to f16: no other kernel may stand in for them, whatever is measured.
    if (profile.matrices) return matrixKernels[tb as number] as Kernel[];
    const tiled = (halfTiled.get(slicesOf(m as number, n as number, (k as number) + (k2 as number))) ?? []).filter(fitting(profile));
    return tiled.length > 0 ? tiled : [direct];
  },
};
/** Frozen weights as codes with scales on the right; like halves, never turned beside a turned left factor. */
function quantisedFamily(kind: PackedKind): Family {
  const BITS = kind === 'int8' ? 8 : 4;
  const direct = [0, 1].map((TB) => kernel('quant/direct', quantDirectSource, (p) => blocks(p, 4, 64), { constants: { BITS, TB } }));
  const tiled = new Map([1, 2, 4].map((S) => [S, (S < 4 ? [[64, 8], [32, 4]] as const : [[32, 4]] as const).map(([BN, TM]) =>
    kernel('quant/tiled', quantTiledSource, (p) => blocks(p, 64, BN), { constants: { BITS, BM: 64, BN, TM, TN: 4, S } }))]));
  return {
    name: `matmul/${kind}`,
    reflection: (direct[0] as Kernel).reflection,
    packed: { b: kind },
    plain: ({ tb }) => direct[tb as number] as Kernel,
    trial: (params, kernel) => productTrial(params, kernel, kind),
    candidates: (profile, { m, n, k, k2, tb }) => {
      const plain = direct[tb as number] as Kernel;
      if (profile.software || (n as number) % 4 !== 0) return [plain];
      const fast = (tiled.get(slicesOf(m as number, n as number, (k as number) + (k2 as number))) ?? []).filter(fitting(profile));
      return fast.length > 0 ? fast : [plain];
    },
  };
}
export const quantisedFamilies: Readonly<Record<PackedKind, Family>> = { int8: quantisedFamily('int8'), int4: quantisedFamily('int4') };

/** The family that reads the right factor as it is kept, where these sizes allow it; any other factor is widened. */
function familyFor({ dtype }: Tensor, n: number, k: number, ta: boolean): Family {
  if (ta || k % 4 !== 0) return matmulFamily;
  if (dtype === 'f16') return n % 4 === 0 ? halfFamily : matmulFamily;
  if (dtype === 'int8' || dtype === 'int4') return quantisedFamilies[dtype];
  return matmulFamily;
}

/** Sizes that are even with no tile, of the flags of the work at hand. */
function productTrial({ ta, tb, k2, add_c, add_bias, lift }: ParamValues, kernel: Kernel, kind?: PackedKind): Trial {
  const few = kernel.name.startsWith('matmul/narrow');
  // Rows of codes hold whole groups.
  const [m, n, k, second] = kind ? [68, tb ? 132 : 160, tb ? 288 : 276, k2 ? 11 : 0] : [68, few ? 20 : 132, 276, k2 ? 11 : 0];
  const half = kernel.name.startsWith('matmul/half');
  const right = tb ? n * k : k * n;
  return {
    params: { m, n, k, k2: second, ta: ta as number, tb: tb as number, add_c: add_c as number, add_bias: add_bias as number, alpha: 0.5, alpha2: 2, ...(lift === undefined ? {} : { lift }) },
    bindings: {
      a: { elements: m * k, fill: 'normal' }, b: kind ? codesOf(kind, right) : { elements: half ? right / 2 : right, fill: half ? 'halves' : 'normal' },
      a2: { elements: Math.max(m * second, 1), fill: 'normal' }, b2: { elements: Math.max(n * second, 1), fill: 'normal' },
      c: { elements: m * n, fill: 'normal' }, bias: { elements: n, fill: 'normal' }, y: { elements: m * n, fill: 'normal' },
    },
    // f32 sums of 287 terms in another order; matrix units round one factor to 11 bits first.
    tolerance: kernel.name === 'matmul/half_matrix' ? 2e-3 : 1e-5,
  };
}
/** Codes of all values, with scales from 2^-6 to 2^-3 and of both signs. */
const codesOf = (kind: PackedKind, elements: number): TrialBinding => {
  const words = packedWords(kind, elements);
  const codes = words - elements / GROUP / 2;
  return { elements: words, fill: (i) => (i < codes ? Math.imul(i + 1, 0x9e3779b1) >>> 0 : [0x26003000, 0xac002400, 0x2e00a800][i % 3] as number) };
};
const NARROW_BYTES = 4 * (4 * 64 * 16 + 4 * 4 * 16);

const THIN_SIZES = [4, 8, 12, 16, 20, 24, 28, 32];
/** aᵀ b with one side of a few columns, the gradient of a low-rank factor: a family of its own, since its kernels add up in other orders. */
const thinGroups = (p: ParamValues, width: number) => ceilDiv(p.columns as number, width) + ceilDiv(p.columns2 as number, width);
const thinSplit = kernel('matmul/thin_split', splitSource, (p) => [thinGroups(p, 8), ceilDiv(p.thin_columns as number, 16)]);
const thinKernels = new Map(THIN_SIZES.map((THIN) => {
  const direct = kernel('matmul/thin', thinSource, (p) => [thinGroups(p, 8)], { overrides: { WG: 8, THIN } });
  const trial = ({ turned, turned2, columns2, add_c }: ParamValues): Trial => {
    const [k, columns, other] = [300, 44, columns2 ? 60 : 0];
    const sides = { wide: k * columns, thin: k * THIN, c: columns * THIN, y: columns * THIN, wide2: Math.max(k * other, 1), thin2: k * THIN, y2: Math.max(other * THIN, 4) };
    return {
      params: { k, columns, columns2: other, thin_columns: THIN, turned: turned as number, turned2: turned2 as number, add_c: add_c as number, alpha: 0.5, alpha2: 2 },
      bindings: Object.fromEntries(Object.entries(sides).map(([name, elements]) => [name, { elements, fill: 'normal' as const }])),
      tolerance: 1e-5,
    };
  };
  return [THIN, { name: 'matmul/thin', reflection: direct.reflection, plain: () => direct, trial, candidates: ({ software: soft, workgroupBytes }) => [soft || workgroupBytes < 16384 ? direct : thinSplit] } as Family];
}));
/** Fewer terms than this are not worth a kernel of their own. */
const THIN_FROM = 256;

/** aᵀ b (a [k, m], b [k, n]) with a thin side, into y. */
function thinProduct(family: Family, a: Tensor, b: Tensor, y: Tensor, m: number, n: number, k: number, alpha: number, c: Tensor | undefined): void {
  const [wide, thin, turned] = n > m ? [b, a, 1] : [a, b, 0];
  const params = { k, columns: Math.max(m, n), columns2: 0, thin_columns: Math.min(m, n), turned, turned2: 0, add_c: Number(c !== undefined), alpha, alpha2: 1 };
  dispatch(family, { wide, thin, c: c ?? wide, y, wide2: wide, thin2: thin, y2: output('none', [4]) }, params, 2 * m * n * k);
}

export interface MatmulOptions {
  /** Read a as [k, m]. */
  ta?: boolean;
  /** Read b as [n, k]. */
  tb?: boolean;
  alpha?: number;
  /** Added to the product, shape [m, n]. */
  c?: Tensor;
  /** A power of two by which a is lifted where it is rounded to f16, so that small gradients are kept; taken back at the end. */
  lift?: number;
}

/** Gradients of a mean over m rows are about 1/m of what they would be of one row: four times that is lifted. */
const liftOf = (m: number) => 2 ** Math.min(16, Math.ceil(Math.log2(m)) + 2);

/**
 * alpha·a·b (+ c). Leading sizes of `a` count as rows: a [..., k] · b [k, n] gives [..., n].
 * With `ta` or when it is the right factor, an operand is read as the matrix [rows, last size].
 */
export function matmul(a: Tensor, b: Tensor, { ta = false, tb = false, alpha = 1, c, lift = 1 }: MatmulOptions = {}): Tensor {
  const [aRows, aCols] = [elements(a) / lastOf(a), lastOf(a)];
  const [bRows, bCols] = [elements(b) / lastOf(b), lastOf(b)];
  const [m, k] = ta ? [aCols, aRows] : [aRows, aCols];
  const [kb, n] = tb ? [bCols, bRows] : [bRows, bCols];
  if (k !== kb) throw new ShapeError(`matmul: inner sizes differ: ${describe(a)}${ta ? 'ᵀ' : ''} has ${k}, ${describe(b)}${tb ? 'ᵀ' : ''} has ${kb}`);
  const shape = ta ? [m, n] : [...a.shape.slice(0, -1), n];
  if (c && !sameShape(c.shape, shape)) throw new ShapeError(`matmul: c must be [${shape.join(', ')}], got ${describe(c)}`);
  const y = output('matmul', shape);
  const thin = ta && !tb && k >= THIN_FROM ? thinKernels.get(Math.min(m, n)) : undefined;
  if (thin) thinProduct(thin, a, b, y, m, n, k, alpha, c);
  else {
    // The second product and the bias are joined in by the fusion pass (tensor/fuse.ts), so no op has to know of them.
    const params = { m, n, k, k2: 0, ta: Number(ta), tb: Number(tb), add_c: Number(c !== undefined), add_bias: 0, alpha, alpha2: 1 };
    const family = familyFor(b, n, k, ta);
    dispatch(family, { a, b, a2: a, b2: a, c: c ?? a, bias: a, y }, { ...params, ...(family === matmulFamily ? {} : { lift }) }, 2 * m * n * k);
  }
  node('matmul', { a, b, c }, [y], ([dy], needs) => {
    if (!dy) return {};
    // y = op(a) op(b):  d op(a) = dy op(b)ᵀ,  d op(b) = op(a)ᵀ dy; a transposed operand takes the transposed gradient.
    const da = needs('a') && (ta ? reshape(matmul(b, dy, { ta: tb, tb: true, alpha }), a.shape) : reshape(matmul(dy, b, { tb: !tb, alpha, lift: liftOf(m) }), a.shape));
    const db = needs('b') && (tb ? reshape(matmul(dy, a, { ta: true, tb: ta, alpha }), b.shape) : reshape(matmul(a, dy, { ta: !ta, alpha }), b.shape));
    return { a: da || undefined, b: db || undefined, c: c && needs('c') ? dy : undefined };
  });
  return y;
}

const products: readonly Family[] = [matmulFamily, halfFamily, ...Object.values(quantisedFamilies)];
const isProduct = ({ family }: Command) => products.includes(family);
/** Terms of the second product up to which it is read one by one. */
const SECOND_TERMS = 64;

/** A residual: product + x. */
supplyFusion({
  consumer: 'elementwise/axpby',
  // The later one first: then what it was added to can still take in a low-rank branch.
  bindings: ['y', 'x'],
  join(sum, product, binding) {
    if (sum.params.alpha !== 1 || sum.params.beta !== 1 || product.params.add_c !== 0) return null;
    if (!isProduct(product) && product.family.name !== 'matmul/thin') return null;
    return rebind(product, { c: bound(sum, binding === 'x' ? 'y' : 'x'), y: bound(sum, 'z') }, { add_c: 1 });
  },
});

/** A bias: product + b, column by column. */
supplyFusion({
  consumer: 'elementwise/add_columns',
  bindings: ['x'],
  join(sum, product) {
    if (!isProduct(product) || product.params.add_c !== 0 || product.params.add_bias !== 0 || product.params.n !== sum.params.columns) return null;
    return rebind(product, { bias: bound(sum, 'b'), y: bound(sum, 'z') }, { add_bias: 1 });
  },
});

/** The low-rank branch of an adapter: a product to which another one of the same shape was to be added. */
for (const { name } of products) supplyFusion({
  consumer: name,
  bindings: ['c'],
  join(after, before) {
    const [p, q] = [after.params, before.params];
    if (!isProduct(before) || !p.add_c || p.add_bias || p.k2 || q.k2 || !p.alpha || !q.alpha) return null;
    if ((['m', 'n', 'ta', 'tb'] as const).some((name) => p[name] !== q[name])) return null;
    const [main, second] = (p.k as number) >= (q.k as number) ? [after, before] : [before, after];
    const k2 = second.params.k as number;
    // The branch itself is f32; narrow kernels have no second product.
    if (second.family !== matmulFamily || k2 > SECOND_TERMS || (main.family === matmulFamily && (p.n as number) <= NARROW.columns)) return null;
    return rebind(main, { a2: bound(second, 'a'), b2: bound(second, 'b'), c: q.add_c ? bound(before, 'c') : bound(main, 'a'), bias: bound(before, 'bias'), y: bound(after, 'y') },
      { k2, alpha2: (second.params.alpha as number) / (main.params.alpha as number), add_c: q.add_c as number, add_bias: q.add_bias as number });
  },
});

/** The gradients of both factors of one adapter, over the same rows and rank. */
supplyTwins('matmul/thin', (first, second) => {
  const [p, q] = [first.params, second.params];
  if (p.k !== q.k || p.thin_columns !== q.thin_columns || p.columns2 || q.columns2 || q.add_c) return null;
  const tensors = { wide2: bound(second, 'wide'), thin2: bound(second, 'thin'), y2: bound(second, 'y') };
  return rebind(first, tensors, { columns2: q.columns as number, turned2: q.turned as number, alpha2: q.alpha as number });
});
