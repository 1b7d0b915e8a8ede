// y[b, rank(i), :] = x[b, i, :], x [batch, n, m], y [batch, keep, m]: rows by |key[b, i]|, largest first, equal ones as they stood; ranks from
// `keep` on are dropped. values[b, rank(i)] = scale[b] |key[b, i]|. LANES invocations share a row. Grid: ceil(batch n / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { batch: u32, n: u32, m: u32, keep: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> key: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read_write> values: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = group_index(group, groups) * ROWS + local.y;
  let inside = row < params.batch * params.n;
  let i = row % params.n;
  let first = row - i;
  var before = 0.0;
  if (inside) {
    let own = abs(key[row]);
    for (var j = local.x; j < params.n; j += LANES) {
      let other = abs(key[first + j]);
      if (other > own || (other == own && j < i)) { before += 1.0; }
    }
  }
  let rank = u32(reduce_add(before, local.x, local.y));
  if (!inside || rank >= params.keep) { return; }
  let matrix = row / params.n;
  let to = matrix * params.keep + rank;
  for (var c = local.x; c < params.m; c += LANES) { y[to * params.m + c] = x[row * params.m + c]; }
  if (local.x == 0u) { values[to] = scale[matrix] * abs(key[row]); }
}
