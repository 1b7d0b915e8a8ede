// y[i] = alpha * sum_p parts[p, i] (+ c[i]), parts [count, size], added in ascending p. One invocation an element.
#include "common/index.wgsl"
struct Params { size: u32, count: u32, add_c: u32, alpha: f32 }
@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read> c: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  var sum = 0.0;
  for (var p = 0u; p < params.count; p++) { sum += parts[p * params.size + i]; }
  var v = params.alpha * sum;
  if (params.add_c == 1u) { v += c[i]; }
  y[i] = v;
}
