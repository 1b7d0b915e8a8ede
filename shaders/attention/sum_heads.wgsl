// yk[r,d] = Σ_g xk[r,g,d] and yv likewise: gradients of query heads [rows, group, d] that share a key and value head [rows, d], in
// ascending g. One invocation an element of yk.
#include "common/index.wgsl"
struct Params { size: u32, group_size: u32, d: u32 }
@group(0) @binding(0) var<storage, read> xk: array<f32>;
@group(0) @binding(1) var<storage, read> xv: array<f32>;
@group(0) @binding(2) var<storage, read_write> yk: array<f32>;
@group(0) @binding(3) var<storage, read_write> yv: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let first = (i / params.d) * params.group_size * params.d + i % params.d;
  var k_sum = 0.0;
  var v_sum = 0.0;
  for (var g = 0u; g < params.group_size; g++) {
    k_sum += xk[first + g * params.d];
    v_sum += xv[first + g * params.d];
  }
  yk[i] = k_sum;
  yv[i] = v_sum;
}
