// f64 form of l2.ts.
import { type Expected, type Host, SQUARE_ROOT, expected, sum } from '../testing/reference';

/** √Σ x²: half of the sum's relative error, and the root's own. */
export const l2Norm = (x: Host): Expected => expected([1], () => {
  const { value, error } = sum(x.data.map((v) => v * v));
  const root = Math.sqrt(value);
  return { value: root, error: root === 0 ? 0 : error / (2 * root) + SQUARE_ROOT * root };
});
