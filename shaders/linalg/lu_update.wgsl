// Step j of LU, its elimination: w[b, i, c] -= (w[b, i, j] / w[b, j, j]) w[b, j, c] for i, c > j, w [batch, m, n] row-major. Column j keeps L times
// the pivot, so that nothing read here is written. A zero pivot leaves the matrix as it is. One invocation an element of the
// trailing block. Grid: count / 256, count = batch (m - j - 1) (n - j - 1).
#include "common/index.wgsl"
struct Params { count: u32, m: u32, n: u32, j: u32 }
@group(0) @binding(0) var<storage, read_write> w: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let at = group_index(group, groups) * 256u + local;
  if (at >= params.count) { return; }
  let wide = params.n - params.j - 1u;
  let high = params.m - params.j - 1u;
  let c = params.j + 1u + at % wide;
  let i = params.j + 1u + (at / wide) % high;
  let base = (at / (wide * high)) * params.m * params.n;
  let pivot = w[base + params.j * params.n + params.j];
  if (pivot == 0.0) { return; }
  w[base + i * params.n + c] -= w[base + i * params.n + params.j] / pivot * w[base + params.j * params.n + c];
}
