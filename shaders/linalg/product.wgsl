// y[b] = alpha op(a[b]) op(b[b]) (+ beta c[b]), y [batch, m, n]; op(a) is [m, k], or read as [k, m] with ta; op(b) [k, n], or [n, k] with tb.
// With shared_a all matrices have the one a. One invocation makes 4 × 4 of y in registers, without barriers. Sixteen terms at a time are added
// up by themselves, then to the sum: long sums in f32 are off by what their partial sums are rounded to.
// Grid: ceil(batch · ceil(m / 4) · ceil(n / 4) / WG).
#include "common/index.wgsl"
override WG: u32 = 64u;
struct Params { batch: u32, m: u32, n: u32, k: u32, ta: u32, tb: u32, shared_a: u32, alpha: f32, beta: f32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn store(base: u32, row: u32, col: u32, value: vec4<f32>) {
  if (row >= params.m) { return; }
  for (var i = 0u; i < 4u; i++) {
    if (col + i < params.n) {
      let at = base + row * params.n + col + i;
      var v = params.alpha * value[i];
      if (params.beta != 0.0) { v += params.beta * c[at]; }
      y[at] = v;
    }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let block = group_index(group, groups) * WG + local;
  let wide = (params.n + 3u) / 4u;
  let high = (params.m + 3u) / 4u;
  let matrix = block / (wide * high);
  if (matrix >= params.batch) { return; }
  let row = 4u * ((block / wide) % high);
  let col = 4u * (block % wide);
  let a_row = select(params.k, 1u, params.ta == 1u);
  let a_k = select(1u, params.m, params.ta == 1u);
  let b_col = select(1u, params.k, params.tb == 1u);
  let b_k = select(params.n, 1u, params.tb == 1u);
  // Rows and columns past the edge read the last one; they are not stored.
  var ai = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.m - 1u)) * a_row + select(matrix * params.m * params.k, 0u, params.shared_a == 1u);
  var bi = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), vec4<u32>(params.n - 1u)) * b_col + matrix * params.k * params.n;
  var s0 = vec4<f32>(); var s1 = vec4<f32>(); var s2 = vec4<f32>(); var s3 = vec4<f32>();
  for (var k0 = 0u; k0 < params.k; k0 += 16u) {
    var t0 = vec4<f32>(); var t1 = vec4<f32>(); var t2 = vec4<f32>(); var t3 = vec4<f32>();
    for (var i = k0; i < min(k0 + 16u, params.k); i++) {
      let bv = vec4<f32>(b[bi.x], b[bi.y], b[bi.z], b[bi.w]);
      t0 += a[ai.x] * bv; t1 += a[ai.y] * bv; t2 += a[ai.z] * bv; t3 += a[ai.w] * bv;
      ai += vec4<u32>(a_k);
      bi += vec4<u32>(b_k);
    }
    s0 += t0; s1 += t1; s2 += t2; s3 += t3;
  }
  let base = matrix * params.m * params.n;
  store(base, row, col, s0); store(base, row + 1u, col, s1); store(base, row + 2u, col, s2); store(base, row + 3u, col, s3);
}
