// Rows that say nearly the same, found without comparing all with all: MinHash over shingles of three words (Broder 1997), with
// one permutation and rotation for empty bins, then banding. Every pair reported was compared exactly.

/** Bins of a signature, and how many of them must agree for two rows to be compared: 16 bands of 4. */
const BINS = 64;
const BAND = 4;
/** Bins that two rows must share before their words are compared; with 80 % in common they share 51 of 64 on average, with a spread of 3. */
const AGREE = 36;
/** A band that more rows share than this is boilerplate and says nothing. */
const CROWD = 64;
/** Share of shingles in common from which two rows count as nearly the same. */
export const NEAR = 0.8;
const EMPTY = 0xffff_ffff;

export interface Signed { readonly text: string; readonly signature: Uint32Array }
export interface NearPair { held: number; train: number; similarity: number }

const wordsOf = (text: string) => text.toLowerCase().normalize('NFKC').match(/[\p{L}\p{N}]+/gu) ?? [];

function shinglesOf(text: string): Set<string> {
  const words = wordsOf(text);
  if (words.length < 3) return new Set([words.join(' ')]);
  return new Set(words.slice(2).map((word, i) => `${words[i]} ${words[i + 1]} ${word}`));
}

/** FNV-1a with a final mix, so that all bits take part. */
function hash(text: string): number {
  let h = 0x811c_9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x0100_0193);
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

export function sign(text: string): Signed {
  const signature = new Uint32Array(BINS).fill(EMPTY);
  for (const shingle of shinglesOf(text)) {
    const h = hash(shingle);
    const bin = h % BINS, value = Math.floor(h / BINS);
    if (value < (signature[bin] as number)) signature[bin] = value;
  }
  // An empty bin borrows from the next full one, marked by the distance.
  const own = signature.slice();
  if (own.some((value) => value !== EMPTY)) {
    for (let bin = 0; bin < BINS; bin++) {
      let distance = 0;
      while (own[(bin + distance) % BINS] === EMPTY) distance++;
      if (distance > 0) signature[bin] = ((own[(bin + distance) % BINS] as number) + Math.imul(distance, 0x9e37_79b9)) >>> 0;
    }
  }
  return { text, signature };
}

function* keysOf({ signature }: Signed): Generator<string> {
  for (let b = 0; b < BINS; b += BAND) yield `${b}:${signature[b]},${signature[b + 1]},${signature[b + 2]},${signature[b + 3]}`;
}

function agree(a: Signed, b: Signed): boolean {
  let same = 0;
  for (let bin = 0; bin < BINS; bin++) if (a.signature[bin] === b.signature[bin]) same++;
  return same >= AGREE;
}

export function similarity(a: string, b: string): number {
  const left = shinglesOf(a), right = shinglesOf(b);
  let shared = 0;
  for (const shingle of left) if (right.has(shingle)) shared++;
  return shared / (left.size + right.size - shared);
}

/** For each held-out row that has one, its nearest training row; in the order of the held-out rows. */
export function nearPairs(held: readonly Signed[], train: readonly Signed[]): NearPair[] {
  // The held-out side is the small one: it is the index, and training rows are looked up in it.
  const buckets = new Map<string, number[]>();
  held.forEach((row, i) => {
    for (const key of keysOf(row)) {
      const bucket = buckets.get(key);
      if (!bucket) buckets.set(key, [i]);
      else if (bucket.length < CROWD) bucket.push(i);
    }
  });
  const best = new Map<number, NearPair>();
  train.forEach((row, t) => {
    const candidates = new Set<number>();
    for (const key of keysOf(row)) for (const i of buckets.get(key) ?? []) candidates.add(i);
    for (const i of candidates) {
      const before = best.get(i)?.similarity ?? 0;
      if (before === 1 || !agree(held[i] as Signed, row)) continue;
      const found = similarity((held[i] as Signed).text, row.text);
      if (found >= NEAR && found > before) best.set(i, { held: i, train: t, similarity: found });
    }
  });
  return [...best.values()].sort((a, b) => a.held - b.held);
}
