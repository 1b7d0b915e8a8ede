// y[b,c] = mean of x[b,t,c] over the t with mask[b,t] != 0, and share[b] = 1 / their number; zeros where there are none.
// One invocation an element of y.
#include "common/index.wgsl"
struct Params { size: u32, time: u32, columns: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> mask: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(0) @binding(3) var<storage, read_write> share: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let row = i / params.columns;
  let column = i % params.columns;
  var sum = 0.0;
  var count = 0u;
  for (var t = row * params.time; t < (row + 1u) * params.time; t++) {
    if (mask[t] != 0u) {
      sum += x[t * params.columns + column];
      count++;
    }
  }
  let inverse = select(0.0, 1.0 / f32(max(count, 1u)), count > 0u);
  y[i] = sum * inverse;
  if (column == 0u) { share[row] = inverse; }
}
