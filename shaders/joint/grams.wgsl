// How far the vectors of factors of all layers are from orthonormal: d = V Vᵀ − I for every factor, V [vectors, length] read from p as
// rows or as columns. d: stacks [vectors, vectors] one behind the other. there [factors] vectors of each count; the others count as
// orthonormal whatever they hold. table by units, a unit being one number of d, 7 words an entry: first unit, where V begins, vectors,
// length, step from vector to vector, step along one, number of the factor. One invocation a unit.
#include "common/index.wgsl"
struct Params { units: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> there: array<f32>;
@group(0) @binding(3) var<storage, read_write> d: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let unit = group_index(group, groups) * 256u + local;
  if (unit >= params.units) { return; }
  let e = params.units + 7u * (table[unit] - 1u);
  let n = table[e + 2u];
  let i = (unit - table[e]) / n;
  let j = (unit - table[e]) % n;
  if (f32(max(i, j)) >= there[table[e + 6u]]) {
    d[unit] = 0.0;
    return;
  }
  let a = table[e + 1u] + i * table[e + 4u];
  let b = table[e + 1u] + j * table[e + 4u];
  var sum = 0.0;
  for (var k = 0u; k < table[e + 3u]; k++) { sum += p[a + k * table[e + 5u]] * p[b + k * table[e + 5u]]; }
  d[unit] = sum - select(0.0, 1.0, i == j);
}
