// Importance of every triplet of all layers (Zhang et al. 2023, eq. 7, 8 and 11): a number of E, a row of A [rank, columns], a column of
// B [rows, rank]:  score[t] = f(E_j) + mean_i f(A_ji) + mean_o f(B_oj),  f = s u.  s, u: flat arenas; score [total]. table by units, a
// unit being a triplet, 7 words an entry: first unit, rank, rows, columns, where E, A and B begin. LANES invocations share a triplet.
// Grid: ceil(total / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { total: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read> u: array<f32>;
@group(0) @binding(3) var<storage, read_write> score: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let t = group_index(group, groups) * ROWS + local.y;
  var a = 0.0;
  var b = 0.0;
  var own = 0.0;
  if (t < params.total) {
    let e = params.total + 7u * (table[t] - 1u);
    let j = t - table[e];
    let columns = table[e + 3u];
    for (var i = local.x; i < columns; i += LANES) {
      let at = table[e + 5u] + j * columns + i;
      a += s[at] * u[at];
    }
    for (var o = local.x; o < table[e + 2u]; o += LANES) {
      let at = table[e + 6u] + o * table[e + 1u] + j;
      b += s[at] * u[at];
    }
    a /= f32(columns);
    b /= f32(table[e + 2u]);
    own = s[table[e + 4u] + j] * u[table[e + 4u] + j];
  }
  let sum = reduce_add(a + b, local.x, local.y);
  if (t < params.total && local.x == 0u) { score[t] = own + sum; }
}
