// lowrank bench linalg: the decompositions on the device at hand. Residuals first, then times beside our f64 host version and ml-matrix,
// then the job that methods ask for: the first singular triplets of all matrices of a language model.
import type { Device } from '../../engine/gpu/device';
import { choleskyAll } from '../../engine/linalg/cholesky';
import { eigh } from '../../engine/linalg/eigen';
import { cholesky as hostCholesky } from '../../engine/linalg/host/cholesky';
import { eigh as hostEigh } from '../../engine/linalg/host/eigen';
import { lu as hostLu, rowsBack } from '../../engine/linalg/host/lu';
import { type HostMatrix, combine, frobenius, hostMatrix, identity, multiply, scaleRows, transpose } from '../../engine/linalg/host/matrix';
import { qr as hostQr } from '../../engine/linalg/host/qr';
import { randomisedSvd, svd as hostSvd } from '../../engine/linalg/host/svd';
import { lu } from '../../engine/linalg/lu';
import { qr } from '../../engine/linalg/qr';
import { type Svd, svd } from '../../engine/linalg/svd';
import type { Source } from '../../engine/linalg/work';
import { Graph } from '../../engine/tensor/graph';
import { free, upload } from '../../engine/tensor/memory';
import { compile } from '../../engine/tensor/step';
import { tensor } from '../../engine/tensor/tensor';
import { StudioError } from '../../util/errors';
import { normal } from '../../util/random';
import type { Output } from '../output';

/** What a residual may be: some ten roundings of f32 a dimension, far below what a wrong term would show. */
const BOUND = 1e-5;

const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[Math.floor(xs.length / 2)] as number;
const random = (rows: number, columns: number, seed: number): HostMatrix => hostMatrix(rows, columns, Float32Array.from({ length: rows * columns }, (_, i) => normal(seed, 3, i)));
const source = (a: HostMatrix): Source => ({ label: `${a.rows} × ${a.columns}`, shape: [a.rows, a.columns], data: Float32Array.from(a.data) });
const gram = (a: HostMatrix) => multiply(a, transpose(a));
const distance = (a: HostMatrix, b: HostMatrix) => frobenius(combine(a, b, 1, -1)) / frobenius(b);
const unorthonormal = (columns: HostMatrix) => frobenius(combine(gram(transpose(columns)), identity(columns.columns), 1, -1));

interface Judged {
  readonly residual: number;
  /** ‖QᵀQ − I‖ of the worse orthonormal factor, where there is one. */
  readonly orthogonality?: number;
}

function judgeSvd(a: HostMatrix, { U, S, Vt }: Svd): Judged {
  const [left, right] = [hostMatrix(a.rows, S.length, U), hostMatrix(S.length, a.columns, Vt)];
  return { residual: distance(multiply(left, scaleRows(right, S)), a), orthogonality: Math.max(unorthonormal(left), unorthonormal(transpose(right))) };
}

/** eigh of one stack, recorded and run once. */
async function eighOn(device: Device, matrices: readonly HostMatrix[]): Promise<{ values: Float32Array; vectors: Float32Array }[]> {
  const n = (matrices[0] as HostMatrix).rows;
  const a = upload(device, tensor('a', [matrices.length, n, n], 'param'), Float32Array.from(matrices.flatMap(({ data }) => [...data])));
  const graph = new Graph();
  const found = graph.record(() => eigh(a));
  const step = await compile(device, graph, { keep: [found.values, found.vectors] });
  step.run();
  const [values, vectors] = [await step.read(found.values), await step.read(found.vectors)];
  step.dispose();
  free(device, a);
  return matrices.map((_, i) => ({ values: values.slice(i * n, (i + 1) * n), vectors: vectors.slice(i * n * n, (i + 1) * n * n) }));
}

interface Subject {
  readonly name: string;
  make(n: number, seed: number): HostMatrix;
  /** Results on the device, each to be judged or not: judging in f64 costs more than the device does. */
  solve(device: Device, matrices: readonly HostMatrix[]): Promise<readonly (() => Judged)[]>;
  host(a: HostMatrix): unknown;
  /** The same through ml-matrix. */
  peer(library: typeof import('ml-matrix'), a: import('ml-matrix').Matrix): unknown;
  /** Sides above this are not for it. */
  readonly most: number;
}

