// Frozen weights as whole numbers: along each row, 32 codes share one scale, and a weight is scale · code. Codes and scales are those of
// GGUF's Q8_0 and Q4_0, found the way llama.cpp finds them, so that such a file and a file quantised here hold the same numbers.
import { f16ToF32, f32ToF16 } from './float16';

/** How frozen weights are kept on the device: what a run's `weights` may say, beside 'auto'. */
export const WEIGHT_KINDS = ['f32', 'f16', 'int8', 'int4'] as const;
export type WeightKind = (typeof WEIGHT_KINDS)[number];
/** `wanted`, or for 'auto' the widest that fits; the narrowest where none does. */
export const weightKind = (wanted: WeightKind | 'auto' | undefined, fits: (kind: WeightKind) => boolean): WeightKind =>
  wanted !== 'auto' ? (wanted ?? 'f32') : (WEIGHT_KINDS.find(fits) ?? 'int4');
export type PackedKind = 'int8' | 'int4';

/** Codes that share a scale. */
export const GROUP = 32;

export interface Packed {
  readonly kind: PackedKind;
  /** int8: −127 … 127; int4: −8 … 7. */
  readonly codes: Int8Array;
  /** f16 bits, one for each GROUP of codes. */
  readonly scales: Uint16Array;
}

/** The nearest codes to values whose number is a multiple of GROUP. */
export function quantise(kind: PackedKind, values: Float32Array): Packed {
  const groups = values.length / GROUP;
  const codes = new Int8Array(values.length);
  const exact = new Float32Array(groups);
  for (let g = 0; g < groups; g++) {
    const start = g * GROUP;
    let extreme = 0;
    for (let i = start; i < start + GROUP; i++) if (Math.abs(values[i] as number) > Math.abs(extreme)) extreme = values[i] as number;
    // int4 gives the extreme −8, of which there is no +8: its scale has the sign that makes it so.
    const scale = Math.fround(kind === 'int8' ? Math.abs(extreme) / 127 : extreme / -8);
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
    exact[g] = scale;
    for (let i = start; i < start + GROUP; i++) {
      const x = Math.fround((values[i] as number) * inverse);
      // Halves go away from zero in int8, up in int4, as in llama.cpp.
      codes[i] = kind === 'int8' ? Math.sign(x) * Math.floor(Math.abs(x) + 0.5) : Math.min(15, Math.floor(Math.fround(x + 8.5))) - 8;
    }
  }
  return { kind, codes, scales: f32ToF16(exact) };
}

/** scale · code, exact in f32. */
export function dequantise({ codes, scales }: Packed): Float32Array<ArrayBuffer> {
  const wide = f16ToF32(scales);
  const values = new Float32Array(codes.length);
  for (let i = 0; i < codes.length; i++) values[i] = (wide[Math.floor(i / GROUP)] as number) * (codes[i] as number);
  return values;
}

const codeWords = (kind: PackedKind, elements: number) => elements / (kind === 'int8' ? 4 : 8);
/** Words on the device: all codes in order, then all scales. */
export const packedWords = (kind: PackedKind, elements: number): number => codeWords(kind, elements) + Math.ceil(elements / GROUP / 2);

/**
 * As kernels read them: int8 four codes a word, int4 eight of code + 8, the first in the lowest bits; then the scales, two a word.
 * shaders/common/matmul_packed.wgsl is the other side of this.
 */
export function toWords({ kind, codes, scales }: Packed): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(packedWords(kind, codes.length));
  const bytes = new Uint8Array(words.buffer);
  if (kind === 'int8') bytes.set(new Uint8Array(codes.buffer, codes.byteOffset, codes.length));
  else for (let i = 0; i < codes.length; i += 2) bytes[i / 2] = ((codes[i] as number) + 8) | (((codes[i + 1] as number) + 8) << 4);
  new Uint16Array(words.buffer, 4 * codeWords(kind, codes.length)).set(scales);
  return words;
}

export function fromWords(kind: PackedKind, words: Uint32Array, elements: number): Packed {
  const start = words.byteOffset;
  const codes = new Int8Array(elements);
  if (kind === 'int8') codes.set(new Int8Array(words.buffer, start, elements));
  else new Uint8Array(words.buffer, start, elements / 2).forEach((two, i) => {
    codes[2 * i] = (two & 15) - 8;
    codes[2 * i + 1] = (two >> 4) - 8;
  });
  return { kind, codes, scales: new Uint16Array(words.buffer, start + 4 * codeWords(kind, elements), elements / GROUP).slice() };
}
