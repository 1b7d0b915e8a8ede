// Cholesky factors of many symmetric positive definite matrices at once.
import source from '../../../shaders/linalg/cholesky.wgsl?raw';
import { DataError, ShapeError } from '../../util/errors';
import type { Device } from '../gpu/device';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch, node, output } from '../tensor/graph';
import { type Tensor, wantShape } from '../tensor/tensor';
import { smallSquare, stackSizes } from './products';
import { type DriverOptions, type Source, drive, matrixOf } from './work';

const family = rowFamily((LANES, ROWS) => kernel('linalg/cholesky', source, (p) => grid1d(ceilDiv(p.batch as number, ROWS)), { overrides: { LANES, ROWS } }));

export interface Jitter {
  /** Added to the diagonal. */
  readonly jitter?: number;
  /** This share of the mean diagonal entry is added too. */
  readonly relative?: number;
}

/** Columns [start, stop) of the factors, the ones before being done. */
export function choleskyInto(a: Tensor, l: Tensor, failed: Tensor, [start, stop]: readonly [number, number], { jitter = 0, relative = 0 }: Jitter): void {
  const [batch, n] = stackSizes('cholesky: a', a);
  wantShape('cholesky: l', l, [batch, n, n]);
  dispatch(family, { a, l, failed }, { batch, n, start, stop, jitter, relative }, (2 * batch * n * (stop ** 2 - start ** 2)) / 2);
}

/**
 * Lower L [batch, n, n] with L Lᵀ = a + jitter I, a symmetric [batch, n, n], n ≤ 128. Recorded; not differentiable. A step cannot throw:
 * a pivot that is not positive is set to 1e-7 of its diagonal entry, and failed [batch] counts such pivots, so zero is what to hope for.
 */
export function cholesky(a: Tensor, options: Jitter = {}): { L: Tensor; failed: Tensor } {
  const [batch, n] = smallSquare('cholesky: a', a);
  const [L, failed] = [output('cholesky', [batch, n, n]), output('cholesky.failed', [batch])];
  choleskyInto(a, L, failed, [0, n], options);
  node('cholesky', { a }, [L, failed], null);
  return { L, failed };
}

/** A factor L [n, n] row-major, and the share of the mean diagonal entry that was added to the diagonal to get it. */
export interface Cholesky {
  readonly L: Float32Array;
  readonly jitter: number;
}

/** Shares of the mean diagonal entry that are tried in turn. */
const JITTERS = [0, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2];
/** Columns of one dispatch: long enough to be worth one, short enough for slow devices. */
const COLUMNS = 32;

/**
 * L Lᵀ = a + jitter · (mean diagonal entry) · I for every symmetric matrix [n, n], in f32 on the device, with the least jitter of 0, 1e-6, 1e-5 … 1e-2
 * from `jitter` on that makes all pivots positive. Throws a DataError that names the matrix where none does; ShapeError, the signal's reason.
 */
export function choleskyAll(device: Device, matrices: readonly Source[], { jitter = 0, ...options }: DriverOptions & { readonly jitter?: number } = {}): Promise<Cholesky[]> {
  return drive(device, 'cholesky', matrices, options, async (work, chunk, report) => {
    const { rows: n, columns, sources } = chunk;
    const batch = sources.length;
    if (n !== columns) throw new ShapeError(`cholesky: ${(sources[0] as Source).label} is ${n} × ${columns}`, 'Give square, symmetric matrices.');
    const { x, powers } = await work.load('cholesky', chunk);
    const [l, failed] = [work.tensor('factor', [batch, n, n]), work.tensor('failed', [batch])];
    const found: (Cholesky | undefined)[] = new Array(batch).fill(undefined);
    for (const relative of [jitter, ...JITTERS.filter((share) => share > jitter)]) {
      await work.perform(() => {
        for (let start = 0; start < n; start += COLUMNS) choleskyInto(x, l, failed, [start, Math.min(start + COLUMNS, n)], { relative });
      }, report);
      const [factors, bad] = [await work.read(l), await work.read(failed)];
      for (let i = 0; i < batch; i++) {
        if (!found[i] && bad[i] === 0) found[i] = { L: matrixOf(factors, i, n * n).map((value) => value * Math.sqrt(powers[i] as number)), jitter: relative };
      }
      if (found.every(Boolean)) return found as Cholesky[];
    }
    throw new DataError(`cholesky: ${(sources[found.findIndex((factor) => !factor)] as Source).label} is not positive semi-definite: its pivots are negative even with 1e-2 of its mean diagonal entry added`, 'Give a Gram matrix or another symmetric positive one.');
  });
}
