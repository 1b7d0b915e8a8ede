// f64 forms of activations.ts.
import { DIVISION, type Expected, type Host, TANH, expected, exponential } from '../testing/reference';

/** g / (1 + e^-g) · u. The exponential's error reaches the quotient at most in full; then a sum, a division and a product. */
export function swiglu(g: Host, u: Host): Expected {
  return expected(g.shape, (i) => {
    const [gate, up] = [g.data[i] as number, u.data[i] as number];
    const value = (gate / (1 + Math.exp(-gate))) * up;
    return { value, error: (exponential(gate) + 1 + DIVISION + 1) * Math.abs(value) };
  });
}

/**
 * 0.5 x (1 + tanh z), z = √(2/π) (x + 0.044715 x³). The two terms of z have one sign, so its seven roundings, two of them of
 * constants, are seven of |z|, and tanh passes them on by 1 − tanh²; the builtin adds its own; 1 + tanh rounds once (at most 2), the products three times.
 */
export function geluTanh(x: Host): Expected {
  return expected(x.shape, (i) => {
    const v = x.data[i] as number;
    const z = Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3);
    const t = Math.tanh(z);
    const value = 0.5 * v * (1 + t);
    return { value, error: 0.5 * Math.abs(v) * (TANH + 7 * Math.abs(z) * (1 - t * t) + 2) + 3 * Math.abs(value) };
  });
}
