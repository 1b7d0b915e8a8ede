// Rotary position embedding of queries and keys in half-split order: per head of size d, with angle t·θ_j from the tables,
// y[j] = x[j] cos - x[j + d/2] sin,  y[j + d/2] = x[j + d/2] cos + x[j] sin; sign = -1 turns back (the adjoint).
// q [batch, time, heads·d], k [batch, time, kv_heads·d], cos and sin [context, d/2], row positions[t] of the tables for time t.
// One invocation a pair: first those of q, then those of k.
#include "common/index.wgsl"
struct Params { pairs: u32, q_pairs: u32, time: u32, heads: u32, kv_heads: u32, half_d: u32, sign: f32 }
@group(0) @binding(0) var<storage, read> q: array<f32>;
@group(0) @binding(1) var<storage, read> k: array<f32>;
@group(0) @binding(2) var<storage, read> cosines: array<f32>;
@group(0) @binding(3) var<storage, read> sines: array<f32>;
@group(0) @binding(4) var<storage, read> positions: array<u32>;
@group(0) @binding(5) var<storage, read_write> yq: array<f32>;
@group(0) @binding(6) var<storage, read_write> yk: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let number = group_index(group, groups) * 256u + local;
  if (number >= params.pairs) { return; }
  let of_k = number >= params.q_pairs;
  let i = select(number, number - params.q_pairs, of_k);
  let j = i % params.half_d;
  let head = i / params.half_d;
  let t = (head / select(params.heads, params.kv_heads, of_k)) % params.time;
  let lo = head * 2u * params.half_d + j;
  let hi = lo + params.half_d;
  let at = positions[t] * params.half_d + j;
  let c = cosines[at];
  let s = sines[at] * params.sign;
  if (of_k) {
    let a = k[lo];
    let b = k[hi];
    yk[lo] = a * c - b * s;
    yk[hi] = b * c + a * s;
  } else {
    let a = q[lo];
    let b = q[hi];
    yq[lo] = a * c - b * s;
    yq[hi] = b * c + a * s;
  }
}
