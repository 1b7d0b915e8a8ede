// Sums and maxima over the LANES invocations of one row in a workgroup of LANES × ROWS (local x = lane, y = row).
// With LANES = 1 there is nothing to reduce and no barrier runs: software adapters pay dearly for barriers.
override LANES: u32 = 64u;
override ROWS: u32 = 1u;
var<workgroup> reduce_scratch: array<f32, LANES * ROWS>;

fn reduce_add(value: f32, lane: u32, row: u32) -> f32 {
  if (LANES == 1u) { return value; }
  let base = row * LANES;
  reduce_scratch[base + lane] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half = half / 2u) {
    if (lane < half) { reduce_scratch[base + lane] += reduce_scratch[base + lane + half]; }
    workgroupBarrier();
  }
  let total = reduce_scratch[base];
  workgroupBarrier();
  return total;
}

fn reduce_max(value: f32, lane: u32, row: u32) -> f32 {
  if (LANES == 1u) { return value; }
  let base = row * LANES;
  reduce_scratch[base + lane] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half = half / 2u) {
    if (lane < half) { reduce_scratch[base + lane] = max(reduce_scratch[base + lane], reduce_scratch[base + lane + half]); }
    workgroupBarrier();
  }
  let total = reduce_scratch[base];
  workgroupBarrier();
  return total;
}
