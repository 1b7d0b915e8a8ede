// 1 - β^t from t and ln β: a series where the difference would cancel.
fn one_minus_power(t: f32, log_beta: f32) -> f32 {
  let u = -t * log_beta;
  if (u > 0.25) { return 1.0 - exp(-u); }
  return u * (1.0 - u / 2.0 * (1.0 - u / 3.0 * (1.0 - u / 4.0 * (1.0 - u / 5.0 * (1.0 - u / 6.0)))));
}