/** One judge a result, paired with its matrix. */
const judged = <R>(found: readonly R[], matrices: readonly HostMatrix[], judge: (a: HostMatrix, result: R) => Judged) =>
  found.map((result, i) => () => judge(matrices[i] as HostMatrix, result));

const SUBJECTS: readonly Subject[] = [
  {
    name: 'svd', most: 1024, make: (n, seed) => random(n, n, seed), host: hostSvd,
    solve: async (device, matrices) => judged(await svd(device, matrices.map(source), { method: 'jacobi' }), matrices, judgeSvd),
    peer: (library, a) => new library.SingularValueDecomposition(a),
  },
  {
    name: 'qr', most: 4096, make: (n, seed) => random(n, n, seed), host: hostQr,
    solve: async (device, matrices) => judged(await qr(device, matrices.map(source)), matrices, (a, { Q, R }) => {
      const left = hostMatrix(a.rows, a.columns, Q);
      return { residual: distance(multiply(left, hostMatrix(a.columns, a.columns, R)), a), orthogonality: unorthonormal(left) };
    }),
    peer: (library, a) => new library.QrDecomposition(a).orthogonalMatrix,
  },
  {
    name: 'lu', most: 4096, make: (n, seed) => random(n, n, seed), host: (a) => hostLu(a),
    solve: async (device, matrices) => judged(await lu(device, matrices.map(source)), matrices, (a, found) => ({ residual: distance(multiply(rowsBack(found), found.U), a) })),
    peer: (library, a) => new library.LuDecomposition(a),
  },
  {
    name: 'cholesky', most: 4096, make: (n, seed) => gram(random(n, 2 * n, seed)), host: (a) => hostCholesky(a),
    solve: async (device, matrices) => judged(await choleskyAll(device, matrices.map(source)), matrices, (a, { L }) => ({ residual: distance(gram(hostMatrix(a.rows, a.rows, L)), a) })),
    peer: (library, a) => new library.CholeskyDecomposition(a),
  },
  {
    name: 'eigh', most: 128, make: (n, seed) => gram(random(n, 2 * n, seed)), host: hostEigh,
    solve: async (device, matrices) => judged(await eighOn(device, matrices), matrices, (a, { values, vectors }) => {
      const rows = hostMatrix(a.rows, a.rows, vectors);
      return { residual: distance(multiply(transpose(rows), scaleRows(rows, values)), a), orthogonality: unorthonormal(transpose(rows)) };
    }),
    peer: (library, a) => new library.EigenvalueDecomposition(a, { assumeSymmetric: true }),
  },
];

export interface LinalgBench {
  readonly filter: string;
  readonly rank: number;
  readonly runs: number;
}

/** Throws a StudioError where a residual is above 1e-5: times of wrong results are not worth having. */
export async function benchLinalg(device: Device, { filter, rank, runs }: LinalgBench, output: Output): Promise<void> {
  const { software } = device.profile;
  for (const subject of SUBJECTS.filter(({ name }) => name.includes(filter))) {
    for (const n of [3, 65, software ? 96 : 257].filter((side) => side <= subject.most)) await check(device, subject, n, output);
    for (const [n, count] of (software ? [[64, 4]] : [[64, 64], [128, 32], [256, 16], [576, 8]]) as [number, number][]) if (n <= subject.most) await time(device, subject, n, count, runs, output);
  }
  if ('job'.includes(filter)) await job(device, rank, runs, output);
}

async function check(device: Device, { name, make, solve }: Subject, n: number, output: Output): Promise<void> {
  const results = (await solve(device, [make(n, 1), make(n, 2)])).map((judge) => judge());
  const [residual, orthogonality] = [Math.max(...results.map((r) => r.residual)), Math.max(...results.map((r) => r.orthogonality ?? 0))];
  const passed = residual <= BOUND && orthogonality <= BOUND;
  output.event({ event: 'linalg-check', name, n, residual, orthogonality, passed }, `${passed ? 'right' : 'WRONG'}  ${name} ${n} × ${n}: residual ${residual.toExponential(1)}${orthogonality > 0 ? `, from orthonormal ${orthogonality.toExponential(1)}` : ''}`);
  if (!passed) throw new StudioError(`bench linalg: ${name} of ${n} × ${n} is wrong on this device: residual ${residual}, orthogonality ${orthogonality}, allowed ${BOUND}`, 'Please report it with what `lowrank device` prints.');
}

