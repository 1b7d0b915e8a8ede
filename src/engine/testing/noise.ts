/** Numbers spread evenly over −1 … 1 that cost next to nothing, for arrays too large to draw with Philox. */
export const noise = (length: number, seed: number): Float32Array => Float32Array.from({ length }, (_, i) => (Math.imul(i + 1000003 * seed, 2654435761) >>> 8) / 2 ** 23 - 1);
