// The drivers by residual in double precision: hard spectra, awkward sizes, both kinds of kernels, the same bits every time; what
// they refuse, and that stopping half-way leaves nothing behind.
import { beforeAll, describe, expect, it } from 'vitest';
import type { Device } from '../gpu/device';
import { testDevice } from '../testing/device';
import { free, upload } from '../tensor/memory';
import { tensor } from '../tensor/tensor';
import { choleskyAll } from './cholesky';
import { lu as hostLu, rowsBack, unitUpper } from './host/lu';
import { type HostMatrix, combine, frobenius, hostMatrix, identity, multiply, scaleRows, transpose } from './host/matrix';
import { qr as hostQr } from './host/qr';
import { pinv as hostPinv, randomisedSvd as hostRandomised, svd as hostSvd } from './host/svd';
import { lu } from './lu';
import { type Qr, qr } from './qr';
import { type Svd, type SvdOptions, pinv, svd } from './svd';
import { HARD, disorder, distance, gram, pretending, random, rounded, source, unorthonormal, withValues } from './testing/matrices';

let real: Device;
beforeAll(async () => {
  real = await testDevice();
});

const SIZES = [[1, 1], [1, 7], [7, 1], [3, 3], [65, 3], [3, 65], [63, 65], [65, 63]] as const;
/** Wider than a workgroup, and odd. */
const LARGE = [257, 260] as const;
const KINDS = [['software', true], ['GPU', false]] as const;
const rank = (found: Svd) => found.S.length;
const parts = (a: HostMatrix, found: Svd) => ({ U: hostMatrix(a.rows, rank(found), found.U), Vt: hostMatrix(rank(found), a.columns, found.Vt) });

/** What is wrong with a thin SVD; empty when nothing is. */
function faults(a: HostMatrix, found: Svd): string[] {
  const { U, Vt } = parts(a, found);
  const measures = { residual: distance(multiply(U, scaleRows(Vt, found.S)), a), 'UᵀU − I': unorthonormal(transpose(U)), 'VᵀV − I': unorthonormal(Vt) };
  return [...disorder(found.S), ...Object.entries(measures).flatMap(([name, value]) => (value <= 1e-5 ? [] : [`${name} is ${value}`]))];
}

