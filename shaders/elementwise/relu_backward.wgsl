// dx = dy where relu.wgsl let x through: x + δ s > 0 (0 at 0), or beside the diagonal with keep_signs; else 0. x, dy, dx [size].
// One invocation an element.
#include "common/index.wgsl"
struct Params { size: u32, columns: u32, use_diagonal: u32, keep_signs: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> s: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dx: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let at = group_index(group, groups) * 256u + local;
  if (at >= params.size) { return; }
  let row = at / params.columns;
  let diagonal = params.use_diagonal == 1u && row == at % params.columns;
  var shift = 0.0;
  if (diagonal) { shift = s[row]; }
  let open = x[at] + shift > 0.0 || (params.keep_signs == 1u && !diagonal);
  dx[at] = select(0.0, dy[at], open);
}
