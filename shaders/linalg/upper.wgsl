// r[b, i, c] = s_i R[i, c], the triangle of a Householder QR [batch, steps, n] row-major: above the diagonal it stands in g [batch, n, m]
// (rows are columns of the matrix) after householder.wgsl, on it in diagonal [batch, steps]; s_i = -1 where that is negative. One
// invocation an element. Grid: size / 256.
#include "common/index.wgsl"
struct Params { size: u32, n: u32, m: u32, steps: u32 }
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> diagonal: array<f32>;
@group(0) @binding(2) var<storage, read_write> r: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let at = group_index(group, groups) * 256u + local;
  if (at >= params.size) { return; }
  let c = at % params.n;
  let row = at / params.n;
  let i = row % params.steps;
  let matrix = row / params.steps;
  var value = 0.0;
  if (c == i) { value = abs(diagonal[row]); }
  if (c > i) {
    value = g[(matrix * params.n + c) * params.m + i];
    if (diagonal[row] < 0.0) { value = -value; }
  }
  r[at] = value;
}
