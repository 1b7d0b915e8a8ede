// y[b] = alpha op(a[b]) op(b[b]) (+ beta c[b]), y [batch, m, n], as product.wgsl, by tiles in workgroup memory: one workgroup of 16 × 16 makes
// BM × BN of one matrix (BM = 16 TM, BN = 16 TN), stepping through k by BK; each invocation keeps TM × TN of it in registers. The terms of a tile
// are added up by themselves, then to the sum.
// Grid: batch · ceil(m / BM) · ceil(n / BN).
#include "common/index.wgsl"
const TM: u32 = 4u; // tunable
const TN: u32 = 4u; // tunable
const BK: u32 = 16u;
const BM: u32 = 16u * TM;
const BN: u32 = 16u * TN;
struct Params { batch: u32, m: u32, n: u32, k: u32, ta: u32, tb: u32, shared_a: u32, alpha: f32, beta: f32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
// A column of padding keeps the writes of turned tiles off one bank.
var<workgroup> tile_a: array<f32, BK * (BM + 1u)>;
var<workgroup> tile_b: array<f32, BK * (BN + 1u)>;

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let block = group_index(group, groups);
  let wide = (params.n + BN - 1u) / BN;
  let high = (params.m + BM - 1u) / BM;
  let matrix = block / (wide * high);
  if (matrix >= params.batch) { return; }
  let row0 = BM * ((block / wide) % high);
  let col0 = BN * (block % wide);
  let a_base = select(matrix * params.m * params.k, 0u, params.shared_a == 1u);
  let b_base = matrix * params.k * params.n;
  var sum: array<array<f32, TN>, TM>;
  for (var k0 = 0u; k0 < params.k; k0 += BK) {
    // Neighbouring invocations read along the contiguous side, whichever that is.
    for (var i = index; i < BM * BK; i += 256u) {
      let turned = params.ta == 1u;
      let r = select(i / BK, i % BM, turned);
      let kk = select(i % BK, i / BM, turned);
      let row = row0 + r;
      let at = k0 + kk;
      var value = 0.0;
      if (row < params.m && at < params.k) { value = a[a_base + select(row * params.k + at, at * params.m + row, turned)]; }
      tile_a[kk * (BM + 1u) + r] = value;
    }
    for (var i = index; i < BN * BK; i += 256u) {
      let turned = params.tb == 1u;
      let cc = select(i % BN, i / BK, turned);
      let kk = select(i / BN, i % BK, turned);
      let col = col0 + cc;
      let at = k0 + kk;
      var value = 0.0;
      if (col < params.n && at < params.k) { value = b[b_base + select(at * params.n + col, col * params.k + at, turned)]; }
      tile_b[kk * (BN + 1u) + cc] = value;
    }
    workgroupBarrier();
    // Zeroed by hand: one compiler clears a variable of a loop once only.
    var part = array<array<f32, TN>, TM>();
    for (var kk = 0u; kk < BK; kk++) {
      var bv: array<f32, TN>;
      for (var j = 0u; j < TN; j++) { bv[j] = tile_b[kk * (BN + 1u) + local.x + 16u * j]; }
      for (var i = 0u; i < TM; i++) {
        let av = tile_a[kk * (BM + 1u) + local.y + 16u * i];
        for (var j = 0u; j < TN; j++) { part[i][j] += av * bv[j]; }
      }
    }
    for (var i = 0u; i < TM; i++) { for (var j = 0u; j < TN; j++) { sum[i][j] += part[i][j]; } }
    workgroupBarrier();
  }
  let base = matrix * params.m * params.n;
  for (var i = 0u; i < TM; i++) {
    let row = row0 + local.y + 16u * i;
    for (var j = 0u; j < TN; j++) {
      let col = col0 + local.x + 16u * j;
      if (row < params.m && col < params.n) {
        let at = base + row * params.n + col;
        var v = params.alpha * sum[i][j];
        if (params.beta != 0.0) { v += params.beta * c[at]; }
        y[at] = v;
      }
    }
  }
}
