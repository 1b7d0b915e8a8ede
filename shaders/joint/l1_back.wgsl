// The gradient of joint/l1 is added to g: weight · sign(p) where blocks[i / 64] = which, 0 where p is. One invocation an element.
#include "common/index.wgsl"
struct Params { n: u32, which: u32, weight: f32 }
@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(0) @binding(2) var<storage, read_write> g: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || blocks[i / 64u] != params.which) { return; }
  g[i] += params.weight * sign(p[i]);
}
