// In place: logits[n,v] ← (exp(logits[n,v] - lse[n]) - [v = target]) dy / total where row first + n has a target, else 0; total and lse as the
// forward left them. One invocation an element.
#include "common/index.wgsl"
#include "common/target.wgsl"
struct Params { size: u32, first: u32, time: u32, vocab: u32, shift: u32 }
@group(0) @binding(0) var<storage, read> labels: array<i32>;
@group(0) @binding(1) var<storage, read> lse: array<f32>;
@group(0) @binding(2) var<storage, read> total: array<f32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> logits: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let row = i / params.vocab;
  let label = target_of(params.first + row);
  var d = 0.0;
  if (label >= 0) {
    d = exp(logits[i] - lse[row]);
    if (u32(label) == i % params.vocab) { d -= 1.0; }
    d *= dy[0] / max(total[0], 1.0);
  }
  logits[i] = d;
}
