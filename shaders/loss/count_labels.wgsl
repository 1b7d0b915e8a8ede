// total[0] = how many rows [batch·time] have a label ≥ 0 to predict. One workgroup.
#include "common/reduce.wgsl"
#include "common/target.wgsl"
struct Params { rows: u32, time: u32, vocab: u32, shift: u32 }
@group(0) @binding(0) var<storage, read> labels: array<i32>;
@group(0) @binding(1) var<storage, read_write> total: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  var count = 0.0;
  if (local.y == 0u) {
    for (var i = local.x; i < params.rows; i += LANES) { count += select(0.0, 1.0, target_of(i) >= 0); }
  }
  count = reduce_add(count, local.x, local.y);
  if (local.x == 0u && local.y == 0u) { total[0] = count; }
}
