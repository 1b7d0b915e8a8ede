// mean[0] = Σ x[n] / max(total[0], 1). One workgroup.
#include "common/reduce.wgsl"
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> total: array<f32>;
@group(0) @binding(2) var<storage, read_write> mean: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  var sum = 0.0;
  if (local.y == 0u) {
    for (var i = local.x; i < params.n; i += LANES) { sum += x[i]; }
  }
  sum = reduce_add(sum, local.x, local.y);
  if (local.x == 0u && local.y == 0u) { mean[0] = sum / max(total[0], 1.0); }
}
