// y[0] = √Σ x² over n elements and inverse[0] = 1 / y[0], 0 where y[0] is 0. One workgroup.
#include "common/reduce.wgsl"
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> inverse: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  var sum = 0.0;
  if (local.y == 0u) { for (var i = local.x; i < params.n; i += LANES) { sum += x[i] * x[i]; } }
  sum = reduce_add(sum, local.x, local.y);
  if (local.x == 0u && local.y == 0u) {
    y[0] = sqrt(sum);
    inverse[0] = 0.0;
    if (sum > 0.0) { inverse[0] = 1.0 / sqrt(sum); }
  }
}
