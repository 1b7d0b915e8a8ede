// dx[n,c] = r (w dy - x r² mean_c(w dy x)) (+ residual[n,c]), all of row n; r as rms_norm.wgsl left it. Row-major [rows, columns].
// LANES invocations share a row. Grid: ceil(rows / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { rows: u32, columns: u32, add_residual: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> r: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read> residual: array<f32>;
@group(0) @binding(5) var<storage, read_write> dx: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = group_index(group, groups) * ROWS + local.y;
  let base = row * params.columns;
  var sum = 0.0;
  if (row < params.rows) {
    for (var c = local.x; c < params.columns; c += LANES) { sum += w[c] * dy[base + c] * x[base + c]; }
  }
  sum = reduce_add(sum, local.x, local.y);
  if (row >= params.rows) { return; }
  let rstd = r[row];
  let pull = rstd * rstd * sum / f32(params.columns);
  for (var c = local.x; c < params.columns; c += LANES) {
    var v = rstd * (w[c] * dy[base + c] - x[base + c] * pull);
    if (params.add_residual == 1u) { v += residual[base + c]; }
    dx[base + c] = v;
  }
}
