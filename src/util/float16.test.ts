import { describe, expect, it } from 'vitest';
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from './float16';

const every16 = Uint16Array.from({ length: 65536 }, (_, i) => i);
const bitsOf = (values: Float32Array) => new Uint32Array(values.buffer, values.byteOffset, values.length);
const fromBits = (bits: number[]) => new Float32Array(Uint32Array.from(bits).buffer);

/** The value of an f16 by its definition. */
function f16Value(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >> 10) & 31;
  const mantissa = half & 1023;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** Nearest of the values[0..infinity], which grow; ties go to the even code, and infinity counts as the next step. */
function nearest(x: number, values: ArrayLike<number>, infinity: number): number {
  const at = (code: number) => (code < infinity ? values[code]! : 2 * values[infinity - 1]! - values[infinity - 2]!);
  let low = 0;
  let high = infinity;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(middle) <= x) low = middle;
    else high = middle;
  }
  if (x >= at(infinity)) return infinity;
  const below = x - at(low);
  const above = at(high) - x;
  return below < above || (below === above && low % 2 === 0) ? low : high;
}

/** Random float32 bit patterns from a fixed linear congruence. */
function randomBits(count: number): number[] {
  let state = 12345;
  return Array.from({ length: count }, () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) ^ (state >>> 11)).map((u) => u >>> 0);
}

describe('f16', () => {
  it('widens every value to what IEEE 754 says', () => {
    const wide = f16ToF32(every16);
    for (let i = 0; i < 65536; i++) {
      if (!Object.is(wide[i], f16Value(i))) throw new Error(`f16 ${i.toString(16)} became ${wide[i]}, not ${f16Value(i)}`);
    }
  });

  it('narrows back every value bit for bit, NaNs excepted, which stay NaN and keep their sign', () => {
    const back = f32ToF16(f16ToF32(every16));
    for (let i = 0; i < 65536; i++) {
      const notNumber = (i & 0x7fff) > 0x7c00;
      const wanted = notNumber ? i | 0x200 : i;
      if (back[i] !== wanted) throw new Error(`f16 ${i.toString(16)} came back as ${back[i]!.toString(16)}`);
    }
  });

  it('rounds to nearest even at and around every midpoint', () => {
    for (let code = 0; code < 0x7c00; code++) {
      const next = code + 1 < 0x7c00 ? f16Value(code + 1) : 65536;
      const middle = (f16Value(code) + next) / 2;
      const [bits] = bitsOf(Float32Array.of(middle));
      const [down, tie, up] = f32ToF16(fromBits([bits! - 1, bits!, bits! + 1]));
      if (down !== code || tie !== code + (code % 2) || up !== code + 1) throw new Error(`around ${middle}: ${down} ${tie} ${up}, code ${code}`);
    }
  });

  it('agrees with a search for the nearest value on random floats of both signs', () => {
    const bits = randomBits(200_000).map((u) => (((u & 0x807fffff) | ((95 + (u % 53)) << 23)) >>> 0));
    const halves = Float64Array.from({ length: 0x7c00 }, (_, code) => f16Value(code));
    const values = fromBits(bits);
    const got = f32ToF16(values);
    values.forEach((x, i) => {
      const wanted = nearest(Math.abs(x), halves, 0x7c00) | (x < 0 ? 0x8000 : 0);
      if (got[i] !== wanted) throw new Error(`${x} became ${got[i]!.toString(16)}, not ${wanted.toString(16)}`);
    });
  });

  it('keeps zeros, infinities and the ends of the range', () => {
    const values = Float32Array.of(0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 65504, 65519.996, 65520, -1e38, 2 ** -24, 2 ** -25, 1e-45);
    expect([...f32ToF16(values)]).toEqual([0, 0x8000, 0x7c00, 0xfc00, 0x7bff, 0x7bff, 0x7c00, 0xfc00, 1, 0, 0]);
    expect(f32ToF16(fromBits([0x7f800001, 0xffffffff])).every((h) => (h & 0x7fff) > 0x7c00)).toBe(true);
  });
});

describe('bf16', () => {
  it('widens by the upper half and narrows back bit for bit', () => {
    const wide = bf16ToF32(every16);
    const back = f32ToBf16(wide);
    for (let i = 0; i < 65536; i++) {
      if (bitsOf(wide)[i] !== (i << 16) >>> 0) throw new Error(`bf16 ${i} widened wrongly`);
      const notNumber = (i & 0x7fff) > 0x7f80;
      if (back[i] !== (notNumber ? i | 0x40 : i)) throw new Error(`bf16 ${i.toString(16)} came back as ${back[i]!.toString(16)}`);
    }
  });

  it('agrees with a search for the nearest value on random floats, subnormals and ties included', () => {
    const brains = Float64Array.from({ length: 0x7f80 }, (_, code) => fromBits([code << 16])[0]!);
    const bits = randomBits(100_000).flatMap((u) => [u, (u & 0xffff0000) | 0x8000].map((v) => v >>> 0)).filter((u) => (u & 0x7fffffff) < 0x7f800000);
    const values = fromBits(bits);
    const got = f32ToBf16(values);
    values.forEach((x, i) => {
      const wanted = nearest(Math.abs(x), brains, 0x7f80) | (bits[i]! >>> 31 ? 0x8000 : 0);
      if (got[i] !== wanted) throw new Error(`${x} became ${got[i]!.toString(16)}, not ${wanted.toString(16)}`);
    });
  });

  it('keeps zeros, infinities and NaN', () => {
    const values = Float32Array.of(0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3.4028234e38);
    expect([...f32ToBf16(values)]).toEqual([0, 0x8000, 0x7f80, 0xff80, 0x7f80]);
    expect(f32ToBf16(fromBits([0x7fffffff, 0xff800001])).every((h) => (h & 0x7fff) > 0x7f80)).toBe(true);
  });
});

it('reads and writes through views that do not start at the beginning of their buffer', () => {
  const values = new Float32Array(4);
  values.set([9, 1, -2, 0.5]);
  expect([...f16ToF32(f32ToF16(values.subarray(1)))]).toEqual([1, -2, 0.5]);
  expect([...bf16ToF32(f32ToBf16(values.subarray(1)))]).toEqual([1, -2, 0.5]);
});
