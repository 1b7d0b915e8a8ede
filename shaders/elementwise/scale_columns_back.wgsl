// Both gradients of elementwise/scale_columns with gains by stretches of rows, in one pass:  dx[n, c] = dz[n, c] g[p, c] and
// dg[p, c] = Σ over rows n of stretch p of dz[n, c] x[n, c]; stretch p has the rows from p · stretch on. x, dz, dx [rows, columns], g, dg
// [parts, columns]. LANES invocations share a column of a stretch, ROWS columns a workgroup. Grid: parts · ceil(columns / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { rows: u32, columns: u32, stretch: u32, parts: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> g: array<f32>;
@group(0) @binding(2) var<storage, read> dz: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(0) @binding(4) var<storage, read_write> dg: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let across = (params.columns + ROWS - 1u) / ROWS;
  let part = group_index(group, groups) / across;
  let column = group_index(group, groups) % across * ROWS + local.y;
  let there = part < params.parts && column < params.columns;
  var sum = 0.0;
  if (there) {
    let gain = g[part * params.columns + column];
    let end = min(params.rows, (part + 1u) * params.stretch);
    for (var n = part * params.stretch + local.x; n < end; n += LANES) {
      let at = n * params.columns + column;
      sum += dz[at] * x[at];
      dx[at] = dz[at] * gain;
    }
  }
  let total = reduce_add(sum, local.x, local.y);
  if (there && local.x == 0u) { dg[part * params.columns + column] = total; }
}
