// dk and dv of attention.wgsl by tiles, positions[t] = t:  dv[s] = Σ p dy,  dk[s] = scale Σ ds q, over the query rows t of one head
// that see key s, in ascending t; dk, dv [batch, keys, heads·d]: sum_heads.wgsl adds up the heads that share a key head.
// stats [batch, heads, time] = (lse, delta). A workgroup of QB / 2 × 8 takes 16 keys of one (b, h) and walks over the query rows by QB,
// fetching the next tile meanwhile. d = 4 D4; rows = batch·heads·keys.
// Loops over a head are bounded by params.d4, not D4: unrolled, they take software drivers minutes to compile.
// Invocation (x, y) holds keys 2y, 2y + 1 against query rows 2x, 2x + 1, and columns x + QB / 2 · c of their gradients.
// Grid: batch·heads·ceil(keys / 16) workgroups.
#include "common/index.wgsl"
const D4: u32 = 8u; // tunable
const QB: u32 = 16u; // tunable
const B: u32 = 16u;
const ACROSS: u32 = QB / 2u;
const WG: u32 = 8u * ACROSS;
const ROW: u32 = D4 + 1u;
const COLUMNS: u32 = (D4 + ACROSS - 1u) / ACROSS;
const FETCH: u32 = (QB * D4 + WG - 1u) / WG;
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
var<workgroup> q_tile: array<vec4<f32>, QB * ROW>;
var<workgroup> dy_tile: array<vec4<f32>, QB * ROW>;
var<workgroup> k_tile: array<vec4<f32>, B * ROW>;
var<workgroup> v_tile: array<vec4<f32>, B * ROW>;
// [key, query row]
var<workgroup> p_tile: array<f32, B * (QB + 1u)>;
var<workgroup> ds_tile: array<f32, B * (QB + 1u)>;

fn query_at(t: u32, c: u32, b: u32, head: u32) -> vec4<f32> {
  if (t < params.time) { return params.scale * q[((b * params.time + t) * params.heads + head) * D4 + c]; }
  return vec4<f32>();
}
fn dy_at(t: u32, c: u32, b: u32, head: u32) -> vec4<f32> {
  if (t < params.time) { return dy[((b * params.time + t) * params.heads + head) * D4 + c]; }
  return vec4<f32>();
}

