// Resizing as Pillow does it (Image.resize, ImagingResample in C): the filter is stretched where a picture shrinks, so that every pixel
// takes part; weights are whole numbers of 2⁻²²; the width first, then the height, rounded to bytes in between.

interface Filter { readonly support: number; readonly weight: (x: number) => number }

const sinc = (x: number) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
/** By Pillow's number, which is what `resample` in a preprocessor_config.json says. */
const FILTERS: Readonly<Record<number, Filter>> = {
  1: { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
  2: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  3: { support: 2, weight: cubic },
  4: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  5: { support: 1, weight: (x) => (x === 0 ? 1 : Math.abs(x) >= 1 ? 0 : sinc(x) * (0.54 + 0.46 * Math.cos(Math.PI * x))) },
};
export const RESAMPLE = { 0: 'nearest', 1: 'lanczos', 2: 'bilinear', 3: 'bicubic', 4: 'box', 5: 'hamming' } as const;
export type Resample = keyof typeof RESAMPLE;

const BITS = 22;

/** Keys 1981 with a = −0.5. */
function cubic(value: number): number {
  const x = Math.abs(value), a = -0.5;
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/** Bytes [height, width, channels] as [to.height, to.width, channels]. */
export function resize(pixels: Uint8Array | Uint8ClampedArray, from: Size, to: Size, channels: number, resample: Resample): Uint8Array {
  if (from.width === to.width && from.height === to.height) return Uint8Array.from(pixels);
  if (resample === 0) return nearest(pixels, from, to, channels);
  const filter = FILTERS[resample] as Filter;
  const wide = along(pixels, from.height, from.width, to.width, channels, filter);
  // The same over columns: a row of the turned picture is a column.
  const turned = turn(wide, from.height, to.width, channels);
  return turn(along(turned, to.width, from.height, to.height, channels, filter), to.width, to.height, channels);
}

export interface Size { readonly width: number; readonly height: number }

function nearest(pixels: ArrayLike<number>, from: Size, to: Size, channels: number): Uint8Array {
  const out = new Uint8Array(to.width * to.height * channels);
  for (let y = 0, i = 0; y < to.height; y++) {
    const row = Math.floor(((y + 0.5) * from.height) / to.height);
    for (let x = 0; x < to.width; x++) {
      const column = Math.floor(((x + 0.5) * from.width) / to.width);
      for (let c = 0; c < channels; c++) out[i++] = pixels[(row * from.width + column) * channels + c] as number;
    }
  }
  return out;
}

/** Every row of [rows, width, channels] as `wanted` pixels. */
function along(pixels: ArrayLike<number>, rows: number, width: number, wanted: number, channels: number, filter: Filter): Uint8Array {
  if (width === wanted) return Uint8Array.from(pixels);
  const taps = tapsOf(width, wanted, filter);
  const out = new Uint8Array(rows * wanted * channels);
  for (let row = 0, i = 0; row < rows; row++) {
    for (const { first, weights } of taps) {
      for (let c = 0; c < channels; c++) {
        let sum = 2 ** (BITS - 1);
        for (let t = 0; t < weights.length; t++) sum += (weights[t] as number) * (pixels[(row * width + first + t) * channels + c] as number);
        out[i++] = Math.min(255, Math.max(0, Math.floor(sum / 2 ** BITS)));
      }
    }
  }
  return out;
}

function tapsOf(size: number, wanted: number, { support, weight }: Filter): { first: number; weights: number[] }[] {
  const scale = size / wanted;
  const stretch = Math.max(1, scale);
  const reach = support * stretch;
  return Array.from({ length: wanted }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(size, Math.trunc(centre + reach + 0.5));
    const weights = Array.from({ length: last - first }, (_, t) => weight((t + first - centre + 0.5) / stretch));
    const total = weights.reduce((a, b) => a + b, 0);
    return { first, weights: weights.map((w) => Math.trunc((w / (total || 1)) * 2 ** BITS + (w < 0 ? -0.5 : 0.5))) };
  });
}

/** [rows, columns, channels] as [columns, rows, channels]. */
function turn(pixels: Uint8Array, rows: number, columns: number, channels: number): Uint8Array {
  const out = new Uint8Array(pixels.length);
  for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) for (let k = 0; k < channels; k++) out[(c * rows + r) * channels + k] = pixels[(r * columns + c) * channels + k] as number;
  return out;
}
