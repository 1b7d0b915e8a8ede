// Thin and truncated SVD of many matrices at once: one-sided Jacobi, or a random sketch with power iterations where few of many
// singular values are wanted. Recorded steps driven by the host, which looks at the angles left after every sweep.
import roundSource from '../../../shaders/linalg/jacobi_round.wgsl?raw';
import lengthsSource from '../../../shaders/linalg/lengths.wgsl?raw';
import orderSource from '../../../shaders/linalg/order_rows.wgsl?raw';
import { ConfigError, StudioError } from '../../util/errors';
import type { Device } from '../gpu/device';
import { ceilDiv, grid1d, kernel } from '../gpu/kernel';
import { rowFamily } from '../tensor/family';
import { dispatch } from '../tensor/graph';
import { upload } from '../tensor/memory';
import { type Tensor, describe } from '../tensor/tensor';
import { divideInto } from './eigen';
import { sketchMatrix } from './host/svd';
import { copyInto, productInto, stackSizes, turnInto } from './products';
import { formQ, formR, polish, reflect } from './qr';
import { type Chunk, type DriverOptions, type Source, type Work, drive, matrixOf } from './work';

const roundKernel = rowFamily((LANES, ROWS) => kernel('linalg/jacobi_round', roundSource, (p) => grid1d(ceilDiv((p.batch as number) * (p.half as number), ROWS)), { overrides: { LANES, ROWS } }));
const lengthsKernel = rowFamily((LANES, ROWS) => kernel('linalg/lengths', lengthsSource, (p) => grid1d(ceilDiv(p.rows as number, ROWS)), { overrides: { LANES, ROWS } }));
const orderKernel = rowFamily((LANES, ROWS) => kernel('linalg/order_rows', orderSource, (p) => grid1d(ceilDiv((p.batch as number) * (p.n as number), ROWS)), { overrides: { LANES, ROWS } }));

/** Longest short side for Jacobi, whose work grows with its cube. */
const JACOBI_SIDE = 1024;
/** Largest |cos| between two rows in a sweep after which no further one is needed: what is left is about the square of it, below f32. */
const ORTHOGONAL = 1e-4;
const MOST_SWEEPS = 40;

export interface SvdOptions extends DriverOptions {
  /** Singular values wanted, from the largest; all min(m, n) unless given. */
  readonly rank?: number | undefined;
  /** 'auto' sketches where at most a quarter of the values is wanted. Jacobi is exact to f32; a sketch is as exact as the spectrum falls steeply. */
  readonly method?: 'auto' | 'jacobi' | 'randomised' | undefined;
  /** Sketch: rows beyond the rank. */
  readonly oversample?: number | undefined;
  /** Sketch: power iterations, each two products with the matrix and two QR. */
  readonly iterations?: number | undefined;
  /** Sketch: seed of its random numbers; the same seed gives the same bits. */
  readonly seed?: number | undefined;
}

export interface Svd {
  /** [m, r] row-major, orthonormal columns. */
  readonly U: Float32Array;
  /** [r], non-negative, largest first. */
  readonly S: Float32Array;
  /** [r, n] row-major, orthonormal rows. */
  readonly Vt: Float32Array;
}

interface Plan {
  readonly rank: number;
  readonly randomised: boolean;
  /** Rows of the sketch. */
  readonly width: number;
  readonly iterations: number;
  readonly seed: number;
}

/** Checks the options against a shape. Throws a ConfigError that says which numbers would do. */
function planFor({ rows, columns }: { rows: number; columns: number }, { rank, method = 'auto', oversample = 8, iterations = 2, seed = 0 }: SvdOptions): Plan {
  const side = Math.min(rows, columns);
  const wanted = rank ?? side;
  if (!Number.isInteger(wanted) || wanted < 1 || wanted > side) throw new ConfigError(`svd: rank ${wanted} of a ${rows} × ${columns} matrix`, `Choose a whole number from 1 to ${side}.`);
  if (!Number.isInteger(oversample) || oversample < 0) throw new ConfigError(`svd: oversample ${oversample}`, 'Choose a whole number from 0.');
  if (!Number.isInteger(iterations) || iterations < 0) throw new ConfigError(`svd: ${iterations} power iterations`, 'Choose a whole number from 0.');
  const randomised = method === 'randomised' || (method === 'auto' && (4 * wanted <= side || side > JACOBI_SIDE));
  const width = randomised ? Math.min(wanted + oversample, side) : side;
  if (width > JACOBI_SIDE) throw new ConfigError(`svd: ${width} singular values of a ${rows} × ${columns} matrix: Jacobi takes a short side of at most ${JACOBI_SIDE}`, `Ask for a rank of at most ${JACOBI_SIDE - oversample} with method 'randomised'.`);
  return { rank: wanted, randomised, width, iterations, seed };
}

