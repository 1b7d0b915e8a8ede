// f64 form of patches.ts.
import { type Expected, type Host, exact, expected } from '../testing/reference';

export function patches(x: Host, size: number): Expected {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [down, across, length] = [height / size, width / size, channels * size ** 2];
  return expected([batch, down * across, length], (i) => {
    const [inPatch, n, b] = [i % length, Math.floor(i / length) % (down * across), Math.floor(i / (length * down * across))];
    const [c, u, v] = [Math.floor(inPatch / size ** 2), Math.floor(inPatch / size) % size, inPatch % size];
    const [row, column] = [Math.floor(n / across) * size + u, (n % across) * size + v];
    return exact(x.data[((b * channels + c) * height + row) * width + column] as number);
  });
}
