// y[n,c] = h[n,c] w[c] + b[c],  h[n,c] = (x[n,c] - mean_c) r[n],  r[n] = (var_c x + eps)^-1/2, row-major [rows, columns].
// h is kept for the backward. LANES invocations share a row. Grid: ceil(rows / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { rows: u32, columns: u32, eps: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> w: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> h: array<f32>;
@group(0) @binding(5) var<storage, read_write> r: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = group_index(group, groups) * ROWS + local.y;
  let base = row * params.columns;
  let inside = row < params.rows;
  let count = f32(params.columns);
  var sum = 0.0;
  if (inside) { for (var c = local.x; c < params.columns; c += LANES) { sum += x[base + c]; } }
  let mean = reduce_add(sum, local.x, local.y) / count;
  var squares = 0.0;
  if (inside) { for (var c = local.x; c < params.columns; c += LANES) { let d = x[base + c] - mean; squares += d * d; } }
  let rstd = 1.0 / sqrt(reduce_add(squares, local.x, local.y) / count + params.eps);
  if (!inside) { return; }
  for (var c = local.x; c < params.columns; c += LANES) {
    let normal = (x[base + c] - mean) * rstd;
    h[base + c] = normal;
    y[base + c] = normal * w[c] + b[c];
  }
  if (local.x == 0u) { r[row] = rstd; }
}
