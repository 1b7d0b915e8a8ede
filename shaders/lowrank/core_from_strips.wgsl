// A square core C [n, n] from its strips (common/strips.wgsl), or its adjoint. gate [n] scales rows of C, and closes rows and columns where
// it is 0. gradient = 0: C from p. gradient = 1: p from C: each number of C goes to every strip that covers it.
// One invocation a number of C.
#include "common/index.wgsl"
#include "common/strips.wgsl"
struct Params { size: u32, n: u32, first: u32, step: u32, gradient: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gate: array<f32>;
@group(0) @binding(2) var<storage, read_write> z: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let row = i / params.n;
  let column = i % params.n;
  let strips = strips_of(row, column, params.first, params.step);
  let scale = select(0.0, gate[row], gate[column] != 0.0);
  if (params.gradient == 1u) {
    if (strips.in_row) { z[strips.at_row] = scale * x[i]; }
    if (strips.in_column) { z[strips.at_column] = scale * x[i]; }
  } else {
    var sum = 0.0;
    if (strips.in_row) { sum += x[strips.at_row]; }
    if (strips.in_column) { sum += x[strips.at_column]; }
    z[i] = scale * sum;
  }
}
