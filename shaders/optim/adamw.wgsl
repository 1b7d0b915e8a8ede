// AdamW (Loshchilov and Hutter 2019) over all trainable tensors at once, elementwise on flat arenas [n]:
// p ← p (1 - lr' wd),  m ← β1 m + (1 - β1) g',  v ← β2 v + (1 - β2) g'²,  p ← p - lr' (m / bias1) / (√v / √bias2 + eps),
// g' = clip factor · g, lr' = lr · lr scale of the group. blocks[i / 64] is the group, settings [groups, 2] = (lr scale, wd).
// Where control says no go, nothing moves. One invocation an element.
#include "common/index.wgsl"
#include "common/step.wgsl"
struct Params { n: u32, beta1: f32, beta2: f32, eps: f32 }
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> control: array<f32>;
@group(0) @binding(2) var<storage, read> blocks: array<u32>;
@group(0) @binding(3) var<storage, read> settings: array<f32>;
@group(0) @binding(4) var<storage, read_write> p: array<f32>;
@group(0) @binding(5) var<storage, read_write> m: array<f32>;
@group(0) @binding(6) var<storage, read_write> v: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || control[2] == 0.0) { return; }
  let which = blocks[i / 64u];
  let lr = scalars.lr * settings[2u * which];
  let gradient = control[1] * g[i];
  let first = params.beta1 * m[i] + (1.0 - params.beta1) * gradient;
  let second = params.beta2 * v[i] + (1.0 - params.beta2) * gradient * gradient;
  m[i] = first;
  v[i] = second;
  let decayed = p[i] * (1.0 - lr * settings[2u * which + 1u]);
  p[i] = decayed - lr * (first / scalars.bias1) / (sqrt(second) / sqrt(scalars.bias2) + params.eps);
}
