// z[r,c] = s < rows ? y[s,c] : 0 with s = slots[r]: the adjoint of a look-up whose ids do not repeat, read from the other side and so
// without atomics. z [size / columns, columns], y [rows, columns]; with `add_c` c is added, of z's shape. One invocation an element.
#include "common/index.wgsl"
struct Params { size: u32, columns: u32, rows: u32, add_c: u32 }
@group(0) @binding(0) var<storage, read> slots: array<u32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let slot = slots[i / params.columns];
  var value = 0.0;
  if (slot < params.rows) { value = y[slot * params.columns + i % params.columns]; }
  if (params.add_c != 0u) { value += c[i]; }
  z[i] = value;
}
