// f64 forms of rows.ts.
import { type Expected, type Host, DIVISION, SQUARE_ROOT, expected, matrix, range, sum } from '../testing/reference';

export function scaleRows(x: Host, s: Host): Expected {
  const { columns } = matrix(x);
  return expected(x.shape, (i) => sum([(x.data[i] as number) * (s.data[Math.floor(i / columns)] as number)]));
}

/** 1/‖row‖ of W + scale·B A: the relative error of a root is half that of its argument. */
export function inverseRowNorms(W: Host, B: Host, A: Host, scale: number): Expected {
  const { rows, columns, at } = matrix(W);
  const [b, a] = [matrix(B), matrix(A)];
  return expected([rows], (o) => {
    const { value, error } = sum(range(columns).map((i) => {
      const v = sum([at(o, i), ...range(b.columns).map((j) => Math.fround(scale) * b.at(o, j) * a.at(j, i))]);
      return { value: v.value ** 2, error: 2 * Math.abs(v.value) * v.error };
    }));
    const inverse = value > 0 ? 1 / Math.sqrt(value) : 0;
    return { value: inverse, error: value > 0 ? inverse * (error / value / 2 + SQUARE_ROOT + DIVISION) : 0 };
  });
}
