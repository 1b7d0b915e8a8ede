// The probes do the work that they are credited with, and the clock tells long from short.
import { beforeAll, describe, expect, it } from 'vitest';
import copySource from '../../../shaders/probe/copy.wgsl?raw';
import fmaSource from '../../../shaders/probe/fma.wgsl?raw';
import type { Device, Slice } from '../gpu/device';
import { ceilDiv, kernel } from '../gpu/kernel';
import { testDevice } from '../testing/device';
import { timeKernel } from '../gpu/measure';
import { noise } from '../testing/noise';
import { sampledError, shareOff } from '../testing/product';
import { limitsOf, rooflineShare } from './roofline';

let device: Device;
beforeAll(async () => { device = await testDevice(); });

const buffer = (numbers: Float32Array): Slice => {
  const made = device.allocate(numbers.byteLength, 'probe');
  device.gpu.queue.writeBuffer(made, 0, numbers as GPUAllowSharedBufferSource);
  return { buffer: made, offset: 0, size: made.size };
};
const read = async (slice: Slice) => new Float32Array(await device.read(slice));

describe('probes', () => {
  it.each([1, 8])('copy moves every number, %i an invocation', async (EACH) => {
    const n = 1000;
    const from = buffer(noise(4 * n, 1));
    const to = buffer(new Float32Array(4 * n));
    await timeKernel(device, kernel('probe/copy', copySource, (p) => [ceilDiv(p.n as number, 64 * EACH)], { overrides: { EACH } }), { n }, [from, to], 1);
    expect(await read(to)).toEqual(await read(from));
  });

  it('fma does all of its rounds', async () => {
    const [n, rounds] = [70, 3];
    const from = buffer(Float32Array.of(0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1));
    const to = buffer(new Float32Array(4 * n));
    await timeKernel(device, kernel('probe/fma', fmaSource, (p) => [ceilDiv(p.n as number, 64)]), { n, rounds }, [from, to], 1);
    // v ← v/2 + 1 three times is v/8 + 7/4; eight chains begin at i … i + 7. All of it is exact in f32.
    const want = Float32Array.from({ length: 4 * n }, (_, j) => 8 * (Math.floor(j / 4) / 8 + 7 / 4) + 28 / 8);
    expect(await read(to)).toEqual(want);
  });

  it('a chain eight times as long takes more than twice and less than thirty times as long', async () => {
    const [from, to] = [buffer(Float32Array.of(0.5, 0.5, 0.5, 0.5, 1, 1, 1, 1)), buffer(new Float32Array(4 * 4096))];
    const chain = kernel('probe/fma', fmaSource, (p) => [ceilDiv(p.n as number, 64)]);
    const time = async (rounds: number) => (await timeKernel(device, chain, { n: 4096, rounds }, [from, to])).ms;
    const [short, long] = [await time(256), await time(2048)];
    expect(long / short).toBeGreaterThan(2);
    expect(long / short).toBeLessThan(30);
  });
});

describe('limits', () => {
  it('are measured once a device', async () => {
    const limits = await limitsOf(device);
    expect(limits.bytes).toBeGreaterThan(0);
    expect(limits.f32).toBeGreaterThan(0);
    expect(limits.f16 === null).toBe(!device.gpu.features.has('shader-f16'));
    expect(await limitsOf(device)).toBe(limits);
  });

  it('a share is the larger of both', () => {
    const limits = { bytes: 100, f32: 1000, f16: null };
    expect(rooflineShare(limits, { flops: 500, bytes: 20, ms: 1 })).toEqual({ share: 0.5, bound: 'compute' });
    expect(rooflineShare(limits, { flops: 500, bytes: 80, ms: 1 })).toEqual({ share: 0.8, bound: 'memory' });
  });
});

describe('sampled products', () => {
  const shape = { m: 9, n: 7, k: 5, ta: false, tb: false };
  const [a, b] = [noise(45, 1), noise(35, 2)];
  const y = Float32Array.from({ length: 63 }, (_, at) => {
    let total = 0;
    for (let i = 0; i < 5; i++) total += (a[Math.floor(at / 7) * 5 + i] as number) * (b[i * 7 + (at % 7)] as number);
    return total;
  });
  const turned = (x: Float32Array, rows: number, columns: number) => Float32Array.from({ length: x.length }, (_, i) => x[(i % rows) * columns + Math.floor(i / rows)] as number);

  it('are right in every order', () => {
    expect(sampledError(y, a, b, shape)).toBeLessThan(1e-6);
    expect(sampledError(y, turned(a, 9, 5), b, { ...shape, ta: true })).toBeLessThan(1e-6);
    expect(sampledError(y, a, turned(b, 5, 7), { ...shape, tb: true })).toBeLessThan(1e-6);
  });

  it('a planted error is seen, and so is NaN', () => {
    expect(sampledError(y.with(62, (y[62] as number) + 0.1), a, b, shape)).toBeGreaterThan(1e-3);
    expect(sampledError(y.with(0, Number.NaN), a, b, shape)).toBeNaN();
    expect(shareOff(y, y)).toBe(0);
    expect(shareOff(y.with(0, Number.NaN), y)).toBeNaN();
    expect(shareOff(y.with(5, 9), y)).toBeGreaterThan(1);
    expect(shareOff(y.subarray(1), y)).toBeNaN();
  });
});
