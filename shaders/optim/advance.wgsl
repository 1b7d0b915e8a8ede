// Counts the steps of what may move: masks [2, entries], masks[1, i] += masks[0, i] where control says go. One invocation an entry.
#include "common/index.wgsl"
struct Params { entries: u32 }
@group(0) @binding(0) var<storage, read> control: array<f32>;
@group(0) @binding(1) var<storage, read_write> masks: array<u32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.entries || control[2] == 0.0) { return; }
  masks[params.entries + i] += masks[i];
}
