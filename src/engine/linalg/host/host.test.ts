// The oracle itself, by residuals near the precision of f64, and against ml-matrix, which shares no line with it.
import { CholeskyDecomposition, EigenvalueDecomposition, LuDecomposition, Matrix, SingularValueDecomposition, pseudoInverse } from 'ml-matrix';
import { describe, expect, test } from 'vitest';
import { HARD, disorder, distance, gram, random, symmetric, unorthonormal, withValues } from '../testing/matrices';
import { cholesky } from './cholesky';
import { eigh, sylvester } from './eigen';
import { lu, rowsBack, unitUpper } from './lu';
import { type HostMatrix, combine, diagonal, hostMatrix, identity, multiply, scaleRows, transpose } from './matrix';
import { qr } from './qr';
import { pinv, polar, randomisedSvd, svd } from './svd';

const SIZES = [[1, 1], [1, 5], [5, 1], [3, 3], [7, 4], [4, 7], [33, 20]] as const;
const peer = (a: HostMatrix): Matrix => Matrix.from1DArray(a.rows, a.columns, a.data);
const ours = (a: Matrix): HostMatrix => hostMatrix(a.rows, a.columns, a.to1DArray());

describe('svd', () => {
  const check = (a: HostMatrix) => {
    const { U, S, Vt } = svd(a);
    expect(distance(multiply(U, scaleRows(Vt, S)), a)).toBeLessThan(1e-13);
    expect(unorthonormal(transpose(U))).toBeLessThan(1e-13);
    expect(unorthonormal(Vt)).toBeLessThan(1e-13);
    expect(disorder(S)).toEqual([]);
    return S;
  };
  test.each(SIZES)('of a random %i × %i, with the values of ml-matrix', (m, n) => {
    const a = random(m, n);
    const S = check(a);
    const theirs = new SingularValueDecomposition(peer(a), { autoTranspose: true }).diagonal;
    S.forEach((value, i) => expect(value).toBeCloseTo(theirs[i] as number, 11));
  });
  test.each(HARD)('%s', (_, a) => {
    check(a);
  });
  test('by a sketch finds a low rank exactly, and the largest values of any matrix nearly', () => {
    const low = withValues(30, 20, [5, 3, 2, 1]);
    const options = { rank: 4, oversample: 4, iterations: 1, seed: 3 };
    const { U, S, Vt } = randomisedSvd(low, options);
    expect(distance(multiply(U, scaleRows(Vt, S)), low)).toBeLessThan(1e-13);
    const any = random(30, 20);
    const [exact, found] = [svd(any).S, randomisedSvd(any, { ...options, iterations: 6 }).S];
    found.forEach((value, i) => {
      expect(value).toBeLessThanOrEqual((exact[i] as number) * (1 + 1e-12));
      expect(value).toBeGreaterThan((exact[i] as number) * 0.97);
    });
  });
});

test.each(SIZES)('qr of %i × %i', (m, n) => {
  const a = random(m, n);
  const { Q, R } = qr(a);
  expect(distance(multiply(Q, R), a)).toBeLessThan(1e-14);
  expect(unorthonormal(transpose(Q))).toBeLessThan(1e-14);
  for (let i = 0; i < R.rows; i++) for (let j = 0; j <= i; j++) expect(j < i ? R.data[i * n + j] === 0 : (R.data[i * n + i] as number) >= 0).toBe(true);
});

