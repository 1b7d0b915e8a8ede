// The sums of attention.wgsl by tiles (Dao et al. 2022): a workgroup of 8 × BQ / 2 takes BQ query rows of one (b, h) and walks
// over the keys by BK = 32, with both tiles and the probabilities of the tile in workgroup memory; the next tile is fetched into
// registers meanwhile. y and lse as in attention.wgsl.
// q, y [batch, time, heads·d]; k, v [batch, keys, kv_heads·d]; d = 4 D4. Grid: batch·heads·ceil(time / BQ) workgroups.
// Loops over a head are bounded by params.d4, not D4: unrolled, they take software drivers minutes to compile.
// Invocation (x, y) holds rows 2y, 2y + 1: their scores against keys x + 8j, and columns x + 8c of their output.
#include "common/index.wgsl"
const D4: u32 = 8u; // tunable
const BQ: u32 = 16u; // tunable
const BK: u32 = 32u;
const WG: u32 = 4u * BQ;
const FETCH: u32 = (BK * D4 + WG - 1u) / WG;
const ROW: u32 = D4 + 1u;
const COLUMNS: u32 = (D4 + 7u) / 8u;
struct Params { rows: u32, time: u32, keys: u32, heads: u32, kv_heads: u32, causal: u32, use_mask: u32, d4: u32, scale: f32 }
@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> k: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> v: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> positions: array<u32>;
@group(0) @binding(4) var<storage, read> mask: array<u32>;
@group(0) @binding(5) var<storage, read_write> y: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> lse: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
var<workgroup> q_tile: array<vec4<f32>, BQ * ROW>;
var<workgroup> kv_tile: array<vec4<f32>, BK * ROW>;
var<workgroup> p_tile: array<f32, BQ * (BK + 1u)>;
var<workgroup> tops: array<f32, BQ * 8u>;
var<workgroup> sums: array<f32, BQ * 8u>;

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
  // The last query rows have the most keys: they start first.
  let t0 = (tiles - 1u - number % tiles) * BQ;
  let h = (number / tiles) % params.heads;
  let b = number / (tiles * params.heads);
  let kv_head = h / (params.heads / params.kv_heads);
  for (var i = index; i < BQ * D4; i += WG) {
    let t = t0 + i / D4;
    var value = vec4<f32>();
    if (t < params.time) { value = params.scale * q[((b * params.time + t) * params.heads + h) * D4 + i % D4]; }
    q_tile[(i / D4) * ROW + i % D4] = value;
  }
  let r0 = 2u * local.y;
  let t_a = min(t0 + r0, params.time - 1u);
  let t_b = min(t0 + r0 + 1u, params.time - 1u);
  let seen = vec2<u32>(select(params.keys, positions[t_a] + 1u, params.causal == 1u), select(params.keys, positions[t_b] + 1u, params.causal == 1u));
  var last = params.keys;
  if (params.causal == 1u) {
    // Positions need not ascend.
    last = 0u;
    for (var i = 0u; i < BQ; i++) { last = max(last, positions[min(t0 + i, params.time - 1u)] + 1u); }
    last = min(last, params.keys);
  }
  var out_a: array<vec4<f32>, COLUMNS>;
  var out_b: array<vec4<f32>, COLUMNS>;
  var top = vec2<f32>(-3.0e38);
  var total = vec2<f32>();
  var next_k: array<vec4<f32>, FETCH>;
  var next_v: array<vec4<f32>, FETCH>;
  for (var i = 0u; i < FETCH; i++) { next_k[i] = key_at((index + WG * i) / D4, (index + WG * i) % D4, b, kv_head); }
  for (var s0 = 0u; s0 < last; s0 += BK) {
    workgroupBarrier();
    for (var i = 0u; i < FETCH; i++) {
      let at = index + WG * i;
      if (at < BK * D4) { kv_tile[(at / D4) * ROW + at % D4] = next_k[i]; }
    }
    workgroupBarrier();
    for (var i = 0u; i < FETCH; i++) { next_v[i] = value_at(s0 + (index + WG * i) / D4, (index + WG * i) % D4, b, kv_head); }
    var score_a = vec4<f32>();
    var score_b = vec4<f32>();
    for (var c = 0u; c < params.d4; c++) {
      let qa = q_tile[r0 * ROW + c];
      let qb = q_tile[(r0 + 1u) * ROW + c];
      let k0 = kv_tile[local.x * ROW + c];
      let k1 = kv_tile[(local.x + 8u) * ROW + c];
      let k2 = kv_tile[(local.x + 16u) * ROW + c];
      let k3 = kv_tile[(local.x + 24u) * ROW + c];
      score_a += vec4<f32>(dot(qa, k0), dot(qa, k1), dot(qa, k2), dot(qa, k3));
      score_b += vec4<f32>(dot(qb, k0), dot(qb, k1), dot(qb, k2), dot(qb, k3));
    }
    for (var j = 0u; j < 4u; j++) {
      let s = s0 + local.x + 8u * j;
      var hidden = s >= params.keys;
      if (params.use_mask == 1u && !hidden) { hidden = mask[b * params.keys + s] == 0u; }
      if (hidden || s >= seen.x) { score_a[j] = -3.0e38; }
      if (hidden || s >= seen.y) { score_b[j] = -3.0e38; }
    }
    tops[r0 * 8u + local.x] = max(max(score_a.x, score_a.y), max(score_a.z, score_a.w));
    tops[(r0 + 1u) * 8u + local.x] = max(max(score_b.x, score_b.y), max(score_b.z, score_b.w));
    workgroupBarrier();
    // From here on nobody reads the keys: the values take their place.
    for (var i = 0u; i < FETCH; i++) {
      let at = index + WG * i;
      if (at < BK * D4) { kv_tile[(at / D4) * ROW + at % D4] = next_v[i]; }
    }
    if (s0 + BK < last) {
      for (var i = 0u; i < FETCH; i++) { next_k[i] = key_at(s0 + BK + (index + WG * i) / D4, (index + WG * i) % D4, b, kv_head); }
    }
    var next = top;
    for (var x = 0u; x < 8u; x++) { next = max(next, vec2<f32>(tops[r0 * 8u + x], tops[(r0 + 1u) * 8u + x])); }
    let shrink = exp(top - next);
    top = next;
    // Where every key so far is hidden, top is still -3e38 and exp(0) would count it.
    let p_a = select(exp(score_a - top.x), vec4<f32>(), score_a <= vec4<f32>(-1.0e38));
    let p_b = select(exp(score_b - top.y), vec4<f32>(), score_b <= vec4<f32>(-1.0e38));
    for (var j = 0u; j < 4u; j++) {
      p_tile[r0 * (BK + 1u) + local.x + 8u * j] = p_a[j];
      p_tile[(r0 + 1u) * (BK + 1u) + local.x + 8u * j] = p_b[j];
    }
    sums[r0 * 8u + local.x] = (p_a.x + p_a.y) + (p_a.z + p_a.w);
    sums[(r0 + 1u) * 8u + local.x] = (p_b.x + p_b.y) + (p_b.z + p_b.w);
    workgroupBarrier();
    total *= shrink;
    for (var x = 0u; x < 8u; x++) { total += vec2<f32>(sums[r0 * 8u + x], sums[(r0 + 1u) * 8u + x]); }
    for (var c = 0u; c < COLUMNS; c++) {
      out_a[c] *= shrink.x;
      out_b[c] *= shrink.y;
    }
    for (var s = 0u; s < BK; s++) {
      let pa = p_tile[r0 * (BK + 1u) + s];
      let pb = p_tile[(r0 + 1u) * (BK + 1u) + s];
      for (var c = 0u; c < COLUMNS; c++) {
        let value = kv_tile[s * ROW + min(local.x + 8u * c, D4 - 1u)];
        out_a[c] += pa * value;
        out_b[c] += pb * value;
      }
    }
  }
  // A row with every key masked gives zeros.
  let share = select(vec2<f32>(), 1.0 / total, total > vec2<f32>());
  for (var c = 0u; c < COLUMNS; c++) {
    let column = local.x + 8u * c;
    if (column < D4) {
      if (t0 + r0 < params.time) { y[((b * params.time + t0 + r0) * params.heads + h) * D4 + column] = out_a[c] * share.x; }
      if (t0 + r0 + 1u < params.time) { y[((b * params.time + t0 + r0 + 1u) * params.heads + h) * D4 + column] = out_b[c] * share.y; }
    }
  }
  if (local.x == 0u) {
    let stat = (b * params.heads + h) * params.time + t0 + r0;
    if (t0 + r0 < params.time) { lse[stat] = top.x + log(max(total.x, 1.0e-30)); }
    if (t0 + r0 + 1u < params.time) { lse[stat + 1u] = top.y + log(max(total.y, 1.0e-30)); }
  }
}
