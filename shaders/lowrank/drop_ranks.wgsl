// Zeroes E of the triplets whose score is not above the schedule[1]-th smallest of all: fewer than schedule[1] scores are smaller than
// theirs. score [total]; p: flat arena with every E; table as in lowrank/triplet_scores. Nothing moves where control says no go.
// One invocation a triplet; each looks at all scores.
#include "common/index.wgsl"
struct Params { total: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> score: array<f32>;
@group(0) @binding(2) var<storage, read> schedule: array<f32>;
@group(0) @binding(3) var<storage, read> control: array<f32>;
@group(0) @binding(4) var<storage, read_write> p: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let t = group_index(group, groups) * 256u + local;
  if (t >= params.total || control[2] == 0.0 || schedule[1] == 0.0) { return; }
  var smaller = 0u;
  for (var k = 0u; k < params.total; k++) { smaller += select(0u, 1u, score[k] < score[t]); }
  if (f32(smaller) >= schedule[1]) { return; }
  let e = params.total + 7u * (table[t] - 1u);
  p[table[e + 4u] + t - table[e]] = 0.0;
}
