// Forward (scatter = 0): z[n,j] = x[n, start + j], x [n, wide], z [n, narrow].
// Adjoint (scatter = 1): z[n, start + j] = x[n,j] and 0 elsewhere, x [n, narrow], z [n, wide]. One invocation an element of z.
#include "common/index.wgsl"
struct Params { size: u32, wide: u32, narrow: u32, start: u32, scatter: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> z: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  if (params.scatter == 0u) {
    z[i] = x[(i / params.narrow) * params.wide + params.start + i % params.narrow];
  } else {
    let j = i % params.wide;
    var v = 0.0;
    if (j >= params.start && j < params.start + params.narrow) { v = x[(i / params.wide) * params.narrow + j - params.start]; }
    z[i] = v;
  }
}
