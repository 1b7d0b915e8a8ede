// y[c] = sum_n x[n,c] z[n,c] s[n], row-major [rows, columns]; use_z = 0 leaves z out, use_s = 0 leaves s out.
// LANES invocations share a column, each walking every LANES-th row. Grid: ceil(columns / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { rows: u32, columns: u32, use_z: u32, use_s: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read> s: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let column = group_index(group, groups) * ROWS + local.y;
  var sum = 0.0;
  if (column < params.columns) {
    for (var n = local.x; n < params.rows; n += LANES) {
      var v = x[n * params.columns + column];
      if (params.use_z == 1u) { v *= z[n * params.columns + column]; }
      if (params.use_s == 1u) { v *= s[n]; }
      sum += v;
    }
  }
  sum = reduce_add(sum, local.x, local.y);
  if (column < params.columns && local.x == 0u) { y[column] = sum; }
}
