// f64 form of relu.ts.
import { type Expected, type Host, expected } from '../testing/reference';

/** max(x + δ s, 0) − δ s: a sum and a difference where there is a diagonal, nothing rounds elsewhere. */
export function relu(x: Host, diagonal?: Host, keepSigns = false): Expected {
  const columns = x.shape.at(-1) as number;
  return expected(x.shape, (at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    const value = x.data[at] as number;
    const on = diagonal !== undefined && row === column;
    const shift = on ? (diagonal.data[row] as number) : 0;
    if (keepSigns && diagonal && !on) return { value, error: 0 };
    return { value: Math.max(value + shift, 0) - shift, error: on ? Math.abs(value + shift) + Math.abs(value) + Math.abs(shift) : 0 };
  });
}
