// f64 forms of norms.ts.
import { type Bounded, DIVISION, type Expected, type Host, SQUARE_ROOT, expected, matrix, range, sum } from '../testing/reference';

/**
 * (x + eps)^-1/2 of a value x ≥ 0 with its error: the root halves the relative error of its argument, which the sum with eps has
 * rounded once; then the root itself and a division.
 */
function inverseRoot({ value, error }: Bounded, eps: number): Bounded {
  const argument = value + Math.fround(eps);
  const root = 1 / Math.sqrt(argument);
  return { value: root, error: root * ((error / argument + 1) / 2 + SQUARE_ROOT + DIVISION) };
}

/** Σ terms / count. */
function mean(terms: readonly (number | Bounded)[]): Bounded {
  const { value, error } = sum(terms);
  return { value: value / terms.length, error: (error + DIVISION * Math.abs(value)) / terms.length };
}

/** a·b with the errors of both and one rounding. */
const times = (a: Bounded, b: Bounded): Bounded => ({
  value: a.value * b.value,
  error: Math.abs(a.value) * b.error + Math.abs(b.value) * a.error + Math.abs(a.value * b.value),
});
const plain = (value: number): Bounded => ({ value, error: 0 });

/** x / √(mean x² + eps) · w. */
export function rmsNorm(x: Host, w: Host, eps: number): Expected {
  const { rows, columns, at } = matrix(x);
  const roots = range(rows).map((n) => inverseRoot(mean(range(columns).map((c) => at(n, c) ** 2)), eps));
  return expected(x.shape, (i) => times(times(plain(x.data[i] as number), roots[Math.floor(i / columns)] as Bounded), plain(w.data[i % columns] as number)));
}

/** (x − mean) / √(var + eps) · w + b. */
export function layerNorm(x: Host, w: Host, b: Host, eps: number): Expected {
  const { rows, columns, at } = matrix(x);
  const means = range(rows).map((n) => mean(range(columns).map((c) => at(n, c))));
  const centred = (n: number, c: number): Bounded => {
    const { value, error } = means[n] as Bounded;
    const d = at(n, c) - value;
    return { value: d, error: error + Math.abs(d) };
  };
  const roots = range(rows).map((n) => inverseRoot(mean(range(columns).map((c) => times(centred(n, c), centred(n, c)))), eps));
  return expected(x.shape, (i) => {
    const [n, c] = [Math.floor(i / columns), i % columns];
    return sum([times(times(centred(n, c), roots[n] as Bounded), plain(w.data[c] as number)), b.data[c] as number]);
  });
}
