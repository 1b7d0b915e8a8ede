// dx[b,t,c] = dy[b,c] share[b] where mask[b,t] != 0, else 0. One invocation an element of dx.
#include "common/index.wgsl"
struct Params { size: u32, time: u32, columns: u32 }
@group(0) @binding(0) var<storage, read> dy: array<f32>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read> share: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let place = i / params.columns;
  let row = place / params.time;
  dx[i] = select(0.0, dy[row * params.columns + i % params.columns] * share[row], mask[place] != 0u);
}
