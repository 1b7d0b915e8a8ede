// y[i] = x[i], four numbers at a time, [n]: a probe of memory bandwidth. An invocation copies EACH of them, a grid apart.
#include "common/index.wgsl"
override EACH: u32 = 1u;
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let first = group_index(group, groups) * 64u * EACH + local;
  for (var e = 0u; e < EACH; e++) {
    let i = first + 64u * e;
    if (i < params.n) { y[i] = x[i]; }
  }
}
