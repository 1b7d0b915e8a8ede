// The gradient of weight · Σ lengths [factors] of joint/grams is added to g:  dV += weight · 2 d V / length, 0 where the length is. table by blocks of p
// and g, 7 words an entry: where V begins, its size, vectors, step from vector to vector, step along one, where d begins, number of the
// factor. One invocation an element of p.
#include "common/index.wgsl"
struct Params { n: u32, weight: f32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> d: array<f32>;
@group(0) @binding(3) var<storage, read> lengths: array<f32>;
@group(0) @binding(4) var<storage, read_write> g: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let at = group_index(group, groups) * 256u + local;
  if (at >= params.n || table[at / 64u] == 0u) { return; }
  let e = params.n / 64u + 7u * (table[at / 64u] - 1u);
  let size = table[e + 1u];
  let offset = at - table[e];
  let length = lengths[table[e + 6u]];
  if (offset >= size || length == 0.0) { return; }
  let n = table[e + 2u];
  let across = table[e + 3u];
  let along = table[e + 4u];
  // One of the two steps is 1, the other the length of a row.
  let i = select(offset / across, offset % along, across == 1u);
  let k = select(offset % across, offset / along, across == 1u);
  var sum = 0.0;
  for (var j = 0u; j < n; j++) { sum += d[table[e + 5u] + i * n + j] * p[table[e] + j * across + k * along]; }
  g[at] += params.weight * 2.0 * sum / length;
}
