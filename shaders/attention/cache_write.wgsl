// cache[b, positions[t], c] = x[b, t, c], cache [batch, capacity, columns], x [batch, time, columns]. One invocation an element of x.
#include "common/index.wgsl"
struct Params { size: u32, time: u32, capacity: u32, columns: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> positions: array<u32>;
@group(0) @binding(2) var<storage, read_write> cache: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let t = (i / params.columns) % params.time;
  let b = i / (params.columns * params.time);
  if (positions[t] < params.capacity) { cache[(b * params.capacity + positions[t]) * params.columns + i % params.columns] = x[i]; }
}
