// Counter-based random numbers (Philox-4x32-10, Salmon et al. 2011): every value is a pure function of (seed, stream, counter),
// so a run resumes at any step without replaying what was drawn before it.

const MUL_0 = 0xd2511f53;
const MUL_1 = 0xcd9e8d57;
const WEYL_0 = 0x9e3779b9;
const WEYL_1 = 0xbb67ae85;
const TWO_32 = 2 ** 32;

export type Words = [number, number, number, number];

/** Upper 32 bits of a 32 × 32-bit product; JavaScript has only the lower ones (Math.imul). */
function mulHigh(a: number, b: number): number {
  const aLow = a & 0xffff, aHigh = a >>> 16, bLow = b & 0xffff, bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle % 0x10000);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/** One block: four 32-bit words from a 128-bit counter and a 64-bit key. */
export function philox(counter: Words, key: [number, number]): Words {
  let [x0, x1, x2, x3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = mulHigh(MUL_0, x0), low0 = Math.imul(MUL_0, x0);
    const high1 = mulHigh(MUL_1, x2), low1 = Math.imul(MUL_1, x2);
    x0 = (high1 ^ x1 ^ k0) >>> 0;
    x1 = low1 >>> 0;
    x2 = (high0 ^ x3 ^ k1) >>> 0;
    x3 = low0 >>> 0;
    k0 = (k0 + WEYL_0) >>> 0;
    k1 = (k1 + WEYL_1) >>> 0;
  }
  return [x0, x1, x2, x3];
}

/** Block `index` of a stream. Seed and stream are 32-bit, the index may be any integer up to 2^53. */
function block(seed: number, stream: number, index: number): Words {
  return philox([index >>> 0, Math.floor(index / TWO_32) >>> 0, 0, 0], [seed >>> 0, stream >>> 0]);
}

/** The 32-bit word at `counter`; four neighbours share a block. */
function word(seed: number, stream: number, counter: number): number {
  return block(seed, stream, Math.floor(counter / 4))[counter % 4] as number;
}

/** Uniform in [0, 1), in steps of 2^-32. */
export function uniform(seed: number, stream: number, counter: number): number {
  return word(seed, stream, counter) / TWO_32;
}

/** Standard normal by Box–Muller; a block gives four, two a pair of words. */
export function normal(seed: number, stream: number, counter: number): number {
  const words = block(seed, stream, Math.floor(counter / 4));
  const lane = counter % 4, pair = lane & 2;
  // In (0, 1], so that the logarithm is finite.
  const radius = Math.sqrt(-2 * Math.log(((words[pair] as number) + 1) / TWO_32));
  const angle = (2 * Math.PI * (words[pair + 1] as number)) / TWO_32;
  return radius * (lane & 1 ? Math.sin(angle) : Math.cos(angle));
}

/** The numbers 0 … count-1 in random order. Uses up the counters [from, from + count) of the stream. */
export function shuffle(count: number, seed: number, stream: number, from = 0): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(uniform(seed, stream, from + i) * (i + 1));
    const kept = order[i] as number;
    order[i] = order[j] as number;
    order[j] = kept;
  }
  return order;
}
