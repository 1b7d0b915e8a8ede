// A matrix product judged by samples, for sizes at which the host cannot compute all of it.

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
    const error = Math.abs((y[at] as number) - exact) / size;
    // Written so that NaN counts.
    if (!(error <= worst)) worst = error;
  }
  return worst;
}
