// Zeroes E of the triplets of one layer whose score is not above the schedule[1]-th smallest of all: fewer than schedule[1] scores are
// smaller than theirs. score [total]; p: flat arena in which the layer's E [rank] begins at at_e; its scores begin at first.
// Nothing moves where control says no go. One invocation a triplet; each looks at all scores.
#include "common/index.wgsl"
struct Params { rank: u32, total: u32, at_e: u32, first: u32 }
@group(0) @binding(0) var<storage, read> score: array<f32>;
@group(0) @binding(1) var<storage, read> schedule: array<f32>;
@group(0) @binding(2) var<storage, read> control: array<f32>;
@group(0) @binding(3) var<storage, read_write> p: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let j = group_index(group, groups) * 256u + local;
  if (j >= params.rank || control[2] == 0.0 || schedule[1] == 0.0) { return; }
  let own = score[params.first + j];
  var smaller = 0u;
  for (var k = 0u; k < params.total; k++) { smaller += select(0u, 1u, score[k] < own); }
  if (f32(smaller) < schedule[1]) { p[params.at_e + j] = 0.0; }
}
