// How far numbers are off, for benches: a product by samples, where the host cannot compute all of it, or against other numbers.

export interface ProductShape {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly ta: boolean;
  readonly tb: boolean;
}

const SAMPLES = 64;

/** Largest |y − exact| / Σ|terms| over entries spread over y [m, n], in double precision. */
export function sampledError(y: Float32Array, a: Float32Array, b: Float32Array, { m, n, k, ta, tb }: ProductShape): number {
  let worst = 0;
  for (let s = 0; s < SAMPLES; s++) {
    const at = Math.min(m * n - 1, Math.floor((s * m * n) / SAMPLES) + s);
    const [row, column] = [Math.floor(at / n), at % n];
    let [exact, size] = [0, 0];
    for (let i = 0; i < k; i++) {
      const term = (a[ta ? i * m + row : row * k + i] as number) * (b[tb ? column * k + i : i * n + column] as number);
      exact += term;
      size += Math.abs(term);
    }
    // max keeps a NaN.
    worst = Math.max(worst, Math.abs((y[at] as number) - exact) / size);
  }
  return worst;
}

/** Largest |got − want| as a share of the largest |want|; NaN where a number is. */
export function shareOff(got: Float32Array, want: Float32Array): number {
  if (got.length !== want.length) return Number.NaN;
  let [worst, largest] = [0, 0];
  want.forEach((w, i) => {
    worst = Math.max(worst, Math.abs((got[i] as number) - w));
    largest = Math.max(largest, Math.abs(w));
  });
  return worst / largest;
}
