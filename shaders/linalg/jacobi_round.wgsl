// One round of one-sided Jacobi (Hestenes 1958) over a batch: the rows of g [batch, n, m] meet in pairs, and each pair is turned in its
// plane until it is orthogonal. LANES invocations share a pair. cosine[b, k] keeps the largest |cos| that slot k
// of matrix b met in this sweep: round 0 begins anew. Grid: ceil(batch · half / ROWS), half = ceil(n / 2) pairs.
#include "common/index.wgsl"
#include "common/reduce4.wgsl"
#include "common/jacobi.wgsl"
struct Params { batch: u32, n: u32, m: u32, half: u32, round: u32 }
@group(0) @binding(0) var<storage, read_write> g: array<f32>;
@group(0) @binding(1) var<storage, read_write> cosine: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = group_index(group, groups) * ROWS + local.y;
  let inside = row < params.batch * params.half;
  let matrix = row / params.half;
  let pair = players(row % params.half, params.round, 2u * params.half);
  let met = inside && pair.y < params.n;
  let p = (matrix * params.n + pair.x) * params.m;
  let q = (matrix * params.n + pair.y) * params.m;
  var sums = vec4<f32>();
  if (met) {
    for (var i = local.x; i < params.m; i += LANES) {
      let x = g[p + i];
      let y = g[q + i];
      sums += vec4<f32>(x * x, y * y, x * y, 0.0);
    }
  }
  sums = reduce_add4(sums, local.x, local.y);
  if (!inside) { return; }
  let lengths = sqrt(sums.x) * sqrt(sums.y);
  var cos = 0.0;
  if (lengths > 0.0) { cos = abs(sums.z) / lengths; }
  if (local.x == 0u) { cosine[row] = select(max(cosine[row], cos), cos, params.round == 0u); }
  if (cos <= 1.0e-7) { return; }
  let turn = rotation(sums.x, sums.y, sums.z);
  for (var i = local.x; i < params.m; i += LANES) {
    let both = rotated(turn, g[p + i], g[q + i]);
    g[p + i] = both.x;
    g[q + i] = both.y;
  }
}
