// AdaLoRA's smoothed sensitivity and its uncertainty of every trainable number (Zhang et al. 2023, eq. 9 and 10):
//   i = |p g|,  s ← beta1 s + (1 - beta1) i,  u ← beta2 u + (1 - beta2) |i - s|.   p, g, s, u [n]: flat arenas.
// schedule [2] = (measure, ranks to drop): nothing moves where it says not to measure, or control says no go. One invocation an element.
#include "common/index.wgsl"
struct Params { n: u32, beta1: f32, beta2: f32 }
@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> control: array<f32>;
@group(0) @binding(3) var<storage, read> schedule: array<f32>;
@group(0) @binding(4) var<storage, read_write> s: array<f32>;
@group(0) @binding(5) var<storage, read_write> u: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || control[2] == 0.0 || schedule[0] == 0.0) { return; }
  let now = abs(p[i] * g[i]);
  let smooth_now = params.beta1 * s[i] + (1.0 - params.beta1) * now;
  s[i] = smooth_now;
  u[i] = params.beta2 * u[i] + (1.0 - params.beta2) * abs(now - smooth_now);
}