describe('lu', () => {
  test.each(SIZES)('of %i × %i: P L D U is the matrix, and |L| is at most 1', (m, n) => {
    const a = random(m, n);
    const found = lu(a);
    expect(distance(multiply(rowsBack(found), found.U), a)).toBeLessThan(1e-14);
    expect(distance(multiply(rowsBack(found), scaleRows(unitUpper(found), found.d)), a)).toBeLessThan(1e-14);
    expect(found.L.data.every((x) => Math.abs(x) <= 1)).toBe(true);
    found.d.forEach((_, i) => expect([found.L.data[i * found.L.columns + i], unitUpper(found).data[i * n + i]]).toEqual([1, 1]));
  });
  test('takes the pivots of ml-matrix', () => {
    const a = random(12, 12);
    const theirs = new LuDecomposition(peer(a));
    const { L, U, permutation } = lu(a);
    expect([...permutation]).toEqual(theirs.pivotPermutationVector);
    expect(distance(L, ours(theirs.lowerTriangularMatrix))).toBeLessThan(1e-13);
    expect(distance(U, ours(theirs.upperTriangularMatrix))).toBeLessThan(1e-13);
  });
  test('r steps give the first columns and rows of all steps', () => {
    const a = random(9, 7);
    const [whole, part] = [lu(a), lu(a, 3)];
    expect(part.d).toEqual(whole.d.slice(0, 3));
    expect(part.U.data).toEqual(whole.U.data.slice(0, 21));
    const left = rowsBack(whole);
    rowsBack(part).data.forEach((x, i) => expect(x).toBe(left.data[Math.floor(i / 3) * 7 + (i % 3)]));
  });
  test('needs its pivoting where the first entry is tiny', () => {
    const a = random(6, 6);
    a.data[0] = 1e-18;
    const found = lu(a);
    expect(distance(multiply(rowsBack(found), found.U), a)).toBeLessThan(1e-14);
  });
});

test('cholesky, and its refusal', () => {
  const a = gram(random(8, 12));
  const L = cholesky(a);
  expect(distance(gram(L), a)).toBeLessThan(1e-14);
  expect(distance(L, ours(new CholeskyDecomposition(peer(a)).lowerTriangularMatrix))).toBeLessThan(1e-13);
  expect(() => cholesky(gram(random(4, 2)))).toThrow(/pivot [23] of 4/);
  expect(distance(gram(cholesky(gram(random(4, 2)), 0.5)), combine(gram(random(4, 2)), identity(4), 1, 0.5))).toBeLessThan(1e-14);
});

describe('eigh', () => {
  test.each([[[5]], [[3, -3, 3, -3]], [[4, 1e-9, 0, 0, -2]], [[1, 1, 1]]])('of the spectrum %j', (spectrum) => {
    const a = symmetric(spectrum, 5);
    const { values, vectors } = eigh(a);
    [...spectrum].sort((x, y) => y - x).forEach((value, i) => expect(values[i]).toBeCloseTo(value, 13));
    expect(distance(multiply(multiply(transpose(vectors), diagonal(values)), vectors), a)).toBeLessThan(1e-14);
    expect(unorthonormal(vectors)).toBeLessThan(1e-13);
  });
  test('of a random matrix, with the values of ml-matrix', () => {
    const a = random(15, 15);
    const both = combine(a, transpose(a));
    const theirs = new EigenvalueDecomposition(peer(both)).realEigenvalues.sort((x, y) => y - x);
    eigh(both).values.forEach((value, i) => expect(value).toBeCloseTo(theirs[i] as number, 11));
  });
});

test('sylvester solves A X + X B = C, and leaves out what has no solution', () => {
  const [A, B, C] = [symmetric([5, 2, 1]), symmetric([4, 3, 0.5, 0.1], 4), random(3, 4)];
  const X = sylvester(A, B, C);
  expect(distance(combine(multiply(A, X), multiply(X, B)), C)).toBeLessThan(1e-14);
  expect([...sylvester(diagonal([1, 0]), diagonal([0]), hostMatrix(2, 1, [3, 3]), 1e-12).data]).toEqual([3, 0]);
});

test('pinv obeys its four equations, and agrees with ml-matrix', () => {
  for (const a of [random(7, 4), random(4, 7), withValues(9, 6, [4, 2, 1, 0, 0, 0])]) {
    const p = pinv(a, 1e-10);
    expect(distance(multiply(multiply(a, p), a), a)).toBeLessThan(1e-13);
    expect(distance(multiply(multiply(p, a), p), p)).toBeLessThan(1e-13);
    for (const projection of [multiply(a, p), multiply(p, a)]) expect(distance(projection, transpose(projection))).toBeLessThan(1e-13);
  }
  const a = random(6, 6);
  expect(distance(pinv(a, 1e-12), ours(pseudoInverse(peer(a))))).toBeLessThan(1e-11);
});

test('polar is orthogonal and leaves a positive rest', () => {
  const a = random(9, 5);
  const Q = polar(a);
  expect(unorthonormal(transpose(Q))).toBeLessThan(1e-13);
  const rest = multiply(transpose(Q), a);
  expect(distance(rest, transpose(rest))).toBeLessThan(1e-13);
  expect(Math.min(...eigh(rest).values)).toBeGreaterThan(0);
});
