// y[first + i, :] = x_i[:], up to seven tensors of `size` numbers at once into y [count, size].
// One invocation an element of one tensor. Grid: total / 256, total = tensors · size.
#include "common/index.wgsl"
struct Params { total: u32, size: u32, first: u32 }
@group(0) @binding(0) var<storage, read> x0: array<f32>;
@group(0) @binding(1) var<storage, read> x1: array<f32>;
@group(0) @binding(2) var<storage, read> x2: array<f32>;
@group(0) @binding(3) var<storage, read> x3: array<f32>;
@group(0) @binding(4) var<storage, read> x4: array<f32>;
@group(0) @binding(5) var<storage, read> x5: array<f32>;
@group(0) @binding(6) var<storage, read> x6: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let at = group_index(group, groups) * 256u + local;
  if (at >= params.total) { return; }
  let i = at % params.size;
  var value = 0.0;
  switch (at / params.size) {
    case 0u: { value = x0[i]; }
    case 1u: { value = x1[i]; }
    case 2u: { value = x2[i]; }
    case 3u: { value = x3[i]; }
    case 4u: { value = x4[i]; }
    case 5u: { value = x5[i]; }
    default: { value = x6[i]; }
  }
  y[params.first * params.size + at] = value;
}
