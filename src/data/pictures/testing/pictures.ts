// Pictures made on the fly, as PNG files.
import { encode } from 'fast-png';

/** A grey PNG of one side length whose pixel (x, y) is `grey(x, y)`. */
export const png = (size: number, grey: (x: number, y: number) => number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(encode({ width: size, height: size, channels: 1, depth: 8, data: Uint8Array.from({ length: size * size }, (_, i) => grey(i % size, Math.floor(i / size))) }));

/** Pictures of two kinds, light above or light below, each a little different; `n` of each. */
export const halves = (n: number, size = 8): { name: string; bytes: Uint8Array<ArrayBuffer> }[] =>
  ['above', 'below'].flatMap((kind, k) => Array.from({ length: n }, (_, i) => ({ name: `${kind}/${i}.png`, bytes: png(size, (x, y) => ((y < size / 2) === (k === 0) ? 200 : 20) + ((x * 7 + y * 3 + i * 11) % 40)) })));

export const asFolder = (name: string, files: readonly { name: string; bytes: Uint8Array<ArrayBuffer> }[]) => ({ name, content: new Uint8Array(), files: files.map(({ name: path, bytes }) => ({ name: path, read: async () => bytes })) });
