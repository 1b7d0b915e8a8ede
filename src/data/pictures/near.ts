// Pictures that show nearly the same: compared as 16 × 16 greys, of which those of like brightness are looked at.
import type { DataSummary } from '../dataset';
import type { Preprocess } from './preprocess';

const GRID = 16;
/** Mean difference of two sketches, of 255, up to which they count as nearly the same. */
const CLOSE = 4;

export interface Sketch {
  /** Equal pixels have equal keys. */
  readonly key: string;
  /** Greys [16, 16], and their mean. */
  readonly greys: Uint8Array;
  readonly mean: number;
}

/** Of bytes [channels, size, size]. */
export function sketch(pixels: Uint8Array, { channels, size }: Pick<Preprocess, 'channels' | 'size'>): Sketch {
  const [greys, area] = [new Uint8Array(GRID * GRID), size * size];
  for (let y = 0; y < GRID; y++) {
    for (let x = 0; x < GRID; x++) {
      const [top, left] = [Math.floor((y * size) / GRID), Math.floor((x * size) / GRID)];
      const [bottom, right] = [Math.max(top + 1, Math.floor(((y + 1) * size) / GRID)), Math.max(left + 1, Math.floor(((x + 1) * size) / GRID))];
      let sum = 0;
      for (let c = 0; c < channels; c++) for (let r = top; r < bottom; r++) for (let k = left; k < right; k++) sum += pixels[c * area + r * size + k] as number;
      greys[y * GRID + x] = Math.round(sum / (channels * (bottom - top) * (right - left)));
    }
  }
  return { key: keyOf(pixels), greys, mean: greys.reduce((a, b) => a + b, 0) / greys.length };
}

/** Two FNV-1a hashes of the bytes, from different starts. */
function keyOf(pixels: Uint8Array): string {
  let [a, b] = [0x811c_9dc5, 0x050c_5d1f];
  for (const byte of pixels) {
    a = Math.imul(a ^ byte, 0x0100_0193);
    b = Math.imul(b ^ byte, 0x0100_019d);
  }
  return (a >>> 0).toString(16).padStart(8, '0') + (b >>> 0).toString(16).padStart(8, '0');
}

/** Held-out pictures with a training picture that shows nearly the same, and the nearest few. */
export function nearPictures(held: readonly { place: string; sketch: Sketch }[], train: readonly { place: string; sketch: Sketch }[], examples: number): DataSummary['near'] {
  const sorted = [...train].sort((a, b) => a.sketch.mean - b.sketch.mean);
  const found = held.flatMap((row) => {
    let [best, nearest] = [CLOSE + Number.EPSILON, ''];
    // A mean difference of pixels is never less than the difference of means.
    for (let i = firstFrom(sorted, row.sketch.mean - CLOSE); i < sorted.length; i++) {
      const other = sorted[i] as (typeof sorted)[number];
      if (other.sketch.mean > row.sketch.mean + CLOSE) break;
      const gap = difference(row.sketch.greys, other.sketch.greys, best);
      if (gap < best) [best, nearest] = [gap, other.place];
    }
    return nearest === '' ? [] : [{ held: row.place, train: nearest, similarity: 1 - best / 255 }];
  });
  return { count: found.length, examples: found.sort((a, b) => b.similarity - a.similarity).slice(0, examples) };
}

function firstFrom(sorted: readonly { sketch: Sketch }[], mean: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as { sketch: Sketch }).sketch.mean < mean) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Mean absolute difference; left off once it is sure to be above `most`. */
function difference(a: Uint8Array, b: Uint8Array, most: number): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) {
    sum += Math.abs((a[i] as number) - (b[i] as number));
    if (sum > most * a.length) return Number.POSITIVE_INFINITY;
  }
  return sum / a.length;
}
