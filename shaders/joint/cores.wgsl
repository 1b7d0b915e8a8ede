// Cores C [n, n] of all layers from their strips (common/strips.wgsl), or the adjoint, each as in lowrank/core_from_strips: the numbers
// of layer l are scaled by scales[l], and rows and columns from ranks[2 l] on are not there. starts [layers]: where a layer's strips begin
// in their arena; cores stand one behind the other. gradient = 0: x holds the strips, z becomes the cores; gradient = 1: x holds the
// gradients of cores, z those of strips. One invocation a number of a core.
#include "common/index.wgsl"
#include "common/strips.wgsl"
struct Params { size: u32, n: u32, first: u32, step: u32, gradient: u32 }
@group(0) @binding(0) var<storage, read> starts: array<u32>;
@group(0) @binding(1) var<storage, read> ranks: array<f32>;
@group(0) @binding(2) var<storage, read> scales: array<f32>;
@group(0) @binding(3) var<storage, read> x: array<f32>;
@group(0) @binding(4) var<storage, read_write> z: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let square = params.n * params.n;
  let layer = i / square;
  let row = i % square / params.n;
  let column = i % params.n;
  let strips = strips_of(row, column, params.first, params.step);
  let start = starts[layer];
  let scale = select(0.0, scales[layer], f32(max(row, column)) < ranks[2u * layer]);
  if (params.gradient == 1u) {
    if (strips.in_row) { z[start + strips.at_row] = scale * x[i]; }
    if (strips.in_column) { z[start + strips.at_column] = scale * x[i]; }
  } else {
    var sum = 0.0;
    if (strips.in_row) { sum += x[start + strips.at_row]; }
    if (strips.in_column) { sum += x[start + strips.at_column]; }
    z[i] = scale * sum;
  }
}
