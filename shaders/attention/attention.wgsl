// y[b,t,h] = sum_s p[t,s] v[b,s,h'],  p = softmax_s(scale q[b,t,h]·k[b,s,h']),  h' = h / (heads / kv_heads): grouped-query attention.
// q, y [batch, time, heads·d]; k, v [batch, keys, kv_heads·d]; lse [batch, heads, time] keeps log Σ exp for the backward.
// causal = 1: key s counts when s ≤ positions[t]. use_mask = 1: and when mask[b,s] ≠ 0. No [time, keys] tensor is made:
// one invocation walks over the keys of one (b, h, t) with a running maximum. d = 4 D4. Grid: batch·heads·time invocations.
#include "common/index.wgsl"
const D4: u32 = 8u; // tunable
override WG: u32 = 64u;
override ROLLED: u32 = 0u; // 1: loops over a head are not unrolled, for drivers that take a minute to compile what that makes of a large one
struct Params { rows: u32, time: u32, keys: u32, heads: u32, kv_heads: u32, causal: u32, use_mask: u32, d4: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;
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
  let keys = select(params.keys, min(params.keys, positions[t] + 1u), params.causal == 1u);
  var qv: array<vec4<f32>, D4>;
  var sum: array<vec4<f32>, D4>;
  for (var i = 0u; i < d4; i++) { qv[i] = q[q_at + i]; }
  var top = -3.0e38;
  var total = 0.0;
  for (var s = 0u; s < keys; s++) {
    if (params.use_mask == 1u) { if (mask[b * params.keys + s] == 0u) { continue; } }
    let at = ((b * params.keys + s) * params.kv_heads + kv_head) * D4;
    var score = 0.0;
    for (var i = 0u; i < d4; i++) { score += dot(qv[i], k[at + i]); }
    score *= params.scale;
    if (score > top) {
      let shrink = exp(top - score);
      total *= shrink;
      for (var i = 0u; i < d4; i++) { sum[i] *= shrink; }
      top = score;
    }
    let p = exp(score - top);
    total += p;
    for (var i = 0u; i < d4; i++) { sum[i] += p * v[at + i]; }
  }
  // A row with every key masked gives zeros.
  let share = select(0.0, 1.0 / total, total > 0.0);
  for (var i = 0u; i < d4; i++) { y[q_at + i] = sum[i] * share; }
  lse[row] = top + log(max(total, 1.0e-30));
}