describe.each(KINDS)('kernels for %s adapters:', (_, software) => {
  let device: Device;
  beforeAll(() => {
    device = pretending(real, software);
  });

  describe('svd', () => {
    it.each(SIZES)('of two random %i × %i', async (m, n) => {
      const matrices = [random(m, n), random(m, n, 2)].map(rounded);
      const found = await svd(device, matrices.map((a) => source(a)), { method: 'jacobi' });
      matrices.forEach((a, i) => {
        expect(faults(a, found[i] as Svd)).toEqual([]);
        const exact = hostSvd(a).S;
        (found[i] as Svd).S.forEach((value, j) => expect(Math.abs(value - (exact[j] as number))).toBeLessThan(2e-6 * (exact[0] as number)));
      });
    });

    it('of hard spectra', async () => {
      const found = await svd(device, HARD.map(([name, a]) => source(a, name)));
      HARD.forEach(([name, a], i) => expect(faults(rounded(a), found[i] as Svd), name).toEqual([]));
    });

    it('of matrices whose squares f32 does not hold', async () => {
      for (const size of [1e-30, 1e30]) {
        const a = rounded(hostMatrix(5, 4, random(5, 4).data.map((x) => size * x)));
        const [found] = await svd(device, [source(a)]) as [Svd];
        expect(faults(a, found)).toEqual([]);
      }
    });

    it('by a sketch: orthonormal, ordered, and what the host finds with the same numbers', async () => {
      for (const [m, n] of [[90, 70], [70, 90]] as const) {
        const a = rounded(withValues(m, n, Array.from({ length: 70 }, (_, i) => 0.8 ** i)));
        const options = { rank: 6, oversample: 5, iterations: 2, seed: 9 };
        const [found] = await svd(device, [source(a)], { ...options, method: 'randomised' }) as [Svd];
        const { U, Vt } = parts(a, found);
        expect([unorthonormal(transpose(U)), unorthonormal(Vt)].every((x) => x <= 1e-5)).toBe(true);
        expect(disorder(found.S)).toEqual([]);
        const host = hostRandomised(a, options);
        expect(distance(multiply(U, scaleRows(Vt, found.S)), multiply(host.U, scaleRows(host.Vt, host.S)))).toBeLessThan(1e-5);
      }
    });

    it('by a sketch: a low rank exactly, and subspaces to 1e-3 before a gap of 1.7, given eight power iterations', async () => {
      const low = rounded(withValues(80, 60, [5, 3, 3, 1]));
      const [found] = await svd(device, [source(low)], { rank: 6 }) as [Svd];
      expect(faults(low, found)).toEqual([]);
      const gap = rounded(withValues(60, 60, Array.from({ length: 60 }, (_, i) => (i < 4 ? 3 - 0.1 * i : 1.6 - 0.01 * i))));
      const [some] = await svd(device, [source(gap)], { rank: 4, method: 'randomised', oversample: 12, iterations: 8 }) as [Svd];
      const exact = hostSvd(gap);
      // Sines of the angles between the subspaces: what is left of one outside of the other.
      const [wanted, Vt] = [hostMatrix(4, 60, exact.Vt.data.slice(0, 240)), parts(gap, some).Vt];
      expect(frobenius(combine(wanted, multiply(multiply(wanted, transpose(Vt)), Vt), 1, -1))).toBeLessThan(1e-3);
    });

    it('truncated by Jacobi: the first of all', async () => {
      const a = rounded(random(20, 12));
      const [all, some] = [await svd(device, [source(a)], { method: 'jacobi' }), await svd(device, [source(a)], { method: 'jacobi', rank: 3 })] as [Svd[], Svd[]];
      const [first, few] = [all[0] as Svd, some[0] as Svd];
      few.S.forEach((value, i) => expect(Math.abs(value - (first.S[i] as number))).toBeLessThan(2e-6 * (first.S[0] as number)));
      expect(distance(hostMatrix(3, 12, few.Vt), hostMatrix(3, 12, first.Vt.slice(0, 36)))).toBeLessThan(1e-5);
    });
  });

  it.each(SIZES)('qr of two random %i × %i', async (m, n) => {
    const matrices = [random(m, n), random(m, n, 2)].map(rounded);
    const found = await qr(device, matrices.map((a) => source(a)));
    matrices.forEach((a, i) => {
      const k = Math.min(m, n);
      const [Q, R] = [hostMatrix(m, k, (found[i] as Qr).Q), hostMatrix(k, n, (found[i] as Qr).R)];
      expect(distance(multiply(Q, R), a)).toBeLessThan(1e-5);
      expect(unorthonormal(transpose(Q))).toBeLessThan(1e-5);
      expect(distance(R, hostQr(a).R)).toBeLessThan(1e-4);
    });
  });

  it('svd, qr and lu of 257 × 260', async () => {
    const a = rounded(random(...LARGE));
    const [found] = await svd(device, [source(a)]) as [Svd];
    expect(faults(a, found)).toEqual([]);
    const [{ Q, R }] = await qr(device, [source(a)]) as [Qr];
    expect(distance(multiply(hostMatrix(257, 257, Q), hostMatrix(257, 260, R)), a)).toBeLessThan(1e-5);
    expect(unorthonormal(transpose(hostMatrix(257, 257, Q)))).toBeLessThan(1e-5);
    const [factors] = await lu(device, [source(a)]) as [Awaited<ReturnType<typeof lu>>[number]];
    expect(distance(multiply(rowsBack(factors), factors.U), a)).toBeLessThan(1e-5);
    expect(factors.permutation).toEqual(hostLu(a).permutation);
  });

  it('qr of low rank is orthonormal all the same', async () => {
    for (const a of [withValues(9, 6, [4, 2, 1, 0, 0, 0]), hostMatrix(4, 3), identity(5)].map(rounded)) {
      const [found] = await qr(device, [source(a)]) as [Qr];
      const k = Math.min(a.rows, a.columns);
      expect(distance(multiply(hostMatrix(a.rows, k, found.Q), hostMatrix(k, a.columns, found.R)), a)).toBeLessThan(1e-5);
      expect(unorthonormal(transpose(hostMatrix(a.rows, k, found.Q)))).toBeLessThan(1e-5);
    }
  });

  describe('lu', () => {
    it.each(SIZES)('of two random %i × %i: P L D U, with the pivots of the host', async (m, n) => {
      const matrices = [random(m, n), random(m, n, 2)].map(rounded);
      const found = await lu(device, matrices.map((a) => source(a)));
      matrices.forEach((a, i) => {
        const factors = found[i] as (typeof found)[number];
        expect(distance(multiply(rowsBack(factors), scaleRows(unitUpper(factors), factors.d)), a)).toBeLessThan(1e-5);
        expect(factors.L.data.every((x) => Math.abs(x) <= 1 + 1e-6)).toBe(true);
        expect(factors.permutation).toEqual(hostLu(a).permutation);
      });
    });

    it('with few steps: the first of all, bit for bit; with zeros and a tiny first entry', async () => {
      const a = rounded(random(30, 20));
      const [whole, part] = [await lu(device, [source(a)]), await lu(device, [source(a)], { steps: 5 })];
      expect(part[0]?.d).toEqual(whole[0]?.d.slice(0, 5));
      expect(part[0]?.U.data).toEqual(whole[0]?.U.data.slice(0, 100));
      const tiny = rounded(random(6, 6));
      tiny.data[0] = 1e-20;
      for (const b of [tiny, withValues(7, 7, [3, 2, 1, 0, 0, 0, 0]), hostMatrix(3, 3)].map(rounded)) {
        const [factors] = await lu(device, [source(b)]) as [(typeof whole)[number]];
        expect(distance(multiply(rowsBack(factors), factors.U), b)).toBeLessThan(1e-5);
      }
    });
  });

  it('cholesky, with jitter where it is needed', async () => {
    const [sound, flat] = [rounded(gram(random(70, 100))), rounded(gram(random(70, 3)))];
    const found = await choleskyAll(device, [source(sound), source(flat)]);
    for (const [i, a] of [sound, flat].entries()) {
      const { L, jitter } = found[i] as (typeof found)[number];
      const mean = a.data.reduce((sum, x, at) => sum + (at % 71 === 0 ? x : 0), 0) / 70;
      expect(distance(gram(hostMatrix(70, 70, L)), combine(a, identity(70), 1, jitter * mean))).toBeLessThan(1e-5);
    }
    expect(found[0]?.jitter).toBe(0);
    expect(found[1]?.jitter).toBeGreaterThan(0);
    await expect(choleskyAll(device, [source(sound, 'good'), source(hostMatrix(70, 70, identity(70).data.map((x) => -x)), 'bad')])).rejects.toThrow(/cholesky: bad is not positive semi-definite/);
  });

  it('pinv of tall, flat and low rank', async () => {
    for (const a of [random(20, 9), random(9, 20), withValues(12, 10, [3, 2, 1, 0, 0, 0, 0, 0, 0, 0])].map(rounded)) {
      const [found] = await pinv(device, [source(a)]) as [Float32Array];
      expect(distance(hostMatrix(a.columns, a.rows, found), hostPinv(a, 1e-5))).toBeLessThan(1e-4);
    }
  });

  it('the same bits every time', async () => {
    const matrices = [random(40, 33), random(33, 40), random(40, 33, 5)].map((a) => source(rounded(a)));
    const run = async () => [await svd(device, matrices), await svd(device, matrices, { rank: 5 }), await lu(device, matrices), await qr(device, matrices)];
    expect(await run()).toEqual(await run());
  });
});

