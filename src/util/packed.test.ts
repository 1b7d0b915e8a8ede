// Codes and scales: against the arithmetic of llama.cpp written out, what they must keep, and their way to words and back.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { f16ToF32 } from './float16';
import { GROUP, type PackedKind, dequantise, fromWords, packedWords, quantise, toWords } from './packed';
import { normal } from './random';

const KINDS: PackedKind[] = ['int8', 'int4'];
const normals = (n: number, scale = 1) => Float32Array.from({ length: n }, (_, i) => scale * normal(5, 0, i));

describe.each(KINDS)('%s', (kind) => {
  it('is off by at most half a step, int4 by a whole one at the end that has no code', () => {
    const values = normals(64 * GROUP);
    const packed = quantise(kind, values);
    const scales = f16ToF32(packed.scales);
    dequantise(packed).forEach((x, i) => {
      const [step, value] = [Math.abs(scales[Math.floor(i / GROUP)] as number), values[i] as number];
      // The scale itself is rounded to 11 bits, after the codes were found.
      const rounding = Math.abs(value) * 2 ** -11 + 1e-7;
      const opposite = kind === 'int4' && (value / (scales[Math.floor(i / GROUP)] as number)) > 7.5;
      expect(Math.abs(x - value)).toBeLessThanOrEqual((opposite ? 1 : 0.5) * step * (1 + 1e-6) + rounding);
    });
  });

  it('keeps what is quantised already, bit for bit', () => {
    const once = dequantise(quantise(kind, normals(8 * GROUP, 0.03)));
    expect(dequantise(quantise(kind, once))).toEqual(once);
  });

  it('goes to words and back', () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 9 }), fc.integer(), (groups, seed) => {
      const packed = quantise(kind, Float32Array.from({ length: groups * GROUP }, (_, i) => normal(seed >>> 0, 1, i)));
      const words = toWords(packed);
      expect(words.length).toBe(packedWords(kind, groups * GROUP));
      expect(fromWords(kind, words, groups * GROUP)).toEqual(packed);
    }), { numRuns: 20 });
  });

  it('gives zeros for zeros, and leaves the other groups alone', () => {
    const values = normals(3 * GROUP);
    values.fill(0, GROUP, 2 * GROUP);
    const back = dequantise(quantise(kind, values));
    expect(back.slice(GROUP, 2 * GROUP).every((x) => x === 0)).toBe(true);
    expect(back.slice(2 * GROUP)).toEqual(dequantise(quantise(kind, values.slice(2 * GROUP))));
  });
});

describe('by hand', () => {
  // One group whose extreme is −4: int8 steps are 4 / 127, int4 steps 0.5.
  const values = new Float32Array(GROUP);
  values.set([-4, 3.9, 0.25, -0.25, 0.24, 1]);
  it('int8 rounds to the nearest, halves away from zero', () => {
    const { codes, scales } = quantise('int8', values);
    expect([...codes.slice(0, 6)]).toEqual([-127, 124, 8, -8, 8, 32]);
    expect(f16ToF32(scales)[0]).toBeCloseTo(4 / 127, 5);
  });
  it('int4 gives the extreme −8, halves go up, and +8 is cut to 7', () => {
    const { codes, scales } = quantise('int4', values);
    expect([...codes.slice(0, 6)]).toEqual([-8, 7, 1, 0, 0, 2]);
    expect(f16ToF32(scales)[0]).toBe(0.5);
    expect([...quantise('int4', values.map((x) => -x)).codes.slice(0, 6)]).toEqual([-8, 7, 1, 0, 0, 2]);
  });
  it('int4 packs the first code into the lowest bits', () => {
    expect((toWords(quantise('int4', values))[0] as number).toString(16)).toBe('88a889f0');
  });
});
