// Whole arrays between float32 and the two 16-bit floats, rounding to nearest even. 16-bit values travel as their bits in a
// Uint16Array, because Float16Array is not in every browser yet and bfloat16 has no array of its own.

/** The float32 bits of every f16, made on first use: 256 KiB that turn widening into one look-up. */
let widened: Uint32Array | undefined;

export function f16ToF32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const table = (widened ??= Uint32Array.from({ length: 65536 }, (_, half) => widenF16(half)));
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = table[bits[i]!]!;
  return new Float32Array(out.buffer);
}

/** A finite value that rounds past 65504 becomes infinity, as in IEEE 754. */
export function f32ToF16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = asBits(values);
  const out = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = narrowF16(bits[i]!);
  return out;
}

export function bf16ToF32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const out = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) out[i] = bits[i]! << 16;
  return new Float32Array(out.buffer);
}

export function f32ToBf16(values: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = asBits(values);
  const out = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const u = bits[i]!;
    // Rounding would carry a NaN whose payload is all ones into the sign: cut it instead and set the quiet bit.
    const notNumber = (u & 0x7fffffff) > 0x7f800000;
    // Half of the last kept place, less one where that place is even: ties go to even, and a carry moves into the exponent.
    out[i] = notNumber ? (u >>> 16) | 0x40 : (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
  }
  return out;
}

function asBits(values: Float32Array): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

function widenF16(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >>> 10) & 31;
  const mantissa = half & 0x3ff;
  if (exponent === 31) return (sign | 0x7f800000 | (mantissa << 13)) >>> 0;
  if (exponent > 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
  if (mantissa === 0) return sign >>> 0;
  // A subnormal is mantissa · 2^-24, which is a normal float32: move its leading bit to the implicit place.
  const shift = Math.clz32(mantissa) - 21;
  return (sign | ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13)) >>> 0;
}

function narrowF16(u: number): number {
  const sign = (u >>> 16) & 0x8000;
  const exponent = (u >>> 23) & 0xff;
  const mantissa = u & 0x7fffff;
  if (exponent === 255) return mantissa === 0 ? sign | 0x7c00 : sign | 0x7e00 | (mantissa >>> 13);
  if (exponent >= 143) return sign | 0x7c00;
  if (exponent >= 113) {
    // Normal: drop 13 bits; a carry out of the mantissa lands in the exponent, up to infinity, which is what rounding means.
    const kept = ((exponent - 112) << 10) | (mantissa >>> 13);
    return sign | roundUp(kept, mantissa & 0x1fff, 0x1000);
  }
  if (exponent < 102) return sign;
  const shift = 126 - exponent;
  const full = mantissa | 0x800000;
  return sign | roundUp(full >>> shift, full & ((1 << shift) - 1), 1 << (shift - 1));
}

function roundUp(kept: number, rest: number, half: number): number {
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}
