// Four sums at once over the LANES invocations of one row: one tree, where four calls of reduce_add would take four.
#include "common/reduce.wgsl"
var<workgroup> reduce4_scratch: array<vec4<f32>, LANES * ROWS>;

fn reduce_add4(value: vec4<f32>, lane: u32, row: u32) -> vec4<f32> {
  if (LANES == 1u) { return value; }
  let base = row * LANES;
  reduce4_scratch[base + lane] = value;
  workgroupBarrier();
  for (var half = LANES / 2u; half > 0u; half = half / 2u) {
    if (lane < half) { reduce4_scratch[base + lane] += reduce4_scratch[base + lane + half]; }
    workgroupBarrier();
  }
  let total = reduce4_scratch[base];
  workgroupBarrier();
  return total;
}
