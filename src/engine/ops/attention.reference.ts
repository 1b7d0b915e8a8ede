// f64 forms of attention.ts.
import { type Bounded, DIVISION, type Expected, type Host, exact, expected, exponential, range, sum } from '../testing/reference';

/** x turned by positions·θ_j, θ_j = base^(−2j/d), in half-split order. The tables' rounding is inside the 8 of `sum`. */
export function rope(x: Host, base: number, positions: Host, d: number, sign = 1): Expected {
  const [, time, width] = x.shape as [number, number, number];
  return expected(x.shape, (i) => {
    const t = Math.floor(i / width) % time;
    const [inHead, half] = [i % d, d / 2];
    const angle = sign * (positions.data[t] as number) * base ** ((-2 * (inHead % half)) / d);
    const [own, other] = [x.data[i] as number, x.data[inHead < half ? i + half : i - half] as number];
    return sum([own * Math.cos(angle), (inHead < half ? -other : other) * Math.sin(angle)]);
  });
}

export interface AttentionHostOptions {
  heads: number;
  kvHeads: number;
  causal: boolean;
  mask?: Host;
  positions?: Host;
}

/** A key that a query sees: its score with a bound, and where its row of k and v starts. */
interface Seen {
  readonly score: Bounded;
  readonly at: number;
}

/** softmax(q kᵀ / √d) v, head by head. A query that sees no key gives zeros. */
export function attention(q: Host, k: Host, v: Host, { heads, kvHeads, causal, mask, positions }: AttentionHostOptions): Expected {
  const [, time, width] = q.shape as [number, number, number];
  const keys = k.shape[1] as number;
  const d = width / heads;
  const scale = 1 / Math.sqrt(d);
  const seenBy = (b: number, t: number, h: number): Seen[] => {
    const [queryAt, kvHead] = [((b * time + t) * heads + h) * d, Math.floor(h / (heads / kvHeads))];
    return range(keys).flatMap((s) => {
      if ((causal && s > (positions ? (positions.data[t] as number) : t)) || mask?.data[b * keys + s] === 0) return [];
      const at = ((b * keys + s) * kvHeads + kvHead) * d;
      return [{ at, score: sum(range(d).map((i) => scale * (q.data[queryAt + i] as number) * (k.data[at + i] as number))) }];
    });
  };
  const [data, error] = [new Float64Array(q.data.length), new Float64Array(q.data.length)];
  for (let row = 0; row < q.data.length / d; row++) {
    const [h, t, b] = [row % heads, Math.floor(row / heads) % time, Math.floor(row / (heads * time))];
    const shares = softmax(seenBy(b, t, h));
    for (let i = 0; i < d; i++) {
      const { value, error: bound } = weighted(shares, (at) => v.data[at + i] as number);
      data[row * d + i] = value;
      error[row * d + i] = bound;
    }
  }
  return { shape: q.shape, data, error };
}

interface Share {
  readonly p: number;
  /** Of exp(score − top), relative to it. */
  readonly error: number;
  readonly at: number;
}

/**
 * The exponentials are scaled whenever a larger score turns up, up to n times. Their arguments add up to score − top with one sign, so
 * together they cost `exponential(score − top)`, as much for the arguments' roundings, and a constant a time: 6 for the builtin, 1 for the product.
 */
function softmax(seen: readonly Seen[]): Share[] {
  const top = seen.reduce((most, { score }) => Math.max(most, score.value), Number.NEGATIVE_INFINITY);
  const total = seen.reduce((all, { score }) => all + Math.exp(score.value - top), 0);
  return seen.map(({ score, at }) => {
    const below = score.value - top;
    return { at, p: Math.exp(below) / total, error: score.error + exponential(below) + Math.abs(below) + 7 * seen.length };
  });
}

/** Σ p v over Σ p: both sums have n terms with the shares' errors; then a division and a product. */
function weighted(shares: readonly Share[], of: (at: number) => number): Bounded {
  const above = sum(shares.map(({ p, error, at }) => ({ value: p * of(at), error: p * Math.abs(of(at)) * error })));
  const below = sum(shares.map(({ p, error }) => ({ value: p, error: p * error })));
  return { value: above.value, error: above.error + Math.abs(above.value) * (below.error + DIVISION + 1) };
}

/** What the cache holds after x was written to it. */
export function writeCache(cache: Host, x: Host, positions: Host): Expected {
  const [, capacity, columns] = cache.shape as [number, number, number];
  const time = x.shape[1] as number;
  const data = Float64Array.from(cache.data);
  x.data.forEach((value, i) => {
    const [t, b] = [Math.floor(i / columns) % time, Math.floor(i / (columns * time))];
    const at = positions.data[t] as number;
    if (at < capacity) data[(b * capacity + at) * columns + (i % columns)] = value;
  });
  return expected(cache.shape, (i) => exact(data[i] as number));
}