describe('a driver', () => {
  const options = (method: SvdOptions['method'] = 'auto'): SvdOptions => ({ method });

  it('takes tensors and host arrays of several shapes in one call, and gives results in their order', async () => {
    const matrices = [random(6, 4), random(9, 9), random(6, 4, 2), random(4, 6)].map(rounded);
    const t = upload(real, tensor('weight', [9, 9], 'param'), Float32Array.from((matrices[1] as HostMatrix).data));
    const found = await svd(real, matrices.map((a, i) => (i === 1 ? t : source(a))));
    matrices.forEach((a, i) => expect(faults(a, found[i] as Svd)).toEqual([]));
    free(real, t);
  });

  it('tells how far it is, and gives back what it took', async () => {
    const before = real.bytes;
    const seen: number[] = [];
    await svd(real, [random(30, 20), random(30, 20, 2), random(8, 8)].map((a) => source(a)), { progress: (done, total) => { expect(total).toBe(3); seen.push(done); } });
    expect(seen.length).toBeGreaterThan(6);
    expect(seen).toEqual([...seen].sort((a, b) => a - b));
    expect(seen[seen.length - 1]).toBe(3);
    expect(real.bytes).toBe(before);
  });

  it('stops when it is told to, and gives back what it took', async () => {
    const before = real.bytes;
    const stop = new AbortController();
    const running = svd(real, [source(random(30, 20))], { signal: stop.signal, progress: (done) => { if (done > 0.15) stop.abort(new Error('enough')); } });
    await expect(running).rejects.toThrow('enough');
    expect(real.bytes).toBe(before);
  });

  it('refuses by name what is no number, no matrix, and no rank', async () => {
    const before = real.bytes;
    const broken = random(4, 4);
    broken.data[7] = Number.NaN;
    await expect(svd(real, [source(random(4, 4)), source(broken, 'h.3.q_proj')], options())).rejects.toThrow(/svd: h\.3\.q_proj holds a number that is not finite/);
    await expect(lu(real, [{ label: 'w', shape: [4], data: new Float32Array(4) }])).rejects.toThrow(/lu: w is no matrix: its shape is \[4\]/);
    await expect(qr(real, [{ label: 'w', shape: [4, 4], data: new Float32Array(4) }])).rejects.toThrow(/w is \[4, 4\], but has 4 numbers/);
    await expect(svd(real, [source(random(4, 6))], { rank: 5 })).rejects.toThrow(/rank 5 of a 4 × 6 matrix/);
    await expect(svd(real, [source(random(4, 6))], { rank: 2, oversample: -1 })).rejects.toThrow(/oversample -1/);
    await expect(lu(real, [source(random(4, 6))], { steps: 0 })).rejects.toThrow(/0 steps of a 4 × 6 matrix/);
    await expect(choleskyAll(real, [source(random(4, 6))])).rejects.toThrow(/is 4 × 6/);
    expect(real.bytes).toBe(before);
  });
});
