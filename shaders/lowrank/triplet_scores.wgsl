// Importance of each triplet of one layer (Zhang et al. 2023, eq. 7, 8 and 11): a number of E, a row of A [rank, columns], a column of
// B [rows, rank]:  score[first + j] = f(E_j) + mean_i f(A_ji) + mean_o f(B_oj),  f = s u.  s, u: flat arenas in which the layer's E, A
// and B begin at at_e, at_a, at_b; score [ranks of all layers]. LANES invocations share a triplet. Grid: ceil(rank / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { rank: u32, rows: u32, columns: u32, at_e: u32, at_a: u32, at_b: u32, first: u32 }
@group(0) @binding(0) var<storage, read> s: array<f32>;
@group(0) @binding(1) var<storage, read> u: array<f32>;
@group(0) @binding(2) var<storage, read_write> score: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let j = group_index(group, groups) * ROWS + local.y;
  var a = 0.0;
  var b = 0.0;
  if (j < params.rank) {
    for (var i = local.x; i < params.columns; i += LANES) {
      let at = params.at_a + j * params.columns + i;
      a += s[at] * u[at];
    }
    for (var o = local.x; o < params.rows; o += LANES) {
      let at = params.at_b + o * params.rank + j;
      b += s[at] * u[at];
    }
  }
  let sum = reduce_add(a / f32(params.columns) + b / f32(params.rows), local.x, local.y);
  if (j < params.rank && local.x == 0u) { score[params.first + j] = s[params.at_e + j] * u[params.at_e + j] + sum; }
}
