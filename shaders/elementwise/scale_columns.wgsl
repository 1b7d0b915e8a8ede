// z[n,c] = x[n,c] g[p,c], row-major [n, c]; p counts stretches of `stretch` rows; c[n,c] is added where add_c is 1. One invocation an element.
#include "common/index.wgsl"
struct Params { size: u32, columns: u32, stretch: u32, add_c: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  var value = x[i] * g[i / (params.columns * params.stretch) * params.columns + i % params.columns];
  if (params.add_c == 1u) { value += c[i]; }
  z[i] = value;
}
