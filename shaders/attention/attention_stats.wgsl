// stats[b,h,t] = (lse, delta),  delta = dy·y over the head: what both gradients of attention.wgsl need.
// y, dy [batch, time, heads·d], d = 4 D4; lse, stats [batch, heads, time]. One invocation a (b, h, t).
#include "common/index.wgsl"
const D4: u32 = 8u; // tunable
struct Params { rows: u32, time: u32, heads: u32 }
@group(0) @binding(0) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> lse: array<f32>;
@group(0) @binding(3) var<storage, read_write> stats: array<vec2<f32>>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let row = group_index(group, groups) * 64u + local;
  if (row >= params.rows) { return; }
  let t = row % params.time;
  let h = (row / params.time) % params.heads;
  let b = row / (params.time * params.heads);
  let at = ((b * params.time + t) * params.heads + h) * D4;
  var delta = 0.0;
  for (var i = 0u; i < D4; i++) { delta += dot(y[at + i], dy[at + i]); }
  stats[row] = vec2<f32>(lse[row], delta);
}
