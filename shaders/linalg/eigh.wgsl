// a[b] = vectors[b]ᵀ diag(values[b]) vectors[b], a symmetric [batch, n, n], n ≤ 128, values [batch, n] largest first, row i of vectors the unit
// eigenvector of value i. Two-sided Jacobi in parallel order (Golub and Van Loan, 8.5): in each round n / 2 disjoint pairs turn, and
// the invocations share the 2 × 2 blocks where pairs meet, which do not overlap. work [batch, 2, n, n] holds the matrix and the vectors.
// One workgroup of WG a matrix; with WG = 1 no barrier runs. Grid: batch.
#include "common/index.wgsl"
#include "common/jacobi.wgsl"
override WG: u32 = 256u;
struct Params { batch: u32, n: u32, sweeps: u32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> work: array<f32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> vectors: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
// The rotation of each pair of the round; the place of each value at the end.
var<workgroup> turns: array<vec3<f32>, 64>;
var<workgroup> places: array<u32, 128>;

fn barrier() {
  if (WG > 1u) {
    workgroupBarrier();
    storageBarrier();
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let matrix = group_index(group, groups);
  let n = params.n;
  let half = (n + 1u) / 2u;
  if (matrix >= params.batch) { return; }
  let w = 2u * matrix * n * n;
  let v = w + n * n;
  for (var i = local; i < n * n; i += WG) {
    work[w + i] = a[matrix * n * n + i];
    work[v + i] = select(0.0, 1.0, i / n == i % n);
  }
  barrier();
  for (var turn = 0u; turn < params.sweeps * (2u * half - 1u); turn++) {
    let round = turn % (2u * half - 1u);
    for (var k = local; k < half; k += WG) {
      let pair = players(k, round, 2u * half);
      var r = vec3<f32>();
      if (pair.y < n) {
        let pp = work[w + pair.x * n + pair.x];
        let qq = work[w + pair.y * n + pair.y];
        let pq = work[w + pair.x * n + pair.y];
        if (abs(pq) > 1.0e-8 * sqrt(abs(pp)) * sqrt(abs(qq)) && abs(pq) > 1.0e-30) { r = rotation(pp, qq, pq); }
      }
      turns[k] = r;
    }
    barrier();
    // Block (i, j) belongs to rows of pair i and columns of pair j. A player n is nobody: its entries are neither read nor written.
    for (var block = local; block < half * half; block += WG) {
      let i = block / half;
      let j = block % half;
      let left = turns[i];
      let right = turns[j];
      if (left.x == 0.0 && right.x == 0.0) { continue; }
      let r = players(i, round, 2u * half);
      let c = players(j, round, 2u * half);
      let pp = w + r.x * n + c.x;
      let pq = w + r.x * n + c.y;
      let qp = w + r.y * n + c.x;
      let qq = w + r.y * n + c.y;
      let both_rows = r.y < n;
      let both_columns = c.y < n;
      let x = work[pp];
      var y = 0.0; var z = 0.0; var u = 0.0;
      if (both_columns) { y = work[pq]; }
      if (both_rows) { z = work[qp]; }
      if (both_rows && both_columns) { u = work[qq]; }
      if (i == j) {
        work[pp] = x - left.z * y;
        if (both_rows) {
          work[pq] = 0.0;
          work[qp] = 0.0;
          work[qq] = u + left.z * y;
        }
        continue;
      }
      // Columns first, then rows.
      let upper = rotated(right, x, y);
      let lower = rotated(right, z, u);
      let first = rotated(left, upper.x, lower.x);
      let second = rotated(left, upper.y, lower.y);
      work[pp] = first.x;
      if (both_columns) { work[pq] = second.x; }
      if (both_rows) { work[qp] = first.y; }
      if (both_rows && both_columns) { work[qq] = second.y; }
    }
    for (var at = local; at < half * n; at += WG) {
      let pair = players(at / n, round, 2u * half);
      let turned = turns[at / n];
      if (turned.x == 0.0) { continue; }
      let p = v + pair.x * n + at % n;
      let q = v + pair.y * n + at % n;
      let xy = rotated(turned, work[p], work[q]);
      work[p] = xy.x;
      work[q] = xy.y;
    }
    barrier();
  }
  for (var i = local; i < n; i += WG) {
    let own = work[w + i * n + i];
    var place = 0u;
    for (var j = 0u; j < n; j++) {
      let other = work[w + j * n + j];
      if (other > own || (other == own && j < i)) { place++; }
    }
    places[i] = place;
    values[matrix * n + place] = own;
  }
  barrier();
  for (var at = local; at < n * n; at += WG) { vectors[(matrix * n + places[at / n]) * n + at % n] = work[v + at]; }
}
