// Step j of LU with partial pivoting, its choice: of rows i ≥ j of w [batch, m, n] row-major the one with the largest |w[b, i, j]|, the first of
// equals, changes places with row j, in permutation [batch, m] too. LANES invocations share a matrix. Grid: ceil(batch / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { batch: u32, m: u32, n: u32, j: u32 }
@group(0) @binding(0) var<storage, read_write> w: array<f32>;
@group(0) @binding(1) var<storage, read_write> permutation: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let matrix = group_index(group, groups) * ROWS + local.y;
  let inside = matrix < params.batch;
  let base = matrix * params.m * params.n;
  var most = -1.0;
  var own = params.j;
  if (inside) {
    for (var i = params.j + local.x; i < params.m; i += LANES) {
      let size = abs(w[base + i * params.n + params.j]);
      if (size > most) { most = size; own = i; }
    }
  }
  let largest = reduce_max(most, local.x, local.y);
  // The smallest row of those that hold the largest: as a maximum of differences, exact in f32.
  let pivot = params.m - u32(reduce_max(select(0.0, f32(params.m - own), most == largest), local.x, local.y));
  // Without LANES there is no barrier in between, and none is needed.
  if (!inside || pivot == params.j) { return; }
  for (var c = local.x; c < params.n; c += LANES) {
    let upper = w[base + params.j * params.n + c];
    w[base + params.j * params.n + c] = w[base + pivot * params.n + c];
    w[base + pivot * params.n + c] = upper;
  }
  if (local.x == 0u) {
    let upper = permutation[matrix * params.m + params.j];
    permutation[matrix * params.m + params.j] = permutation[matrix * params.m + pivot];
    permutation[matrix * params.m + pivot] = upper;
  }
}