/** a [m, n] ≈ U diag(S) Vt for every matrix, in f32 on the device. Throws ConfigError, DataError, ShapeError, the signal's reason. */
export function svd(device: Device, matrices: readonly Source[], options: SvdOptions = {}): Promise<Svd[]> {
  return drive(device, 'svd', matrices, options, async (work, chunk, report) => {
    const { rows: m, columns: n, sources } = chunk;
    const { rank } = planFor(chunk, options);
    const { left, right, values } = await factors(work, chunk, options, report);
    const u = work.tensor('u', [sources.length, m, rank]);
    await work.perform(() => turnInto(u, left));
    const [U, S, Vt] = [await work.read(u), await work.read(values), await work.read(right)];
    return sources.map((_, i) => ({ U: matrixOf(U, i, m * rank), S: matrixOf(S, i, rank), Vt: matrixOf(Vt, i, rank * n) }));
  });
}

/** The pseudo-inverse [n, m] row-major of every matrix [m, n]: singular values at or below `cutoff` of the largest count as zero. */
export function pinv(device: Device, matrices: readonly Source[], { cutoff = 1e-5, ...options }: DriverOptions & { readonly cutoff?: number } = {}): Promise<Float32Array[]> {
  return drive(device, 'pinv', matrices, options, async (work, chunk, report) => {
    const { rows: m, columns: n, sources } = chunk;
    const { left, right, values } = await factors(work, chunk, { method: 'jacobi' }, report);
    const [scaled, y] = [work.tensor('scaled', left.shape), work.tensor('inverse', [sources.length, n, m])];
    await work.perform(() => {
      divideInto(scaled, left, values, { relative: cutoff });
      productInto(y, right, scaled, { ta: true });
    });
    const inverse = await work.read(y);
    return sources.map((_, i) => matrixOf(inverse, i, n * m));
  });
}

/** Singular vectors as rows [batch, rank, length], and values [batch, rank]. */
interface Factors {
  readonly left: Tensor;
  readonly right: Tensor;
  readonly values: Tensor;
}

async function factors(work: Work, chunk: Chunk, options: SvdOptions, report: (share: number) => void): Promise<Factors> {
  const plan = planFor(chunk, options);
  const { x, scale } = await work.load('svd', chunk);
  if (plan.randomised) return sketched(work, x, scale, plan, report);
  const [batch, m, n] = stackSizes('svd', x);
  if (m <= n) {
    const { short, long, values } = await jacobi(work, x, scale, plan.rank, report);
    return { left: short, right: long, values };
  }
  const turned = work.tensor('turned', [batch, n, m]);
  await work.perform(() => turnInto(turned, x));
  work.release(x);
  const { short, long, values } = await jacobi(work, turned, scale, plan.rank, report);
  return { left: long, right: short, values };
}

/**
 * The first `keep` triplets of the matrices x [batch, n, m], n ≤ m: short [batch, keep, n], long [batch, keep, m] with x = shortᵀ diag(values) long.
 * Jacobi runs on the triangle R of xᵀ = Q R and turns its rows into S Vᵀ without keeping the rotations; only the directions V are
 * taken from that. Householder makes them orthonormal even for zero singular values, and a second one gives the long vectors and the
 * values from the product of V with x itself, so that rounding over thousands of rotations does not reach the result.
 */
