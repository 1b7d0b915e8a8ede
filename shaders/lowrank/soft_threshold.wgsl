// SoRA's proximal step on every gate at once (Ding et al. 2023, eq. 9): p ← sign(p) max(|p| - ξ, 0) where blocks[i / 64] = which.
// p [n] is the flat arena of all trainable tensors. dead_zone = 1 is what the authors' code does: |p| < 2ξ → 0, |p| > ξ → |p| - ξ.
// Where control says no go, nothing moves. One invocation an element.
#include "common/index.wgsl"
struct Params { n: u32, which: u32, dead_zone: u32 }
@group(0) @binding(0) var<storage, read> xi: array<f32>;
@group(0) @binding(1) var<storage, read> control: array<f32>;
@group(0) @binding(2) var<storage, read> blocks: array<u32>;
@group(0) @binding(3) var<storage, read_write> p: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || control[2] == 0.0) { return; }
  if (blocks[i / 64u] != params.which) { return; }
  let x = p[i];
  let size = abs(x);
  var kept = max(size - xi[0], 0.0);
  if (params.dead_zone == 1u) {
    kept = select(size, size - xi[0], size > xi[0]);
    if (kept < xi[0]) { kept = 0.0; }
  }
  p[i] = select(kept, -kept, x < 0.0);
}
