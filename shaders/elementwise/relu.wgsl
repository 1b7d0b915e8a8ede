// y = max(x, 0), x and y [size]. With use_diagonal, x is a matrix of `columns` columns, to whose diagonal s is added first and taken from
// afterwards: y[i, j] = max(x[i, j] + δ s[i], 0) − δ s[i]; with keep_signs, entries beside the diagonal pass as they are. One invocation an element.
#include "common/index.wgsl"
struct Params { size: u32, columns: u32, use_diagonal: u32, keep_signs: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let at = group_index(group, groups) * 256u + local;
  if (at >= params.size) { return; }
  let row = at / params.columns;
  let diagonal = params.use_diagonal == 1u && row == at % params.columns;
  var shift = 0.0;
  if (diagonal) { shift = s[row]; }
  if (params.keep_signs == 1u && !diagonal) {
    y[at] = x[at];
    return;
  }
  y[at] = max(x[at] + shift, 0.0) - shift;
}
