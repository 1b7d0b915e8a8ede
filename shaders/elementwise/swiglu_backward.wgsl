// y = silu(g) u:  dg = dy u s (1 + g (1 - s)),  du = dy g s,  s = 1 / (1 + e^-g). All [size].
// One invocation an element.
#include "common/index.wgsl"
struct Params { size: u32 }
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dg: array<f32>;
@group(0) @binding(4) var<storage, read_write> du: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let s = 1.0 / (1.0 + exp(-g[i]));
  dg[i] = dy[i] * u[i] * s * (1.0 + g[i] * (1.0 - s));
  du[i] = dy[i] * g[i] * s;
}
