// partial[p] = sum of g[i]² over chunk p of `chunk` elements, g [n]. LANES invocations share a chunk. Grid: ceil(parts / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { n: u32, chunk: u32, parts: u32 }
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read_write> partial_sums: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let part = group_index(group, groups) * ROWS + local.y;
  var sum = 0.0;
  if (part < params.parts) {
    let end = min((part + 1u) * params.chunk, params.n);
    for (var i = part * params.chunk + local.x; i < end; i += LANES) { sum += g[i] * g[i]; }
  }
  sum = reduce_add(sum, local.x, local.y);
  if (part < params.parts && local.x == 0u) { partial_sums[part] = sum; }
}
