// x[b, :] /= scale[b], x [batch, size], scale powers of two by peak.wgsl, so nothing is rounded; 0 leaves the matrix alone. One invocation an
// element. Grid: total / 256, total = batch · size.
#include "common/index.wgsl"
struct Params { total: u32, size: u32 }
@group(0) @binding(0) var<storage, read> scale: array<f32>;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.total) { return; }
  let power = scale[i / params.size];
  // A division may be off by 2.5 units; times the inverse of a power of two is exact.
  if (power > 0.0) { x[i] *= bitcast<f32>(0x7f000000u - bitcast<u32>(power)); }
}
