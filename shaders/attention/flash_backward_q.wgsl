// dq of attention.wgsl by tiles, positions[t] = t:  p = exp(scale q·k - lse),  ds = p (dy·v - delta),  dq = scale Σ_s ds k.
// A workgroup of 8 × BQ / 2 takes BQ query rows of one (b, h) and walks over the keys by 16, fetching the next tile meanwhile. stats [batch, heads, time] = (lse, delta).
// q, dy, dq [batch, time, heads·d]; k, v [batch, keys, kv_heads·d]; d = 4 D4. Grid: batch·heads·ceil(time / BQ) workgroups.
// Loops over a head are bounded by params.d4, not D4: unrolled, they take software drivers minutes to compile.
// Invocation (x, y) holds rows 2y, 2y + 1 against keys 2x, 2x + 1, and columns x + 8c of their gradient.
#include "common/index.wgsl"
const D4: u32 = 8u; // tunable
const BQ: u32 = 16u; // tunable
const B: u32 = 16u;
const WG: u32 = 4u * BQ;
const FETCH: u32 = (B * D4 + WG - 1u) / WG;
const ROW: u32 = D4 + 1u;
const COLUMNS: u32 = (D4 + 7u) / 8u;
struct Params { rows: u32, time: u32, keys: u32, heads: u32, kv_heads: u32, causal: u32, use_mask: u32, d4: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> mask: array<u32>;
@group(0) @binding(4) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> dy: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> dq: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params: Params;
var<workgroup> q_tile: array<vec4<f32>, BQ * ROW>;
var<workgroup> dy_tile: array<vec4<f32>, BQ * ROW>;
var<workgroup> k_tile: array<vec4<f32>, B * ROW>;
var<workgroup> v_tile: array<vec4<f32>, B * ROW>;
var<workgroup> ds_tile: array<f32, BQ * (B + 1u)>;

fn key_at(s: u32, c: u32, b: u32, head: u32) -> vec4<f32> {
  if (s < params.keys) { return k[((b * params.keys + s) * params.kv_heads + head) * D4 + c]; }
  return vec4<f32>();
}
fn value_at(s: u32, c: u32, b: u32, head: u32) -> vec4<f32> {
  if (s < params.keys) { return v[((b * params.keys + s) * params.kv_heads + head) * D4 + c]; }
  return vec4<f32>();
}

@compute @workgroup_size(8, BQ / 2u)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let tiles = (params.time + BQ - 1u) / BQ;
  let number = group_index(group, groups);
  if (number >= params.rows / params.time * tiles) { return; }
  let t0 = (tiles - 1u - number % tiles) * BQ;
  let h = (number / tiles) % params.heads;
  let b = number / (tiles * params.heads);
  let kv_head = h / (params.heads / params.kv_heads);
  for (var i = index; i < BQ * D4; i += WG) {
    let t = t0 + i / D4;
    let at = (i / D4) * ROW + i % D4;
    q_tile[at] = vec4<f32>();
    dy_tile[at] = vec4<f32>();
    if (t < params.time) {
      let source = ((b * params.time + t) * params.heads + h) * D4 + i % D4;
      q_tile[at] = params.scale * q[source];
      dy_tile[at] = dy[source];
    }
  }
  let r0 = 2u * local.y;
  let t_a = t0 + r0;
  let stat = (b * params.heads + h) * params.time;
  let stat_a = stats[stat + min(t_a, params.time - 1u)];
  let stat_b = stats[stat + min(t_a + 1u, params.time - 1u)];
  let last = select(params.keys, min(params.keys, t0 + BQ), params.causal == 1u);
  var sum_a: array<vec4<f32>, COLUMNS>;
  var sum_b: array<vec4<f32>, COLUMNS>;
  var next_k: array<vec4<f32>, FETCH>;
  var next_v: array<vec4<f32>, FETCH>;
  for (var i = 0u; i < FETCH; i++) {
    next_k[i] = key_at((index + WG * i) / D4, (index + WG * i) % D4, b, kv_head);
    next_v[i] = value_at((index + WG * i) / D4, (index + WG * i) % D4, b, kv_head);
  }
  for (var s0 = 0u; s0 < last; s0 += B) {
    workgroupBarrier();
    for (var i = 0u; i < FETCH; i++) {
      let at = index + WG * i;
      if (at < B * D4) {
        k_tile[(at / D4) * ROW + at % D4] = next_k[i];
        v_tile[(at / D4) * ROW + at % D4] = next_v[i];
      }
    }
    workgroupBarrier();
    if (s0 + B < last) {
      for (var i = 0u; i < FETCH; i++) {
        next_k[i] = key_at(s0 + B + (index + WG * i) / D4, (index + WG * i) % D4, b, kv_head);
        next_v[i] = value_at(s0 + B + (index + WG * i) / D4, (index + WG * i) % D4, b, kv_head);
      }
    }
    // (row a, key 0), (row a, key 1), (row b, key 0), (row b, key 1)
    var score = vec4<f32>();
    var dp = vec4<f32>();
    for (var c = 0u; c < params.d4; c++) {
      let qa = q_tile[r0 * ROW + c];
      let qb = q_tile[(r0 + 1u) * ROW + c];
      let da = dy_tile[r0 * ROW + c];
      let db = dy_tile[(r0 + 1u) * ROW + c];
      let k0 = k_tile[2u * local.x * ROW + c];
      let k1 = k_tile[(2u * local.x + 1u) * ROW + c];
      let v0 = v_tile[2u * local.x * ROW + c];
      let v1 = v_tile[(2u * local.x + 1u) * ROW + c];
      score += vec4<f32>(dot(qa, k0), dot(qa, k1), dot(qb, k0), dot(qb, k1));
      dp += vec4<f32>(dot(da, v0), dot(da, v1), dot(db, v0), dot(db, v1));
    }
    var ds = exp(score - vec4<f32>(stat_a.xx, stat_b.xx)) * (dp - vec4<f32>(stat_a.yy, stat_b.yy)) * params.scale;
    for (var j = 0u; j < 4u; j++) {
      let s = s0 + 2u * local.x + j % 2u;
      let t = t_a + j / 2u;
      var hidden = s >= params.keys || t >= params.time || (params.causal == 1u && s > t);
      if (params.use_mask == 1u && !hidden) { hidden = mask[b * params.keys + s] == 0u; }
      if (hidden) { ds[j] = 0.0; }
      ds_tile[(r0 + j / 2u) * (B + 1u) + 2u * local.x + j % 2u] = ds[j];
    }
    workgroupBarrier();
    for (var s = 0u; s < B; s++) {
      let a = ds_tile[r0 * (B + 1u) + s];
      let e = ds_tile[(r0 + 1u) * (B + 1u) + s];
      for (var c = 0u; c < COLUMNS; c++) {
        let value = k_tile[s * ROW + min(local.x + 8u * c, D4 - 1u)];
        sum_a[c] += a * value;
        sum_b[c] += e * value;
      }
    }
  }
  for (var c = 0u; c < COLUMNS; c++) {
    let column = local.x + 8u * c;
    if (column < D4) {
      if (t_a < params.time) { dq[((b * params.time + t_a) * params.heads + h) * D4 + column] = sum_a[c]; }
      if (t_a + 1u < params.time) { dq[((b * params.time + t_a + 1u) * params.heads + h) * D4 + column] = sum_b[c]; }
    }
  }
}
