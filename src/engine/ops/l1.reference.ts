// f64 form of l1.ts.
import { type Expected, type Host, expected, sum } from '../testing/reference';

/** Σ |x|. */
export const l1Norm = (x: Host): Expected => expected([1], () => sum(x.data.map(Math.abs)));
