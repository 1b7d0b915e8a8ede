// f64 form of matmul.ts.
import { type Expected, type Host, expected, matrix } from '../testing/reference';

export interface MatmulHostOptions {
  ta?: boolean;
  tb?: boolean;
  alpha?: number;
  c?: Host;
}

/** alpha·op(a)·op(b) + c. Bound: that of a sum of k products, with c as one term more. */
export function matmul(a: Host, b: Host, { ta = false, tb = false, alpha = 1, c }: MatmulHostOptions = {}): Expected {
  const [left, right] = [matrix(a), matrix(b)];
  const [m, k] = ta ? [left.columns, left.rows] : [left.rows, left.columns];
  const n = tb ? right.rows : right.columns;
  const [stepA, stepB] = [ta ? m : 1, tb ? 1 : n];
  const factor = Math.fround(alpha);
  return expected(ta ? [m, n] : [...a.shape.slice(0, -1), n], (i) => {
    const [row, column] = [Math.floor(i / n), i % n];
    // Plain loops: this is the reference that is evaluated most often.
    let [atA, atB, value, magnitude] = [ta ? row : row * k, tb ? column * k : column, 0, 0];
    for (let j = 0; j < k; j++, atA += stepA, atB += stepB) {
      const term = (a.data[atA] as number) * (b.data[atB] as number);
      value += term;
      magnitude += Math.abs(term);
    }
    const added = c?.data[i] ?? 0;
    return { value: factor * value + added, error: (k + 8) * (Math.abs(factor) * magnitude + Math.abs(added)) };
  });
}