const clock = async (work: () => unknown): Promise<number> => {
  const start = performance.now();
  await work();
  return performance.now() - start;
};

/** Milliseconds a matrix: `count` at once on the device, with the copies both ways; one alone on the host. */
async function time(device: Device, { name, make, solve, host, peer }: Subject, n: number, count: number, runs: number, output: Output): Promise<void> {
  const matrices = Array.from({ length: count }, (_, i) => make(n, i + 1));
  const run = () => solve(device, matrices);
  const first = await clock(run);
  const times: number[] = [];
  for (let i = 0; i < Math.min(runs, 5); i++) times.push(await clock(run));
  const ms = median(times) / count;
  const [one] = matrices as [HostMatrix];
  const hostMs = await clock(() => host(one));
  const library = await import('ml-matrix');
  const theirs = library.Matrix.from1DArray(n, n, one.data);
  const peerMs = await clock(() => peer(library, theirs));
  output.event({ event: 'linalg', name, n, count, ms, first_ms: first, host_ms: hostMs, ml_matrix_ms: peerMs }, `${name} ${n} × ${n}: ${ms.toFixed(3)} ms a matrix (${count} at once; ${first.toFixed(0)} ms for all the first time), host f64 ${hostMs.toFixed(2)}, ml-matrix ${peerMs.toFixed(2)}`);
}

/** Sites of a layer of SmolLM2-135M: rows, columns, how many. */
const SITES = [[576, 576, 2], [192, 576, 2], [1536, 576, 2], [576, 1536, 1]] as const;
const LAYERS = 30;

async function job(device: Device, rank: number, runs: number, output: Output): Promise<void> {
  // A software adapter would take minutes for all; one layer tells as much about it.
  const layers = device.profile.software ? 1 : LAYERS;
  const shapes = Array.from({ length: layers }, () => SITES.flatMap(([rows, columns, count]) => Array.from({ length: count }, () => [rows, columns] as const))).flat();
  const pool = Float32Array.from({ length: 2 ** 20 }, (_, i) => 0.02 * normal(1, 5, i));
  const weights = shapes.map(([rows, columns], i) => upload(device, tensor(`site ${i}`, [rows, columns], 'param'), Float32Array.from({ length: rows * columns }, (_, j) => pool[(j + 7919 * i + (j >> 20) * 104729) % pool.length] as number)));
  const energies: number[][] = [];
  for (const method of ['randomised', 'jacobi'] as const) {
    if (method === 'jacobi' && device.profile.software) continue;
    const run = () => svd(device, weights, { rank, method, progress: (done, total) => output.progress(`${method}: ${done.toFixed(1)} of ${total} matrices`) });
    let found: Svd[] = [];
    const first = await clock(async () => { found = await run(); });
    const times: number[] = [];
    for (let i = 0; i < Math.min(runs, method === 'randomised' ? 5 : 2); i++) times.push(await clock(run));
    energies.push(found.map(({ S }) => S.reduce((sum, s) => sum + s * s, 0)));
    const ms = median(times);
    output.event({ event: 'linalg-job', method, matrices: weights.length, layers, rank, ms, first_ms: first, peak_bytes: device.peakBytes }, `${rank} singular triplets of ${weights.length} matrices by ${method}: ${(ms / 1000).toFixed(3)} s (the first time ${(first / 1000).toFixed(3)} s)`);
  }
  const hostMs = await clock(() => randomisedSvd(random(576, 576, 1), { rank, oversample: 8, iterations: 2, seed: 0 }));
  output.event({ event: 'linalg-job-host', rank, ms: hostMs }, `the same of one 576 × 576 on the host in f64: ${(hostMs / 1000).toFixed(3)} s`);
  const [sketched, exact] = energies;
  if (sketched && exact) {
    const least = Math.min(...sketched.map((energy, i) => energy / (exact[i] as number)));
    output.event({ event: 'linalg-energy', rank, least }, `of the energy of the best rank ${rank}, the sketch holds at least ${(100 * least).toFixed(2)} %`);
  }
  for (const t of weights) free(device, t);
}
