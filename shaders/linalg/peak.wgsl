// scale[b] = the power of two at or below max |x[b, :]|, x [batch, size]; 1 for a matrix of zeros, 0 where a number is not finite. The matrix
// divided by it has squares that neither overflow nor vanish. LANES invocations share a matrix. Grid: ceil(batch / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
#include "common/float.wgsl"
struct Params { batch: u32, size: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> scale: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let matrix = group_index(group, groups) * ROWS + local.y;
  var most = 0.0;
  var broken = 0.0;
  if (matrix < params.batch) {
    for (var i = local.x; i < params.size; i += LANES) {
      let value = x[matrix * params.size + i];
      if (is_finite(value)) { most = max(most, abs(value)); } else { broken = 1.0; }
    }
  }
  most = reduce_max(most, local.x, local.y);
  broken = reduce_max(broken, local.x, local.y);
  if (matrix >= params.batch || local.x > 0u) { return; }
  // Subnormal numbers count as zero; the largest powers stay below the one whose inverse is subnormal.
  let bits = min(bitcast<u32>(most) & 0x7f800000u, 0x7e000000u);
  scale[matrix] = select(bitcast<f32>(select(bits, 0x3f800000u, bits == 0u)), 0.0, broken > 0.0);
}
