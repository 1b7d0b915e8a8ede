// Householder QR of many matrices at once. The matrices stand turned, their columns as rows, so that a reflection runs along memory: one
// dispatch a column for the triangle, one for Q; no barrier crosses workgroups, and no dispatch is long.
import reflectSource from '../../../shaders/linalg/householder.wgsl?raw';
import formSource from '../../../shaders/linalg/householder_q.wgsl?raw';
import upperSource from '../../../shaders/linalg/upper.wgsl?raw';
import type { Device } from '../gpu/device';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { elementwise } from '../ops/elementwise';
import { rowFamily } from '../tensor/family';
import { dispatch } from '../tensor/graph';
import { type Tensor, elements, wantShape } from '../tensor/tensor';
import { productInto, stackSizes, turnInto } from './products';
import { type DriverOptions, type Source, drive, matrixOf } from './work';

const reflectKernel = rowFamily((LANES, ROWS) => kernel('linalg/householder', reflectSource, (p) => grid1d(ceilDiv((p.batch as number) * ((p.n as number) - (p.j as number)), ROWS)), { overrides: { LANES, ROWS } }));
const formKernel = rowFamily((LANES, ROWS) => kernel('linalg/householder_q', formSource, (p) => grid1d(ceilDiv((p.batch as number) * (p.steps as number), ROWS)), { overrides: { LANES, ROWS } }));
const upperKernel = elementwise('linalg/upper', upperSource);

/** What a factorisation leaves: reflectors [batch, steps, m] and the diagonal of R with its signs [batch, steps]. */
export interface Reflectors {
  readonly v: Tensor;
  readonly diagonal: Tensor;
}

/** Factors the matrices whose columns are the rows of g [batch, n, m], in place: above the diagonal, R stands in g. steps = min(n, m). */
export function reflect(g: Tensor, { v, diagonal }: Reflectors): void {
  const [batch, n, m] = stackSizes('qr: g', g);
  const steps = Math.min(n, m);
  wantShape('qr: v', v, [batch, steps, m]);
  wantShape('qr: diagonal', diagonal, [batch, steps]);
  for (let j = 0; j < steps; j++) dispatch(reflectKernel, { g, v, diagonal }, { batch, n, m, steps, j }, 8 * batch * (n - j) * (m - j));
}

/** The columns of Q as rows of q [batch, steps, m]. */
export function formQ({ v, diagonal }: Reflectors, q: Tensor): void {
  const [batch, steps, m] = stackSizes('qr: v', v);
  wantShape('qr: q', q, [batch, steps, m]);
  dispatch(formKernel, { v, diagonal, q }, { batch, m, steps }, 2 * batch * steps * steps * m);
}

/**
 * The rows of q [batch, n, m] nearer to orthonormal, into y: one Newton–Schulz step, (3 I − q qᵀ) q / 2, with room for q qᵀ [batch, n, n]. Each of
 * n reflections or rotations is off by a rounding; this leaves the rounding of one product.
 */
export function polish(q: Tensor, room: Tensor, y: Tensor): void {
  productInto(room, q, q, { tb: true });
  productInto(y, room, q, { alpha: -0.5, c: q, beta: 1.5 });
}

/** R [batch, steps, n] with a diagonal that is not negative. */
export function formR(g: Tensor, { diagonal }: Reflectors, r: Tensor): void {
  const [batch, n, m] = stackSizes('qr: g', g);
  const steps = Math.min(n, m);
  wantShape('qr: r', r, [batch, steps, n]);
  dispatch(upperKernel, { g, diagonal, r }, { size: elements(r), n, m, steps });
}

export interface Qr {
  /** [m, k] row-major, orthonormal columns, k = min(m, n). */
  readonly Q: Float32Array;
  /** [k, n] row-major, upper triangular, diagonal ≥ 0. */
  readonly R: Float32Array;
}

/** a [m, n] = Q R for every matrix, in f32 on the device. Q is orthonormal whatever the rank. Throws DataError, ShapeError, the signal's reason. */
export function qr(device: Device, matrices: readonly Source[], options: DriverOptions = {}): Promise<Qr[]> {
  return drive(device, 'qr', matrices, options, async (work, chunk, report) => {
    const { rows: m, columns: n, sources } = chunk;
    const batch = sources.length;
    const steps = Math.min(m, n);
    const { x, powers } = await work.load('qr', chunk);
    const g = work.tensor('columns', [batch, n, m]);
    const reflectors = { v: work.tensor('reflectors', [batch, steps, m]), diagonal: work.tensor('diagonal', [batch, steps]) };
    const [qt, q, r] = [work.tensor('q rows', [batch, steps, m]), work.tensor('q', [batch, m, steps]), work.tensor('r', [batch, steps, n])];
    const room = work.tensor('gram', [batch, steps, steps]);
    await work.perform(() => {
      turnInto(g, x);
      reflect(g, reflectors);
      formR(g, reflectors, r);
      formQ(reflectors, qt);
      polish(qt, room, reflectors.v);
      turnInto(q, reflectors.v);
    }, report);
    const [Q, R] = [await work.read(q), await work.read(r)];
    return sources.map((_, i) => ({ Q: matrixOf(Q, i, m * steps), R: matrixOf(R, i, steps * n).map((value) => value * (powers[i] as number)) }));
  });
}
