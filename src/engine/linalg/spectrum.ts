// Singular values of a whole weight, on the host in double precision and in pieces, so that a worker stays answerable: the
// eigenvalues of its smaller Gram matrix, by Householder's tridiagonal form and Sturm counts. Good to 1e-8 of the largest.

/** Called between pieces with the work done so far, 0 to 1; a rejection ends it. */
export type Pause = (done: number) => Promise<void>;

/** Singular values of w [rows, columns], largest first, min(rows, columns) of them. */
export async function spectrumOf(w: ArrayLike<number>, rows: number, columns: number, pause: Pause = async () => {}): Promise<Float64Array> {
  const n = Math.min(rows, columns);
  const gram = await gramOf(w, rows, columns, n, pause);
  const { diagonal, beside } = await tridiagonal(gram, n, pause);
  const values = await eigenvalues(diagonal, beside, pause);
  return values.map((x) => Math.sqrt(Math.max(0, x))).reverse();
}

/** wᵀw or wwᵀ, the smaller, as n rows. */
async function gramOf(w: ArrayLike<number>, rows: number, columns: number, n: number, pause: Pause): Promise<Float64Array[]> {
  const long = Math.max(rows, columns);
  const at = columns === n ? (i: number, k: number) => k * columns + i : (i: number, k: number) => i * columns + k;
  const vectors = Array.from({ length: n }, (_, i) => Float64Array.from({ length: long }, (_v, k) => w[at(i, k)] as number));
  const gram = Array.from({ length: n }, () => new Float64Array(n));
  for (let i = 0; i < n; i++) {
    const x = vectors[i] as Float64Array;
    for (let j = 0; j <= i; j++) {
      const y = vectors[j] as Float64Array;
      let sum = 0;
      for (let k = 0; k < long; k++) sum += (x[k] as number) * (y[k] as number);
      (gram[i] as Float64Array)[j] = sum;
      (gram[j] as Float64Array)[i] = sum;
    }
    if (i % 16 === 15) await pause((0.5 * i * i) / (n * n));
  }
  return gram;
}

/** A symmetric a as QᵀAQ with one diagonal beside the main one (Golub and Van Loan, 8.3.1). Destroys a. */
async function tridiagonal(a: Float64Array[], n: number, pause: Pause): Promise<{ diagonal: Float64Array; beside: Float64Array }> {
  const [diagonal, beside] = [new Float64Array(n), new Float64Array(Math.max(0, n - 1))];
  for (let k = 0; k < n - 1; k++) {
    const row = a[k] as Float64Array;
    diagonal[k] = row[k] as number;
    let tail = 0;
    for (let i = k + 1; i < n; i++) tail += (row[i] as number) ** 2;
    const length = Math.sqrt(tail);
    const first = row[k + 1] as number;
    const alpha = first > 0 ? -length : length;
    beside[k] = alpha;
    // The mirror I − 2vvᵀ/vᵀv takes the rest of the row to alpha e₁.
    const v = row.slice();
    v[k + 1] = first - alpha;
    const vv = tail - first * first + (v[k + 1] as number) ** 2;
    if (vv === 0) continue;
    const p = new Float64Array(n);
    let vp = 0;
    for (let i = k + 1; i < n; i++) {
      const ai = a[i] as Float64Array;
      let sum = 0;
      for (let j = k + 1; j < n; j++) sum += (ai[j] as number) * (v[j] as number);
      p[i] = (2 * sum) / vv;
      vp += (v[i] as number) * (p[i] as number);
    }
    for (let i = k + 1; i < n; i++) p[i] = (p[i] as number) - ((vp / vv) * (v[i] as number));
    for (let i = k + 1; i < n; i++) {
      const ai = a[i] as Float64Array;
      const [vi, pi] = [v[i] as number, p[i] as number];
      for (let j = k + 1; j < n; j++) ai[j] = (ai[j] as number) - vi * (p[j] as number) - pi * (v[j] as number);
    }
    if (k % 16 === 15) await pause(0.5 + (0.4 * k) / n);
  }
  diagonal[n - 1] = (a[n - 1] as Float64Array)[n - 1] as number;
  return { diagonal, beside };
}

/** Of a symmetric tridiagonal matrix, smallest first: each by halving the interval in which Sturm's count puts it. */
async function eigenvalues(diagonal: Float64Array, beside: Float64Array, pause: Pause): Promise<Float64Array> {
  const n = diagonal.length;
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let i = 0; i < n; i++) {
    const radius = Math.abs(beside[i - 1] ?? 0) + Math.abs(beside[i] ?? 0);
    low = Math.min(low, (diagonal[i] as number) - radius);
    high = Math.max(high, (diagonal[i] as number) + radius);
  }
  const tiny = Number.EPSILON * Math.max(Math.abs(low), Math.abs(high)) || Number.MIN_VALUE;
  /** Eigenvalues below x. */
  const below = (x: number) => {
    let [count, q] = [0, 1];
    for (let i = 0; i < n; i++) {
      const b = beside[i - 1] ?? 0;
      q = (diagonal[i] as number) - x - (b * b) / (q === 0 ? tiny : q);
      if (q < 0) count++;
    }
    return count;
  };
  const values = new Float64Array(n);
  let floor = low;
  for (let k = 0; k < n; k++) {
    let [a, b] = [floor, high];
    while (b - a > 2 * tiny) {
      const middle = (a + b) / 2;
      if (middle <= a || middle >= b) break;
      if (below(middle) <= k) a = middle;
      else b = middle;
    }
    values[k] = (a + b) / 2;
    floor = a;
    if (k % 16 === 15) await pause(0.9 + (0.1 * k) / n);
  }
  return values;
}
