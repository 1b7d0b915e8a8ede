// f64 form of mean-pool.ts.
import { DIVISION, type Expected, type Host, expected, range, sum } from '../testing/reference';

/** The sum's own error over the count, the division's and the product's. */
export function meanPool(x: Host, mask: Host): Expected {
  const [batch, time, columns] = x.shape as [number, number, number];
  return expected([batch, columns], (i) => {
    const [row, column] = [Math.floor(i / columns), i % columns];
    const seen = range(time).filter((t) => mask.data[row * time + t] !== 0);
    const { value, error } = sum(seen.map((t) => x.data[(row * time + t) * columns + column] as number));
    const count = Math.max(1, seen.length);
    return { value: value / count, error: (error + (DIVISION + 1) * Math.abs(value)) / count };
  });
}
