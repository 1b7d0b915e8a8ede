// y[n] = sum_c x[n,c] z[n,c], row-major [rows, columns]. LANES invocations share a row. Grid: ceil(rows / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { rows: u32, columns: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> z: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = group_index(group, groups) * ROWS + local.y;
  let base = row * params.columns;
  var sum = 0.0;
  if (row < params.rows) {
    for (var c = local.x; c < params.columns; c += LANES) { sum += x[base + c] * z[base + c]; }
  }
  sum = reduce_add(sum, local.x, local.y);
  if (row < params.rows && local.x == 0u) { y[row] = sum; }
}
