// dtable[v,c] = sum over n with ids[n] = v of dy[n,c], in ascending n: the gather form, deterministic without atomics.
// One invocation an element of dtable.
#include "common/index.wgsl"
struct Params { size: u32, columns: u32, rows: u32 }
@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> dtable: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let v = i / params.columns;
  let c = i % params.columns;
  var sum = 0.0;
  for (var n = 0u; n < params.rows; n++) {
    if (ids[n] == v) { sum += dy[n * params.columns + c]; }
  }
  dtable[i] = sum;
}