@compute @workgroup_size(ACROSS, 8)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let tiles = (params.keys + B - 1u) / B;
  let number = group_index(group, groups);
  if (number >= params.rows / params.keys * tiles) { return; }
  // The first keys are seen by the most query rows; their tiles come first in the grid.
  let s0 = (number % tiles) * B;
  let h = (number / tiles) % params.heads;
  let b = number / (tiles * params.heads);
  let kv_head = h / (params.heads / params.kv_heads);
  for (var i = index; i < B * D4; i += WG) {
    let s = s0 + i / D4;
    let at = (i / D4) * ROW + i % D4;
    k_tile[at] = vec4<f32>();
    v_tile[at] = vec4<f32>();
    if (s < params.keys) {
      let source = ((b * params.keys + s) * params.kv_heads + kv_head) * D4 + i % D4;
      k_tile[at] = k[source];
      v_tile[at] = v[source];
    }
  }
  let r0 = 2u * local.y;
  var dk_a: array<vec4<f32>, COLUMNS>;
  var dk_b: array<vec4<f32>, COLUMNS>;
  var dv_a: array<vec4<f32>, COLUMNS>;
  var dv_b: array<vec4<f32>, COLUMNS>;
  let first = select(0u, s0, params.causal == 1u);
  var next_q: array<vec4<f32>, FETCH>;
  var next_dy: array<vec4<f32>, FETCH>;
  for (var i = 0u; i < FETCH; i++) {
    next_q[i] = query_at(first + (index + WG * i) / D4, (index + WG * i) % D4, b, h);
    next_dy[i] = dy_at(first + (index + WG * i) / D4, (index + WG * i) % D4, b, h);
  }
  for (var t0 = first; t0 < params.time; t0 += QB) {
    workgroupBarrier();
    for (var i = 0u; i < FETCH; i++) {
      let at = index + WG * i;
      if (at < QB * D4) {
        q_tile[(at / D4) * ROW + at % D4] = next_q[i];
        dy_tile[(at / D4) * ROW + at % D4] = next_dy[i];
      }
    }
    workgroupBarrier();
    if (t0 + QB < params.time) {
      for (var i = 0u; i < FETCH; i++) {
        next_q[i] = query_at(t0 + QB + (index + WG * i) / D4, (index + WG * i) % D4, b, h);
        next_dy[i] = dy_at(t0 + QB + (index + WG * i) / D4, (index + WG * i) % D4, b, h);
      }
    }
    // (key a, row 0), (key a, row 1), (key b, row 0), (key b, row 1)
    var score = vec4<f32>();
    var dp = vec4<f32>();
    for (var c = 0u; c < params.d4; c++) {
      let ka = k_tile[r0 * ROW + c];
      let kb = k_tile[(r0 + 1u) * ROW + c];
      let va = v_tile[r0 * ROW + c];
      let vb = v_tile[(r0 + 1u) * ROW + c];
      let q0 = q_tile[2u * local.x * ROW + c];
      let q1 = q_tile[(2u * local.x + 1u) * ROW + c];
      let d0 = dy_tile[2u * local.x * ROW + c];
      let d1 = dy_tile[(2u * local.x + 1u) * ROW + c];
      score += vec4<f32>(dot(ka, q0), dot(ka, q1), dot(kb, q0), dot(kb, q1));
      dp += vec4<f32>(dot(va, d0), dot(va, d1), dot(vb, d0), dot(vb, d1));
    }
    let stat = (b * params.heads + h) * params.time;
    let stat_0 = stats[stat + min(t0 + 2u * local.x, params.time - 1u)];
    let stat_1 = stats[stat + min(t0 + 2u * local.x + 1u, params.time - 1u)];
    var p = exp(score - vec4<f32>(stat_0.x, stat_1.x, stat_0.x, stat_1.x));
    // The query tile carries the scale already, so dk needs none.
    let slope = dp - vec4<f32>(stat_0.y, stat_1.y, stat_0.y, stat_1.y);
    for (var j = 0u; j < 4u; j++) {
      let s = s0 + r0 + j / 2u;
      let t = t0 + 2u * local.x + j % 2u;
      var hidden = s >= params.keys || t >= params.time || (params.causal == 1u && s > t);
      if (params.use_mask == 1u && !hidden) { hidden = mask[b * params.keys + s] == 0u; }
      if (hidden) { p[j] = 0.0; }
      let at = (r0 + j / 2u) * (QB + 1u) + 2u * local.x + j % 2u;
      p_tile[at] = p[j];
      ds_tile[at] = p[j] * slope[j];
    }
    workgroupBarrier();
    for (var t = 0u; t < QB; t++) {
      let pa = p_tile[r0 * (QB + 1u) + t];
      let pb = p_tile[(r0 + 1u) * (QB + 1u) + t];
      let da = ds_tile[r0 * (QB + 1u) + t];
      let db = ds_tile[(r0 + 1u) * (QB + 1u) + t];
      for (var c = 0u; c < COLUMNS; c++) {
        let column = min(local.x + ACROSS * c, D4 - 1u);
        let qv = q_tile[t * ROW + column];
        let dyv = dy_tile[t * ROW + column];
        dk_a[c] += da * qv;
        dk_b[c] += db * qv;
        dv_a[c] += pa * dyv;
        dv_b[c] += pb * dyv;
      }
    }
  }
  for (var c = 0u; c < COLUMNS; c++) {
    let column = local.x + ACROSS * c;
    if (column < D4) {
      let s = s0 + r0;
      let at = ((b * params.keys + s) * params.heads + h) * D4 + column;
      if (s < params.keys) { dk[at] = dk_a[c]; dv[at] = dv_a[c]; }
      if (s + 1u < params.keys) { dk[at + params.heads * D4] = dk_b[c]; dv[at + params.heads * D4] = dv_b[c]; }
    }
  }
}
