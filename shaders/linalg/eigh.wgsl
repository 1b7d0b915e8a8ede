// a[b] = vectors[b]ᵀ diag(values[b]) vectors[b], a symmetric [batch, n, n], n ≤ 128, values [batch, n] largest first, row i of vectors the unit
// eigenvector of value i. Two-sided Jacobi in parallel order (Golub and Van Loan, 8.5): in each round n / 2 disjoint pairs turn, and
// the invocations share the 2 × 2 blocks where pairs meet, which do not overlap. work [batch, 2, n, n] holds the matrix and the vectors.
// One workgroup of LANES × PAIRS a matrix; with one invocation no barrier runs. Grid: batch.
#include "common/index.wgsl"
#include "common/jacobi.wgsl"
override LANES: u32 = 32u;
override PAIRS: u32 = 8u;
struct Params { batch: u32, n: u32, sweeps: u32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> work: array<f32>;
@group(0) @binding(2) var<storage, read_write> values: array<f32>;
@group(0) @binding(3) var<storage, read_write> vectors: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
// Who meets in this round, and by what rotation; the place of each value at the end.
var<workgroup> pairs: array<vec2<u32>, 64>;
var<workgroup> turns: array<vec3<f32>, 64>;
var<workgroup> places: array<u32, 128>;

fn barrier() {
  if (LANES * PAIRS > 1u) {
    workgroupBarrier();
    storageBarrier();
  }
}

@compute @workgroup_size(LANES, PAIRS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let matrix = group_index(group, groups);
  let n = params.n;
  let half = (n + 1u) / 2u;
  if (matrix >= params.batch) { return; }
  let w = 2u * matrix * n * n;
  let v = w + n * n;
  for (var i = index; i < n * n; i += LANES * PAIRS) {
    work[w + i] = a[matrix * n * n + i];
    work[v + i] = select(0.0, 1.0, i / n == i % n);
  }
  barrier();
  for (var turn = 0u; turn < params.sweeps * (2u * half - 1u); turn++) {
    let round = turn % (2u * half - 1u);
    for (var k = index; k < half; k += LANES * PAIRS) {
      let pair = players(k, round, 2u * half);
      var r = vec3<f32>();
      if (pair.y < n) {
        let pp = work[w + pair.x * n + pair.x];
        let qq = work[w + pair.y * n + pair.y];
        let pq = work[w + pair.x * n + pair.y];
        if (abs(pq) > 1.0e-8 * sqrt(abs(pp)) * sqrt(abs(qq)) && abs(pq) > 1.0e-30) { r = rotation(pp, qq, pq); }
      }
      pairs[k] = pair;
      turns[k] = r;
    }
    barrier();
    // Block (i, j) belongs to rows of pair i and columns of pair j. A player n is nobody: its entries are neither read nor written.
    for (var i = local.y; i < half; i += PAIRS) {
      let left = turns[i];
      let r = w + pairs[i] * n;
      let both_rows = pairs[i].y < n;
      for (var j = local.x; j < half; j += LANES) {
        let right = turns[j];
        if (left.x == 0.0 && right.x == 0.0) { continue; }
        let c = pairs[j];
        let both_columns = c.y < n;
        let x = work[r.x + c.x];
        var y = 0.0; var z = 0.0; var u = 0.0;
        if (both_columns) { y = work[r.x + c.y]; }
        if (both_rows) { z = work[r.y + c.x]; }
        if (both_rows && both_columns) { u = work[r.y + c.y]; }
        // Columns first, then rows; on the diagonal from the tangent alone.
        let upper = rotated(right, x, y);
        let lower = rotated(right, z, u);
        var first = rotated(left, upper.x, lower.x);
        var second = rotated(left, upper.y, lower.y);
        if (i == j) {
          first = vec2<f32>(x - left.z * y, 0.0);
          second = vec2<f32>(0.0, u + left.z * y);
        }
        work[r.x + c.x] = first.x;
        if (both_columns) { work[r.x + c.y] = second.x; }
        if (both_rows) { work[r.y + c.x] = first.y; }
        if (both_rows && both_columns) { work[r.y + c.y] = second.y; }
      }
    }
    for (var i = local.y; i < half; i += PAIRS) {
      if (turns[i].x == 0.0) { continue; }
      let p = v + pairs[i] * n;
      for (var c = local.x; c < n; c += LANES) {
        let xy = rotated(turns[i], work[p.x + c], work[p.y + c]);
        work[p.x + c] = xy.x;
        work[p.y + c] = xy.y;
      }
    }
    barrier();
  }
  for (var i = index; i < n; i += LANES * PAIRS) {
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
  for (var at = index; at < n * n; at += LANES * PAIRS) { vectors[(matrix * n + places[at / n]) * n + at % n] = work[v + at]; }
}
