// Adam's direction for a gradient of a whole weight, all [n]: m ← β1 m + (1 - β1) g,  v ← β2 v + (1 - β2) g²,
// d = (m / (1 - β1^t)) / (√(v / (1 - β2^t)) + eps), t the step. Where control says no go, m and v stay and d is 0.
// One invocation an element.
#include "common/index.wgsl"
#include "common/step.wgsl"
#include "common/power.wgsl"
struct Params { n: u32, beta1: f32, beta2: f32, log_beta1: f32, log_beta2: f32, eps: f32 }
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> control: array<f32>;
@group(0) @binding(2) var<storage, read_write> m: array<f32>;
@group(0) @binding(3) var<storage, read_write> v: array<f32>;
@group(0) @binding(4) var<storage, read_write> d: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n) { return; }
  d[i] = 0.0;
  if (control[2] == 0.0) { return; }
  let first = params.beta1 * m[i] + (1.0 - params.beta1) * g[i];
  let second = params.beta2 * v[i] + (1.0 - params.beta2) * g[i] * g[i];
  m[i] = first;
  v[i] = second;
  let t = f32(scalars.step);
  d[i] = (first / one_minus_power(t, params.log_beta1)) / (sqrt(second / one_minus_power(t, params.log_beta2)) + params.eps);
}
