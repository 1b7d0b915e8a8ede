// f64 form of dropout.ts. The random words come from the host's Philox, which is tested by itself against published vectors.
import { philox } from '../../util/random';
import { DIVISION, type Expected, type Host, exact, expected } from '../testing/reference';

/** 'drop': what keeps these words apart from other uses of the run's seed. */
const KEY = 0x64726f70;

/** Is element `i` kept? Four neighbours share a block; the uniform number has 24 bits. */
export function keeps(i: number, p: number, stream: number, seed: number, step: number): boolean {
  const words = philox([Math.floor(i / 4), step, stream, 0], [seed, KEY]);
  return ((words[i % 4] as number) >>> 8) / 2 ** 24 >= Math.fround(p);
}

/** x / (1 − p) where kept, else 0: a difference and a division. */
export function dropout(x: Host, p: number, stream: number, { seed, step }: { seed: number; step: number }): Expected {
  return expected(x.shape, (i) => {
    if (!keeps(i, p, stream, seed, step)) return exact(0);
    const value = (x.data[i] as number) / (1 - Math.fround(p));
    return { value, error: (1 + DIVISION) * Math.abs(value) };
  });
}
