// dx[n,c] = r (w dy - mean_c(w dy) - h mean_c(w dy h)) (+ residual[n,c]), all of row n; h and r as layer_norm.wgsl left them.
// LANES invocations share a row. Grid: ceil(rows / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { rows: u32, columns: u32, add_residual: u32 }
@group(0) @binding(0) var<storage, read> h: array<f32>;
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
  let count = f32(params.columns);
  var plain = 0.0;
  var along = 0.0;
  if (row < params.rows) {
    for (var c = local.x; c < params.columns; c += LANES) {
      let g = w[c] * dy[base + c];
      plain += g;
      along += g * h[base + c];
    }
  }
  plain = reduce_add(plain, local.x, local.y) / count;
  along = reduce_add(along, local.x, local.y) / count;
  if (row >= params.rows) { return; }
  for (var c = local.x; c < params.columns; c += LANES) {
    var v = r[row] * (w[c] * dy[base + c] - plain - h[base + c] * along);
    if (params.add_residual == 1u) { v += residual[base + c]; }
    dx[base + c] = v;
  }
}
