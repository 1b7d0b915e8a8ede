// Rotary position embedding in half-split order: per head of size d, with angle t·θ_j from the tables,
// y[j] = x[j] cos - x[j + d/2] sin,  y[j + d/2] = x[j + d/2] cos + x[j] sin; sign = -1 turns back (the adjoint).
// x [batch, time, heads·d], cos and sin [context, d/2], row positions[t] of the tables for time t. One invocation a pair.
#include "common/index.wgsl"
struct Params { pairs: u32, time: u32, heads: u32, half_d: u32, sign: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> cosines: array<f32>;
@group(0) @binding(2) var<storage, read> sines: array<f32>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.pairs) { return; }
  let j = i % params.half_d;
  let head = i / params.half_d;
  let t = (head / params.heads) % params.time;
  let lo = head * 2u * params.half_d + j;
  let hi = lo + params.half_d;
  let at = positions[t] * params.half_d + j;
  let c = cosines[at];
  let s = sines[at] * params.sign;
  let a = x[lo];
  let b = x[hi];
  y[lo] = a * c - b * s;
  y[hi] = b * c + a * s;
}
