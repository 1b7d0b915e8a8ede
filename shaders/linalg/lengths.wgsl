// lengths[b, i] = ‖x[b, i, :]‖, x as [rows, m] row-major, rows = batch · n. LANES invocations share a row. Grid: ceil(rows / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { rows: u32, m: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> lengths: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = group_index(group, groups) * ROWS + local.y;
  var sum = 0.0;
  if (row < params.rows) {
    for (var i = local.x; i < params.m; i += LANES) { sum += x[row * params.m + i] * x[row * params.m + i]; }
  }
  sum = reduce_add(sum, local.x, local.y);
  if (row < params.rows && local.x == 0u) { lengths[row] = sqrt(sum); }
}
