// q[b, c, :] = s_c (H_0 H_1 … H_c) e_c: the columns of Q of a Householder QR as rows [batch, steps, m], from the reflectors v [batch, steps, m]
// of householder.wgsl; s_c = -1 where diagonal[b, c] < 0, so that R has no negative diagonal. Reflectors after c leave e_c as it is.
// LANES invocations share a row; each owns the entries that are its number modulo LANES. Grid: ceil(batch steps / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { batch: u32, m: u32, steps: u32 }
@group(0) @binding(0) var<storage, read> v: array<f32>;
@group(0) @binding(1) var<storage, read> diagonal: array<f32>;
@group(0) @binding(2) var<storage, read_write> q: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = group_index(group, groups) * ROWS + local.y;
  let inside = row < params.batch * params.steps;
  let c = row % params.steps;
  let first = row - c;
  let at = row * params.m;
  if (inside) {
    let one = select(1.0, -1.0, diagonal[row] < 0.0);
    for (var i = local.x; i < params.m; i += LANES) { q[at + i] = select(0.0, one, i == c); }
  }
  // The rows of a workgroup walk over all reflectors together: barriers want the same number of turns.
  for (var turn = 0u; turn < params.steps; turn++) {
    let k = params.steps - 1u - turn;
    let takes = inside && k <= c;
    let reflector = (first + k) * params.m;
    let start = k + (local.x + LANES - k % LANES) % LANES;
    var along = 0.0;
    if (takes) { for (var i = start; i < params.m; i += LANES) { along += v[reflector + i] * q[at + i]; } }
    along = reduce_add(along, local.x, local.y);
    if (takes) { for (var i = start; i < params.m; i += LANES) { q[at + i] -= along * v[reflector + i]; } }
  }
}
