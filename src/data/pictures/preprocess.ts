// What a checkpoint's preprocessor_config.json asks for: how a picture becomes the numbers that the model reads.
import { ConfigError } from '../../util/errors';
import { RESAMPLE, type Resample, type Size, resize } from './resize';
import type { Raster } from './decode';

export interface Preprocess {
  /** Pixels of a side, and channels: what the model's own config says. */
  readonly size: number;
  readonly channels: number;
  /** To both sides, or the shorter side to this many with the proportions kept; null leaves the picture as it is. */
  readonly resize: Size | { readonly shortest: number } | null;
  /** The middle of this size is cut out afterwards; what is missing is black. */
  readonly crop: Size | null;
  readonly resample: Resample;
  /** A byte becomes (byte · factor − mean) / std, by channel. */
  readonly factor: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

type Json = Readonly<Record<string, unknown>>;
const WHERE = 'preprocessor_config.json';

/** `json` is null where the checkpoint has none: then the picture is stretched to the model's size and brought to −1 … 1. */
export function preprocessOf(json: unknown, { channels, size }: { readonly channels: number; readonly size: number }): Preprocess {
  const plain: Preprocess = { size, channels, resize: { width: size, height: size }, crop: null, resample: 2, factor: 1 / 255, mean: new Array(channels).fill(0.5), std: new Array(channels).fill(0.5) };
  if (json === null || json === undefined) return plain;
  if (typeof json !== 'object' || Array.isArray(json)) throw new ConfigError(`${WHERE}: not an object`);
  const c = json as Json;
  const on = (key: string, fallback: boolean) => flag(c, key, fallback);
  const wanted = sizeOf(c.size, 'size', size);
  const crop = on('do_center_crop', false) ? sizeOf(c.crop_size, 'crop_size', size) : null;
  if (crop && 'shortest' in crop) throw new ConfigError(`${WHERE}: crop_size: wanted a height and a width, got ${JSON.stringify(c.crop_size)}`);
  const resized = on('do_resize', true) ? wanted : null;
  const resample = c.resample ?? 2;
  if (typeof resample !== 'number' || !(resample in RESAMPLE)) throw new ConfigError(`${WHERE}: resample: wanted a number from 0 to 5, got ${JSON.stringify(resample)}`);
  const end = crop ?? (resized && 'width' in resized ? resized : null);
  if (end && (end.width !== size || end.height !== size)) throw new ConfigError(`${WHERE}: pictures become ${end.width} × ${end.height}, the model reads ${size} × ${size}`, 'Is it the file of another checkpoint?');
  const factor = on('do_rescale', true) ? (c.rescale_factor ?? 1 / 255) : 1;
  if (typeof factor !== 'number' || !(factor > 0)) throw new ConfigError(`${WHERE}: rescale_factor: wanted a positive number, got ${JSON.stringify(factor)}`);
  const normal = on('do_normalize', true);
  return {
    size, channels, resize: resized, crop: crop as Size | null, resample: resample as Resample, factor,
    mean: normal ? numbers(c, 'image_mean', channels, 0.5) : new Array(channels).fill(0), std: normal ? numbers(c, 'image_std', channels, 0.5) : new Array(channels).fill(1),
  };
}

function flag(c: Json, key: string, fallback: boolean): boolean {
  const value = c[key] ?? fallback;
  if (typeof value !== 'boolean') throw new ConfigError(`${WHERE}: ${key}: wanted true or false, got ${JSON.stringify(value)}`);
  return value;
}

/** A number, {height, width} or {shortest_edge}. */
function sizeOf(value: unknown, key: string, fallback: number): Size | { shortest: number } {
  const whole = (x: unknown) => {
    if (typeof x !== 'number' || !Number.isInteger(x) || x < 1) throw new ConfigError(`${WHERE}: ${key}: wanted a whole number of pixels, got ${JSON.stringify(value)}`);
    return x;
  };
  if (value === undefined || value === null) return { width: fallback, height: fallback };
  if (typeof value === 'number') return { width: whole(value), height: whole(value) };
  const { height, width, shortest_edge: shortest, ...other } = value as Json;
  if (Object.keys(other).length > 0) throw new ConfigError(`${WHERE}: ${key}: ${Object.keys(other).join(', ')} is not supported`, 'Supported: a number, height and width, or shortest_edge.');
  return shortest === undefined ? { width: whole(width), height: whole(height) } : { shortest: whole(shortest) };
}

function numbers(c: Json, key: string, channels: number, fallback: number): number[] {
  const value = c[key] ?? new Array(channels).fill(fallback);
  if (!Array.isArray(value) || value.length !== channels || value.some((x) => typeof x !== 'number' || !Number.isFinite(x))) throw new ConfigError(`${WHERE}: ${key}: wanted ${channels} numbers, got ${JSON.stringify(value)}`);
  if (key === 'image_std' && value.some((x) => x === 0)) throw new ConfigError(`${WHERE}: image_std: a channel is divided by 0`);
  return value as number[];
}

/** Bytes [channels, size, size] of a picture: on white where it is clear, resized, cut. What `normalise` turns into numbers. */
export function pixelsOf({ width, height, rgba }: Raster, how: Preprocess): Uint8Array {
  const { size, channels } = how;
  const flat = onWhite(rgba, width * height, channels);
  const to = how.resize === null ? { width, height } : 'width' in how.resize ? how.resize : scaled({ width, height }, how.resize.shortest);
  const resized = resize(flat, { width, height }, to, channels, how.resample);
  const out = new Uint8Array(channels * size * size);
  // As transformers cuts: what is left over is split, the smaller half before.
  const [top, left] = [Math.floor((to.height - size) / 2), Math.floor((to.width - size) / 2)];
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      const [row, column] = [y + top, x + left];
      if (row < 0 || column < 0 || row >= to.height || column >= to.width) continue;
      for (let c = 0; c < channels; c++) out[(c * size + y) * size + x] = resized[(row * to.width + column) * channels + c] as number;
    }
  }
  return out;
}

/** The shorter side to `shortest`; the longer is cut off to a whole number, as transformers does. */
function scaled({ width, height }: Size, shortest: number): Size {
  return width <= height ? { width: shortest, height: Math.trunc((shortest * height) / width) } : { width: Math.trunc((shortest * width) / height), height: shortest };
}

/** [pixels, channels]: three channels, or the luma of ITU-R 601 in one. */
function onWhite(rgba: Uint8ClampedArray, pixels: number, channels: number): Uint8Array {
  const out = new Uint8Array(pixels * channels);
  for (let p = 0; p < pixels; p++) {
    const alpha = rgba[4 * p + 3] as number;
    const [r, g, b] = [0, 1, 2].map((c) => Math.round(((rgba[4 * p + c] as number) * alpha + 255 * (255 - alpha)) / 255)) as [number, number, number];
    if (channels === 3) out.set([r, g, b], 3 * p);
    else out.fill((r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16, p * channels, (p + 1) * channels);
  }
  return out;
}

/** The numbers of each byte value, by channel: [channels, 256]. */
export function normalise({ factor, mean, std, channels }: Preprocess): Float32Array {
  return Float32Array.from({ length: channels * 256 }, (_, i) => ((i % 256) * factor - (mean[i >> 8] as number)) / (std[i >> 8] as number));
}
