// f64 form of orthogonality.ts.
import { type Expected, type Host, SQUARE_ROOT, expected, matrix, range, sum } from '../testing/reference';

export function offIdentity(g: Host): Expected {
  const { rows: n, at } = matrix(g);
  // A difference from one is rounded once: half the relative error of the square.
  const { value, error } = sum(range(n * n).map((i) => {
    const [r, c] = [Math.floor(i / n), i % n];
    const off = at(r, c) - Number(r === c);
    return { value: off * off, error: 2 * off * off };
  }));
  const norm = Math.sqrt(value);
  return expected([1], () => ({ value: norm, error: norm > 0 ? error / norm / 2 + SQUARE_ROOT * norm : 0 }));
}
