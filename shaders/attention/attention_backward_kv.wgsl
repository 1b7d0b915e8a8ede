// dk and dv of attention.wgsl where positions[t] = t: dv[s] = Σ p dy,  dk[s] = scale Σ ds q, over the query rows t of one head that see
// key s, in ascending t; dk, dv [batch, keys, heads·d]: sum_heads.wgsl adds up the heads that share a key head.
// stats [batch, heads, time] = (lse, delta) from attention_stats.wgsl. One invocation a (b, h, s).
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
@group(0) @binding(6) var<storage, read_write> dk: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> dv: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let row = group_index(group, groups) * WG + local;
  if (row >= params.rows) { return; }
  let d4 = select(D4, params.d4, ROLLED == 1u);
  let s = row % params.keys;
  let h = (row / params.keys) % params.heads;
  let b = row / (params.keys * params.heads);
  let kv_head = h / (params.heads / params.kv_heads);
  let at = ((b * params.keys + s) * params.kv_heads + kv_head) * D4;
  var kv: array<vec4<f32>, D4>;
  var vv: array<vec4<f32>, D4>;
  var dks: array<vec4<f32>, D4>;
  var dvs: array<vec4<f32>, D4>;
  var open = true;
  if (params.use_mask == 1u) { open = mask[b * params.keys + s] != 0u; }
  if (open) {
    for (var i = 0u; i < d4; i++) { kv[i] = k[at + i]; vv[i] = v[at + i]; }
    for (var t = select(0u, s, params.causal == 1u); t < params.time; t++) {
      let q_at = ((b * params.time + t) * params.heads + h) * D4;
      let stat = stats[(b * params.heads + h) * params.time + t];
      var score = 0.0;
      var dp = 0.0;
      for (var i = 0u; i < d4; i++) {
        score += dot(q[q_at + i], kv[i]);
        dp += dot(dy[q_at + i], vv[i]);
      }
      let p = exp(score * params.scale - stat.x);
      let ds = p * (dp - stat.y) * params.scale;
      for (var i = 0u; i < d4; i++) {
        dks[i] += ds * q[q_at + i];
        dvs[i] += p * dy[q_at + i];
      }
    }
  }
  let out = ((b * params.keys + s) * params.heads + h) * D4;
  for (var i = 0u; i < d4; i++) { dk[out + i] = dks[i]; dv[out + i] = dvs[i]; }
}
