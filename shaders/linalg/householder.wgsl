// One column of a Householder QR of a batch: reflects the rows c ≥ j of g (the columns of the matrices, [batch, n, m] row-major) so that
// row j keeps nothing beyond entry j:  H = I - v vᵀ, vᵀv = 2, v along x - β e_j, x = g[b, j, j:], β = -sign(x_j) ‖x‖.
// LANES invocations share a row (b, c). Row j itself is left as it was, since all others read it: its v goes to v[b, j], β to
// diagonal[b, j]. Where x is zero, v is. Grid: ceil(batch (n - j) / ROWS).
#include "common/index.wgsl"
#include "common/reduce4.wgsl"
struct Params { batch: u32, n: u32, m: u32, steps: u32, j: u32 }
@group(0) @binding(0) var<storage, read_write> g: array<f32>;
@group(0) @binding(1) var<storage, read_write> v: array<f32>;
@group(0) @binding(2) var<storage, read_write> diagonal: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let left = params.n - params.j;
  let row = group_index(group, groups) * ROWS + local.y;
  let inside = row < params.batch * left;
  let matrix = min(row / left, params.batch - 1u);
  let c = params.j + row % left;
  let x = (matrix * params.n + params.j) * params.m;
  let a = (matrix * params.n + c) * params.m;
  var sums = vec4<f32>();
  if (inside) {
    for (var i = params.j + local.x; i < params.m; i += LANES) {
      let xi = g[x + i];
      let ai = g[a + i];
      // Entry j of the row goes round by the sum, since lane 0 overwrites it below.
      sums += vec4<f32>(xi * xi, xi * ai, select(0.0, ai, i == params.j), 0.0);
    }
  }
  sums = reduce_add4(sums, local.x, local.y);
  if (!inside) { return; }
  let first = g[x + params.j];
  let length = sqrt(sums.x);
  let beta = select(length, -length, first >= 0.0);
  // 1 / (½ vᵀv) of the unscaled v; zero leaves everything as it is.
  var factor = 0.0;
  if (length > 0.0) { factor = 1.0 / (length * (length + abs(first))); }
  if (c == params.j) {
    let at = (matrix * params.steps + params.j) * params.m;
    let scale = sqrt(factor);
    for (var i = params.j + local.x; i < params.m; i += LANES) { v[at + i] = scale * (g[x + i] - select(0.0, beta, i == params.j)); }
    if (local.x == 0u) { diagonal[matrix * params.steps + params.j] = beta; }
  } else {
    let along = factor * (sums.y - beta * sums.z);
    for (var i = params.j + local.x; i < params.m; i += LANES) { g[a + i] -= along * (g[x + i] - select(0.0, beta, i == params.j)); }
  }
}
