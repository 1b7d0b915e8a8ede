/** e^x / Σ e^x, moved by the largest so that nothing overflows. */
export function softmax(logits: Float32Array): number[] {
  const top = logits.reduce((a, b) => Math.max(a, b));
  const exps = Array.from(logits, (x) => Math.exp(x - top));
  const sum = exps.reduce((a, b) => a + b, 0);
  return exps.map((x) => x / sum);
}
