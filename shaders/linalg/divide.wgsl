// y[b, i, j] = x[b, i, j] / (rows[b, i] + columns[b, j] + damping), x [batch, n, m], rows [batch, n], columns [batch, m] where use_columns is 1. Where the divisor is
// at most `floor` in size, or at most `relative` of the largest of rows[b], y is zero. One invocation an element. Grid: size / 256.
#include "common/index.wgsl"
struct Params { size: u32, n: u32, m: u32, use_columns: u32, damping: f32, floor: f32, relative: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> rows: array<f32>;
@group(0) @binding(2) var<storage, read> columns: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let at = group_index(group, groups) * 256u + local;
  if (at >= params.size) { return; }
  let row = at / params.m;
  var divisor = rows[row] + params.damping;
  if (params.use_columns == 1u) { divisor += columns[(row / params.n) * params.m + at % params.m]; }
  var least = params.floor;
  if (params.relative > 0.0) {
    let first = row - row % params.n;
    var largest = 0.0;
    for (var i = 0u; i < params.n; i++) { largest = max(largest, abs(rows[first + i])); }
    least = max(least, params.relative * largest);
  }
  y[at] = 0.0;
  if (abs(divisor) > least) { y[at] = x[at] / divisor; }
}
