// z[i] = alpha x[i] + beta y[i]. One invocation an element.
// beta = 0 reads nothing of y: 0 · NaN would be NaN.
#include "common/index.wgsl"
struct Params { n: u32, alpha: f32, beta: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> z: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n) { return; }
  var v = params.alpha * x[i];
  if (params.beta != 0.0) { v += params.beta * y[i]; }
  z[i] = v;
}
