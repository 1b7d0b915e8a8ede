// The pixels of a picture file. PNG and JPEG are read by the same code in the browser and in Node, so that both have the same pixels;
// what else a browser knows (WebP, GIF, BMP, AVIF) it decodes itself, and Node refuses by name.
import { decode as decodeJpeg } from 'jpeg-js';
import { decode as decodePng } from 'fast-png';
import { DataError } from '../../util/errors';

/** Red, green, blue and opacity of each pixel, row by row: 4 · width · height bytes. */
export interface Raster { readonly width: number; readonly height: number; readonly rgba: Uint8ClampedArray<ArrayBuffer> }

/** Kinds by their first bytes. */
const SIGNS: readonly (readonly [kind: string, sign: RegExp])[] = [
  ['PNG', /^\x89PNG\r\n\x1a\n/], ['JPEG', /^\xff\xd8\xff/], ['WebP', /^RIFF[\s\S]{4}WEBP/], ['GIF', /^GIF8/], ['BMP', /^BM/], ['AVIF', /^[\s\S]{4}ftypavi/], ['TIFF', /^(II\*\0|MM\0\*)/], ['HEIC', /^[\s\S]{4}ftyp(hei|mif)/],
];
/** Names of files that are taken for pictures. */
export const PICTURE_NAME = /\.(png|jpe?g|webp|gif|bmp|avif|tiff?|heic)$/i;
/** Larger ones would take gigabytes once unpacked. */
const MOST_PIXELS = 100e6;

export async function decodePicture(name: string, bytes: Uint8Array): Promise<Raster> {
  if (bytes.length === 0) throw new DataError(`${name}: the file is empty: 0 bytes`, 'Leave it out, or copy it again.');
  const head = String.fromCharCode(...bytes.subarray(0, 16));
  const kind = SIGNS.find(([, sign]) => sign.test(head))?.[0];
  try {
    if (kind === 'PNG') return wanted(name, fromPng(bytes));
    if (kind === 'JPEG') return wanted(name, fromJpeg(bytes));
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`${name}: the ${kind} file cannot be read: ${(error as Error).message}`, 'It is damaged or was not fully copied: leave it out, or save it again.');
  }
  if (kind === undefined) {
    const hint = head.startsWith('version https://git-lfs') ? 'This is a Git LFS pointer, not the file: fetch it with git lfs pull.' : 'Leave it out, or save it as PNG or JPEG.';
    throw new DataError(`${name}: not a picture: it begins with ${JSON.stringify(head.slice(0, 8))}`, hint);
  }
  return wanted(name, await byBrowser(name, kind, bytes));
}

function wanted(name: string, raster: Raster): Raster {
  if (raster.width * raster.height === 0) throw new DataError(`${name}: the picture has no pixels: ${raster.width} × ${raster.height}`, 'Leave it out.');
  return raster;
}

function fromPng(bytes: Uint8Array): Raster {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length >= 24 && view.getUint32(16) * view.getUint32(20) > MOST_PIXELS) throw new Error(`${view.getUint32(16)} × ${view.getUint32(20)} pixels are too many`);
  const { width, height, data, channels, depth, palette, transparency } = decodePng(bytes, { checkCrc: true });
  const rgba = new Uint8ClampedArray(4 * width * height);
  const grey = channels <= 2;
  // Rows of less than a byte a pixel begin at a byte.
  const stride = depth < 8 ? Math.ceil((width * channels * depth) / 8) : width * channels;
  const most = 2 ** depth - 1;
  const at = (x: number, y: number, channel: number): number => {
    if (depth >= 8) return data[y * stride + x * channels + channel] as number;
    const bit = x * depth;
    return ((data[y * stride + (bit >> 3)] as number) >> (8 - depth - (bit & 7))) & most;
  };
  // 16 bits keep their upper byte, as other readers do.
  const byte = (value: number) => (depth === 16 ? value >> 8 : depth === 8 ? value : Math.round((255 * value) / most));
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i += 4) {
      const first = at(x, y, 0);
      if (palette) {
        const [r, g, b, a = 255] = palette[first] ?? [];
        if (r === undefined) throw new Error(`colour ${first} is not in the palette of ${palette.length}`);
        rgba.set([r, g as number, b as number, a], i);
        continue;
      }
      const colour = grey ? [first, first, first] : [first, at(x, y, 1), at(x, y, 2)];
      const clear = transparency && transparency.length > 0 && colour.every((value, c) => value === transparency[grey ? 0 : c]);
      const alpha = channels === 2 || channels === 4 ? byte(at(x, y, channels - 1)) : clear ? 0 : 255;
      rgba.set([byte(colour[0] as number), byte(colour[1] as number), byte(colour[2] as number), alpha], i);
    }
  }
  return { width, height, rgba };
}

