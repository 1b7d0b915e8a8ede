// What is kept of a large golden tensor (scripts/slim-goldens.mjs), and what a test makes of its own numbers to compare: of every 64
// numbers 8 sums with random signs, over √64. A wrong number moves all eight by an eighth of what it is off; rounding keeps its size.
const [RUN, SUMS] = [64, 8];

/** 32 random bits of a position (the finaliser of MurmurHash3). */
function bitsAt(i) {
  let x = Math.imul(i + 1, 0x9e3779b9);
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

export function sketch(values) {
  const sums = new Float64Array(Math.ceil(values.length / RUN) * SUMS);
  for (let i = 0; i < values.length; i++) {
    const [bits, first] = [bitsAt(i), Math.floor(i / RUN) * SUMS];
    for (let s = 0; s < SUMS; s++) sums[first + s] += (bits >>> s) & 1 ? values[i] : -values[i];
  }
  return Float32Array.from(sums, (sum) => sum / Math.sqrt(RUN));
}
