// f64 forms of activations.ts.
import { DIVISION, EPSILON, type Expected, type Host, TANH, expected, exponential } from '../testing/reference';

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

/** Φ(x) = ½ + φ(x) (x + x³/3 + x⁵/(3·5) + …): terms of one sign, good to a few units of double precision; ±9 is past its end. */
function normalCdf(x: number): number {
  if (Math.abs(x) > 9) return x > 0 ? 1 : 0;
  let [term, total] = [x, x];
  for (let n = 3; Math.abs(term) > 1e-18 * Math.abs(total); n += 2) {
    term *= (x * x) / n;
    total += term;
  }
  return 0.5 + (total * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI);
}

/**
 * x Φ(x). The tail of the kernel's Φ is ½ e^(−x²/2) p(t). Off are: the fit, 5e-9; the exponential, and its argument by two roundings;
 * and p, whose terms are together at most 1.4 t: t is a quotient of two rounded steps, in no power above 8, and Horner rounds 16 times.
 * Then 1 − tail rounds, and the product with x.
 */
export function gelu(x: Host): Expected {
  return expected(x.shape, (i) => {
    const v = x.data[i] as number;
    const square = 0.5 * v * v;
    const tail = 0.5 * Math.exp(-square) * (1.4 / (1 + 0.3 * Math.abs(v)));
    const cdf = normalCdf(v);
    return { value: v * cdf, error: Math.abs(v) * (5e-9 / EPSILON + tail * (exponential(square) + 2 * square + 8 * (DIVISION + 2) + 16) + 2 * cdf) };
  });
}

/** The builtin's own error. */
export function tanh(x: Host): Expected {
  return expected(x.shape, (i) => ({ value: Math.tanh(x.data[i] as number), error: TANH }));
}

/** x / (1 + e^z), z = −1.702 x with its constant rounded and its product: what that is off by the exponential passes on in full. */
export function quickGelu(x: Host): Expected {
  return expected(x.shape, (i) => {
    const v = x.data[i] as number;
    const z = -1.702 * v;
    const value = v / (1 + Math.exp(z));
    return { value, error: (exponential(z) + 2 * Math.abs(z) + 1 + DIVISION) * Math.abs(value) };
  });
}

/** The builtin's own error. */
export function exp(x: Host): Expected {
  return expected(x.shape, (i) => {
    const v = x.data[i] as number;
    return { value: Math.exp(v), error: exponential(v) * Math.exp(v) };
  });
}
