// Gains of an adapted weight's rows, m / ‖row of w + scale b a‖:  inverse[first + o] = 1 / ‖row‖ and gains[p, o] = m[o] inverse for each of
// `parts` stretches. w [rows, columns], b [rows, rank], a [rank, columns], m [rows]. A row of zeros has 0 for its inverse; no number where the
// sum is none. LANES invocations share four rows, so that a is read once for these. Grid: ceil(rows / (4 ROWS)).
#include "common/index.wgsl"
#include "common/float.wgsl"
#include "common/reduce.wgsl"
struct Params { rows: u32, columns: u32, rank: u32, scale: f32, first: u32, parts: u32 }
@group(0) @binding(0) var<storage, read> w: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> a: array<f32>;
@group(0) @binding(3) var<storage, read> m: array<f32>;
@group(0) @binding(4) var<storage, read_write> inverse: array<f32>;
@group(0) @binding(5) var<storage, read_write> gains: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn finish(row: u32, part: f32, lane: u32, y: u32) {
  let sum = reduce_add(part, lane, y);
  if (row >= params.rows || lane > 0u) { return; }
  let value = select(select(1.0 / sqrt(sum), 0.0, sum == 0.0), sum, !is_finite(sum));
  inverse[params.first + row] = value;
  for (var p = 0u; p < params.parts; p++) { gains[p * params.rows + row] = m[row] * value; }
}

// Column j of four rows of b.
fn b_of(at: vec4<u32>, j: u32) -> vec4<f32> {
  let factors = at * params.rank + j;
  return vec4<f32>(b[factors.x], b[factors.y], b[factors.z], b[factors.w]);
}

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = 4u * (group_index(group, groups) * ROWS + local.y);
  // Rows past the end read the last one again and are not written.
  let last = params.rows - 1u;
  let at = vec4<u32>(min(row, last), min(row + 1u, last), min(row + 2u, last), min(row + 3u, last));
  var sums = vec4<f32>(0.0);
  for (var i = local.x; i < params.columns; i += LANES) {
    var low = vec4<f32>(0.0);
    // Four loads of a at a time: one by one they would wait for each other.
    var j = 0u;
    for (; j + 4u <= params.rank; j += 4u) {
      let a0 = a[j * params.columns + i];
      let a1 = a[(j + 1u) * params.columns + i];
      let a2 = a[(j + 2u) * params.columns + i];
      let a3 = a[(j + 3u) * params.columns + i];
      low += b_of(at, j) * a0 + b_of(at, j + 1u) * a1 + b_of(at, j + 2u) * a2 + b_of(at, j + 3u) * a3;
    }
    for (; j < params.rank; j++) { low += b_of(at, j) * a[j * params.columns + i]; }
    let start = at * params.columns + i;
    let v = vec4<f32>(w[start.x], w[start.y], w[start.z], w[start.w]) + params.scale * low;
    sums += v * v;
  }
  finish(row, sums.x, local.x, local.y);
  finish(row + 1u, sums.y, local.x, local.y);
  finish(row + 2u, sums.z, local.x, local.y);
  finish(row + 3u, sums.w, local.x, local.y);
}
