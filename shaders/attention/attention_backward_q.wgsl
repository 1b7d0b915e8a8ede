// dq of attention.wgsl where positions[t] = t:  p = exp(scale q·k - lse),  ds = p (dy·v - delta),  dq = scale Σ_s ds k.
// stats [batch, heads, time] = (lse, delta) from attention_stats.wgsl. One invocation a (b, h, t).
#include "common/index.wgsl"
const D4: u32 = 8u; // tunable
override WG: u32 = 64u;
override ROLLED: u32 = 0u; // 1: loops over a head are not unrolled, for drivers that take a minute to compile what that makes of a large one
struct Params { rows: u32, time: u32, keys: u32, heads: u32, kv_heads: u32, causal: u32, use_mask: u32, d4: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> mask: array<u32>;
@group(0) @binding(4) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> dq: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let row = group_index(group, groups) * WG + local;
  if (row >= params.rows) { return; }
  let d4 = select(D4, params.d4, ROLLED == 1u);
  let t = row % params.time;
  let h = (row / params.time) % params.heads;
  let b = row / (params.time * params.heads);
  let q_at = ((b * params.time + t) * params.heads + h) * D4;
  let kv_head = h / (params.heads / params.kv_heads);
  let keys = select(params.keys, min(params.keys, t + 1u), params.causal == 1u);
  var qv: array<vec4<f32>, D4>;
  var dyv: array<vec4<f32>, D4>;
  var sum: array<vec4<f32>, D4>;
  let stat = stats[row];
  for (var i = 0u; i < d4; i++) {
    qv[i] = q[q_at + i];
    dyv[i] = dy[q_at + i];
  }
  for (var s = 0u; s < keys; s++) {
    if (params.use_mask == 1u) { if (mask[b * params.keys + s] == 0u) { continue; } }
    let at = ((b * params.keys + s) * params.kv_heads + kv_head) * D4;
    var score = 0.0;
    var dp = 0.0;
    for (var i = 0u; i < d4; i++) {
      score += dot(qv[i], k[at + i]);
      dp += dot(dyv[i], v[at + i]);
    }
    let ds = exp(score * params.scale - stat.x) * (dp - stat.y) * params.scale;
    for (var i = 0u; i < d4; i++) { sum[i] += ds * k[at + i]; }
  }
  for (var i = 0u; i < d4; i++) { dq[q_at + i] = sum[i]; }
}
