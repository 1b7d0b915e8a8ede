// Φ(x), the distribution function of the normal distribution. Its tail is ½ e^(−x²/2) p(t), t = 1 / (1 + 0.3 |x|), where p is a fit
// of degree 8 that leaves Φ off by at most 5e-9; the tail comes first, so that nothing cancels where Φ is small.
fn normal_cdf(x: f32) -> f32 {
  let t = 1.0 / (1.0 + 0.3 * abs(x));
  let p = t * (0.2414558785 + t * (0.2191701249 + t * (0.2957224504 + t * (0.03182450513 + t * (0.2054617343 + t * (0.1559816653 + t * (-0.1990866031 + t * 0.04947024699)))))));
  let tail = 0.5 * exp(-0.5 * x * x) * p;
  return select(tail, 1.0 - tail, x > 0.0);
}
