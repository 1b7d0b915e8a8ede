// The label that row (b, t) of the logits is to predict; negative = none. Wants `labels` and Params.time, .shift, .vocab.
fn target_of(row: u32) -> i32 {
  let t = row % params.time;
  if (t + params.shift >= params.time) { return -1; }
  let label = labels[row + params.shift];
  return select(label, -1, label >= i32(params.vocab));
}
