// As direct_vec4.wgsl with frozen weights b [k,n] or, with TB, [n,k] as BITS-bit codes with a scale for each 32 along a row
// (common/matmul_packed.wgsl), widened on the way: what is summed is what direct_vec4.wgsl sums of the widened weights, in the same order.
// y[m,n] = alpha * (sum_k a b + alpha2 * sum_k2 a2 b2) (+ bias[n]) (+ c[m,n]); everything but b is f32. Wants k to be a multiple of 4, and
// the rows of b of 32. One invocation makes 4 × 8 of y. Grid: ceil(n / (8 WX)), ceil(m / (4 WY)) folded into y and z.
const BITS: u32 = 8u; // tunable
const TB: u32 = 1u; // tunable
const WX: u32 = 8u;
const WY: u32 = 1u;
struct Params { m: u32, n: u32, k: u32, k2: u32, ta: u32, tb: u32, add_c: u32, add_bias: u32, alpha: f32, alpha2: f32, lift: f32 }
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<u32>;
@group(0) @binding(2) var<storage, read> a2: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
#include "common/matmul_packed.wgsl"

fn store(row: u32, col: u32, value: vec4<f32>) {
  if (row >= params.m) { return; }
  for (var i = 0u; i < 4u; i++) {
    if (col + i < params.n) {
      let at = row * params.n + col + i;
      var v = params.alpha * value[i];
      if (params.add_bias == 1u) { v += bias[col + i]; }
      if (params.add_c == 1u) { v += c[at]; }
      y[at] = v;
    }
  }
}
fn columns_of(at: vec4<u32>, i: u32) -> mat4x4<f32> {
  return transpose(mat4x4<f32>(codes(at.x + i), codes(at.y + i), codes(at.z + i), codes(at.w + i)));
}
fn scales_of(at: vec4<u32>, scales: u32) -> vec4<f32> {
  return vec4<f32>(scale_of(at.x, scales), scale_of(at.y, scales), scale_of(at.z, scales), scale_of(at.w, scales));
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = ((group.z * groups.y + group.y) * WY + local.y) * 4u;
  let col = (group.x * WX + local.x) * 8u;
  if (row >= params.m || col >= params.n) { return; }
  let k4 = params.k / 4u;
  let n4 = params.n / 4u;
  let scales = params.n * params.k / (32u / BITS);
  // Rows and columns past the edge read the last one; they are not stored.
  let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.m - 1u)) * k4;
  let last = vec4<u32>(params.n - 1u);
  let cols0 = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), last) * k4;
  let cols1 = min(vec4<u32>(col + 4u, col + 5u, col + 6u, col + 7u), last) * k4;
  var s00 = vec4<f32>(); var s01 = vec4<f32>();
  var s10 = vec4<f32>(); var s11 = vec4<f32>();
  var s20 = vec4<f32>(); var s21 = vec4<f32>();
  var s30 = vec4<f32>(); var s31 = vec4<f32>();
  var scale0 = vec4<f32>();
  var scale1 = vec4<f32>();
  for (var i = 0u; i < k4; i++) {
    // av[j]: four rows at k = 4i + j. bv0[j], bv1[j]: eight columns there.
    let av = transpose(mat4x4<f32>(a[rows.x + i], a[rows.y + i], a[rows.z + i], a[rows.w + i]));
    var bv0: mat4x4<f32>;
    var bv1: mat4x4<f32>;
    if (TB == 1u) {
      // A group is eight fours along k, one scale for each column.
      if (i % 8u == 0u) {
        scale0 = scales_of(cols0 + i, scales);
        scale1 = scales_of(cols1 + i, scales);
      }
      bv0 = columns_of(cols0, i);
      bv1 = columns_of(cols1, i);
      for (var j = 0u; j < 4u; j++) { bv0[j] *= scale0; bv1[j] *= scale1; }
    } else {
      // Eight neighbouring columns share the scale of their row.
      let at = vec4<u32>(4u * i, 4u * i + 1u, 4u * i + 2u, 4u * i + 3u) * n4 + col / 4u;
      scale0 = scales_of(at, scales);
      bv0 = mat4x4<f32>(scale0.x * codes(at.x), scale0.y * codes(at.y), scale0.z * codes(at.z), scale0.w * codes(at.w));
      bv1 = mat4x4<f32>(scale0.x * codes(at.x + 1u), scale0.y * codes(at.y + 1u), scale0.z * codes(at.z + 1u), scale0.w * codes(at.w + 1u));
    }
    s00 += av[0].x * bv0[0]; s01 += av[0].x * bv1[0]; s10 += av[0].y * bv0[0]; s11 += av[0].y * bv1[0];
    s20 += av[0].z * bv0[0]; s21 += av[0].z * bv1[0]; s30 += av[0].w * bv0[0]; s31 += av[0].w * bv1[0];
    s00 += av[1].x * bv0[1]; s01 += av[1].x * bv1[1]; s10 += av[1].y * bv0[1]; s11 += av[1].y * bv1[1];
    s20 += av[1].z * bv0[1]; s21 += av[1].z * bv1[1]; s30 += av[1].w * bv0[1]; s31 += av[1].w * bv1[1];
    s00 += av[2].x * bv0[2]; s01 += av[2].x * bv1[2]; s10 += av[2].y * bv0[2]; s11 += av[2].y * bv1[2];
    s20 += av[2].z * bv0[2]; s21 += av[2].z * bv1[2]; s30 += av[2].w * bv0[2]; s31 += av[2].w * bv1[2];
    s00 += av[3].x * bv0[3]; s01 += av[3].x * bv1[3]; s10 += av[3].y * bv0[3]; s11 += av[3].y * bv1[3];
    s20 += av[3].z * bv0[3]; s21 += av[3].z * bv1[3]; s30 += av[3].w * bv0[3]; s31 += av[3].w * bv1[3];
  }
  // The second product, one term at a time: its k2 is a rank.
  let b2_col = select(1u, params.k2, TB == 1u);
  let b2_k = select(params.n, 1u, TB == 1u);
  var aj = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.m - 1u)) * params.k2;
  var bj0 = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), last) * b2_col;
  var bj1 = min(vec4<u32>(col + 4u, col + 5u, col + 6u, col + 7u), last) * b2_col;
  for (var i = 0u; i < params.k2; i++) {
    let av = params.alpha2 * vec4<f32>(a2[aj.x], a2[aj.y], a2[aj.z], a2[aj.w]);
    let b0 = vec4<f32>(b2[bj0.x], b2[bj0.y], b2[bj0.z], b2[bj0.w]);
    let b1 = vec4<f32>(b2[bj1.x], b2[bj1.y], b2[bj1.z], b2[bj1.w]);
    s00 += av.x * b0; s01 += av.x * b1;
    s10 += av.y * b0; s11 += av.y * b1;
    s20 += av.z * b0; s21 += av.z * b1;
    s30 += av.w * b0; s31 += av.w * b1;
    aj += vec4<u32>(1u);
    bj0 += vec4<u32>(b2_k);
    bj1 += vec4<u32>(b2_k);
  }
  store(row, col, s00); store(row, col + 4u, s01);
  store(row + 1u, col, s10); store(row + 1u, col + 4u, s11);
  store(row + 2u, col, s20); store(row + 2u, col + 4u, s21);
  store(row + 3u, col, s30); store(row + 3u, col + 4u, s31);
}
