// a[b] = turned[b]ᵀ g[b] with orthogonal turned [batch, n, n] and mutually orthogonal rows of g [batch, n, m], n ≤ 128: one-sided Jacobi (Hestenes
// 1958) within one workgroup of PAIRS × LANES a matrix, for use inside a recorded step. lengths[b, i] = ‖g[b, i]‖², the squared singular
// values, unordered. With PAIRS = LANES = 1 no barrier runs. Grid: batch.
#include "common/index.wgsl"
#include "common/jacobi.wgsl"
override PAIRS: u32 = 64u;
override LANES: u32 = 4u;
struct Params { batch: u32, n: u32, m: u32, sweeps: u32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> g: array<f32>;
@group(0) @binding(2) var<storage, read_write> turned: array<f32>;
@group(0) @binding(3) var<storage, read_write> lengths: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
var<workgroup> sums: array<vec3<f32>, PAIRS * LANES>;

fn barrier() {
  if (PAIRS * LANES > 1u) {
    workgroupBarrier();
    storageBarrier();
  }
}

@compute @workgroup_size(LANES, PAIRS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let matrix = group_index(group, groups);
  let n = params.n;
  let m = params.m;
  let half = (n + 1u) / 2u;
  if (matrix >= params.batch) { return; }
  let rows = matrix * n * m;
  let square = matrix * n * n;
  for (var i = index; i < n * m; i += PAIRS * LANES) { g[rows + i] = a[rows + i]; }
  for (var i = index; i < n * n; i += PAIRS * LANES) { turned[square + i] = select(0.0, 1.0, i / n == i % n); }
  barrier();
  for (var turn = 0u; turn < params.sweeps * (2u * half - 1u); turn++) {
    for (var first = 0u; first < half; first += PAIRS) {
      let k = first + local.y;
      let pair = players(min(k, half - 1u), turn % (2u * half - 1u), 2u * half);
      let both = k < half && pair.y < n;
      let p = rows + pair.x * m;
      let q = rows + pair.y * m;
      var sum = vec3<f32>();
      if (both) {
        for (var i = local.x; i < m; i += LANES) { sum += vec3<f32>(g[p + i] * g[p + i], g[q + i] * g[q + i], g[p + i] * g[q + i]); }
      }
      sums[index] = sum;
      barrier();
      sum = vec3<f32>();
      for (var lane = 0u; lane < LANES; lane++) { sum += sums[local.y * LANES + lane]; }
      if (both && abs(sum.z) > 1.0e-8 * sqrt(sum.x) * sqrt(sum.y)) {
        let r = rotation(sum.x, sum.y, sum.z);
        for (var i = local.x; i < m; i += LANES) {
          let xy = rotated(r, g[p + i], g[q + i]);
          g[p + i] = xy.x;
          g[q + i] = xy.y;
        }
        let pt = square + pair.x * n;
        let qt = square + pair.y * n;
        for (var i = local.x; i < n; i += LANES) {
          let xy = rotated(r, turned[pt + i], turned[qt + i]);
          turned[pt + i] = xy.x;
          turned[qt + i] = xy.y;
        }
      }
      barrier();
    }
  }
  for (var i = index; i < n; i += PAIRS * LANES) {
    var sum = 0.0;
    for (var c = 0u; c < m; c++) { sum += g[rows + i * m + c] * g[rows + i * m + c]; }
    lengths[matrix * n + i] = sum;
  }
}
