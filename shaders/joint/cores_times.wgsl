// Products with cores of all layers. back = 0: y = B C from x = the arena of B, into the arena of y; back = 1: dB = dy Cᵀ from x = the arena of
// dy, into the arena of gradients. B, y [rows, n]; cores: C [n, n] one behind the other. table by blocks of the arena of y, 4 words an
// entry: where y and B begin, number of the layer, size of y. One invocation an element of the arena of y.
#include "common/index.wgsl"
struct Params { size: u32, n: u32, back: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> cores: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read_write> z: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size || table[i / 64u] == 0u) { return; }
  let e = params.size / 64u + 4u * (table[i / 64u] - 1u);
  let at = i - table[e];
  if (at >= table[e + 3u]) { return; }
  let n = params.n;
  let row = at / n * n;
  let column = at % n;
  let core = table[e + 2u] * n * n;
  var sum = 0.0;
  if (params.back == 0u) {
    for (var k = 0u; k < n; k++) { sum += x[table[e + 1u] + row + k] * cores[core + k * n + column]; }
    z[i] = sum;
  } else {
    for (var k = 0u; k < n; k++) { sum += x[table[e] + row + k] * cores[core + column * n + k]; }
    z[table[e + 1u] + at] = sum;
  }
}
