// n[o] = (sum_i (w[o,i] + scale sum_j b[o,j] a[j,i])²)^-1/2, 0 for a row of zeros, no number where the sum is none: w [rows, columns], b [rows, rank], a [rank, columns], row-major.
// The sum w + scale·b·a is never stored. LANES invocations share a row. Grid: ceil(rows / ROWS).
#include "common/index.wgsl"
#include "common/float.wgsl"
#include "common/reduce.wgsl"
struct Params { rows: u32, columns: u32, rank: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read_write> n: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = group_index(group, groups) * ROWS + local.y;
  var sum = 0.0;
  if (row < params.rows) {
    for (var i = local.x; i < params.columns; i += LANES) {
      var low = 0.0;
      for (var j = 0u; j < params.rank; j++) { low += b[row * params.rank + j] * a[j * params.columns + i]; }
      let v = w[row * params.columns + i] + params.scale * low;
      sum += v * v;
    }
  }
  sum = reduce_add(sum, local.x, local.y);
  if (row < params.rows && local.x == 0u) { n[row] = select(select(1.0 / sqrt(sum), 0.0, sum == 0.0), sum, !is_finite(sum)); }
}