async function jacobi(work: Work, x: Tensor, scale: Tensor, keep: number, report: (share: number) => void): Promise<{ short: Tensor; long: Tensor; values: Tensor }> {
  const [batch, n, m] = stackSizes('svd', x);
  const half = ceilDiv(n, 2);
  const [g, r] = [work.tensor('columns', [batch, n, m]), work.tensor('triangle', [batch, n, n])];
  const all = { v: work.tensor('reflectors', [batch, n, m]), diagonal: work.tensor('lengths', [batch, n]) };
  const cosine = work.tensor('cosine', [batch, half]);
  await work.perform(() => {
    copyInto(g, x);
    reflect(g, all);
    formR(g, all, r);
  }, (share) => report(0.1 * share));
  for (const t of [g, all.v]) work.release(t);

  const sweep = await work.prepare(() => {
    for (let round = 0; round < 2 * half - 1; round++) dispatch(roundKernel, { g: r, cosine }, { batch, n, m: n, half, round }, 12 * batch * half * n);
  });
  for (let count = 1; ; count++) {
    await work.replay(sweep, (share) => report(Math.min(0.85, 0.1 + 0.09 * (count - 1 + share))));
    const largest = (await work.read(cosine)).reduce((most, cos) => Math.max(most, cos), 0);
    if (largest <= ORTHOGONAL) break;
    if (count === MOST_SWEEPS) throw new StudioError(`svd: ${MOST_SWEEPS} sweeps over ${describe(x)} left an angle whose cosine is ${largest}`, 'Please report the matrix: Jacobi should have ended long before.');
  }

  const lengths = all.diagonal;
  const rows = (label: string, length: number) => work.tensor(label, [batch, keep, length]);
  const [short, long, shortSpare, longSpare, gram] = [rows('short', n), rows('long', m), rows('short spare', n), rows('long spare', m), rows('gram', keep)];
  const [diagonal, values] = [work.tensor('diagonal', [batch, keep]), work.tensor('values', [batch, keep])];
  /** The rows of t, into `spare`. */
  const orthonormalise = (t: Tensor, spare: Tensor) => {
    reflect(t, { v: spare, diagonal });
    formQ({ v: spare, diagonal }, t);
    polish(t, gram, spare);
  };
  await work.perform(() => {
    // Long rows first: Householder takes the directions of later ones from what earlier ones leave.
    dispatch(lengthsKernel, { x: r, lengths }, { rows: batch * n, m: n }, 2 * batch * n * n);
    orderRows(r, lengths, scale, short, values);
    orthonormalise(short, shortSpare);
    productInto(long, shortSpare, x);
    orthonormalise(long, longSpare);
    // Values that differ by rounding only may have changed places.
    orderRows(shortSpare, diagonal, scale, short, values);
    orderRows(longSpare, diagonal, scale, long, values);
  }, (share) => report(0.85 + 0.15 * share));
  return { short, long, values };
}

/** Rows of x [batch, n, m] by |key| [batch, n], the first of them into y [batch, keep, m], and scale · |key| into values [batch, keep]. */
function orderRows(x: Tensor, key: Tensor, scale: Tensor, y: Tensor, values: Tensor): void {
  const [batch, n, m] = stackSizes('order: x', x);
  dispatch(orderKernel, { x, key, scale, y, values }, { batch, n, m, keep: y.shape[1] as number }, batch * n * (n + m));
}

/** The first triplets of x [batch, m, n] by a random sketch of its rows and power iterations (Halko, Martinsson and Tropp 2011, algorithms 4.4 and 5.1). */
async function sketched(work: Work, x: Tensor, scale: Tensor, { rank, width, iterations, seed }: Plan, report: (share: number) => void): Promise<Factors> {
  const [batch, m, n] = stackSizes('svd', x);
  const omega = upload(work.device, work.tensor('sketch', [1, width, n]), sketchMatrix(width, n, seed));
  const [q, z] = [work.tensor('range', [batch, width, m]), work.tensor('corange', [batch, width, n])];
  const [qv, zv] = [work.tensor('range reflectors', q.shape), work.tensor('corange reflectors', z.shape)];
  const [diagonal, room] = [work.tensor('range diagonal', [batch, width]), work.tensor('gram', [batch, width, width])];
  const orthonormalise = (t: Tensor, v: Tensor) => {
    reflect(t, { v, diagonal });
    formQ({ v, diagonal }, t);
  };
  await work.perform(() => {
    productInto(q, omega, x, { tb: true });
    orthonormalise(q, qv);
    for (let i = 0; i < iterations; i++) {
      productInto(z, q, x);
      orthonormalise(z, zv);
      productInto(q, z, x, { tb: true });
      orthonormalise(q, qv);
    }
    polish(q, room, qv);
    productInto(z, qv, x);
  }, (share) => report(0.6 * share));
  for (const t of [x, q, zv]) work.release(t);

  // z = Qᵀ a is the small problem; width ≤ n.
  const core = await jacobi(work, z, scale, rank, (share) => report(0.6 + 0.4 * share));
  const left = work.tensor('left', [batch, rank, m]);
  await work.perform(() => productInto(left, core.short, qv));
  return { left, right: core.long, values: core.values };
}