function fromJpeg(bytes: Uint8Array): Raster {
  const { width, height, data } = decodeJpeg(bytes, { useTArray: true, formatAsRGBA: true, tolerantDecoding: false, maxResolutionInMP: MOST_PIXELS / 1e6, maxMemoryUsageInMB: 2048 });
  return turned({ width, height, rgba: new Uint8ClampedArray(data) }, orientationOf(bytes));
}

/** How a camera noted that the picture stands, as EXIF's Orientation has it: 1 to 8, upright where nothing readable is noted. */
function orientationOf(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    // Segments up to the one where the picture begins: marker, length, content.
    for (let at = 2; view.getUint8(at) === 0xff && view.getUint8(at + 1) !== 0xda; at += 2 + view.getUint16(at + 2)) {
      if (view.getUint8(at + 1) !== 0xe1 || view.getUint32(at + 4) !== 0x45786966) continue;
      const tiff = at + 10;
      const little = view.getUint16(tiff) === 0x4949;
      const tags = tiff + view.getUint32(tiff + 4, little);
      for (let tag = tags + 2; tag < tags + 2 + 12 * view.getUint16(tags, little); tag += 12) {
        const value = view.getUint16(tag + 8, little);
        if (view.getUint16(tag, little) === 0x0112) return value >= 1 && value <= 8 ? value : 1;
      }
      return 1;
    }
  } catch (error) {
    // Notes that run past the end are no notes; the picture itself may be whole.
    if (!(error instanceof RangeError)) throw error;
  }
  return 1;
}

/** The picture upright, as Pillow's exif_transpose leaves it. */
function turned(raster: Raster, orientation: number): Raster {
  if (orientation === 1) return raster;
  const { width: w, height: h } = raster;
  // 5 to 8 lie on their side; where each pixel comes from is linear in its place.
  const [width, height] = orientation > 4 ? [h, w] : [w, h];
  const from = new Uint32Array(raster.rgba.buffer, raster.rgba.byteOffset, w * h);
  const pixels = new Uint32Array(w * h);
  const mirrored = [2, 3, 7, 8].includes(orientation), upended = [3, 4, 6, 7].includes(orientation);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const [column, row] = orientation > 4 ? [y, x] : [x, y];
      pixels[i] = from[(upended ? h - 1 - row : row) * w + (mirrored ? w - 1 - column : column)] as number;
    }
  }
  return { width, height, rgba: new Uint8ClampedArray(pixels.buffer) };
}

async function byBrowser(name: string, kind: string, bytes: Uint8Array): Promise<Raster> {
  if (typeof createImageBitmap === 'undefined' || typeof OffscreenCanvas === 'undefined') throw new DataError(`${name}: a ${kind} file, which is not read on the command line`, 'Save it as PNG or JPEG.');
  const bitmap = await createImageBitmap(new Blob([new Uint8Array(bytes)]), { premultiplyAlpha: 'none', colorSpaceConversion: 'none' }).catch((error: Error) => {
    throw new DataError(`${name}: this browser cannot read the ${kind} file: ${error.message}`, 'Save it as PNG or JPEG.');
  });
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  if (!canvas) throw new DataError(`${name}: this browser gives no canvas to read a ${kind} file with`, 'Save it as PNG or JPEG.');
  canvas.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, rgba: canvas.getImageData(0, 0, width, height).data as Uint8ClampedArray<ArrayBuffer> };
}
