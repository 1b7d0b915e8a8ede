// Gradients of the lengths m of all layers through lowrank/gains, the norms held:  dm[o] = inverse[o] · Σ over stretches of dgains[p, o].
// inverse: those of all layers one behind the other. table by units, a unit being one number of m, 4 words an entry: first unit, where dgains
// [parts, rows] and m's gradient begin, rows. One invocation a unit.
#include "common/index.wgsl"
struct Params { units: u32, parts: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> inverse: array<f32>;
@group(0) @binding(2) var<storage, read> dgains: array<f32>;
@group(0) @binding(3) var<storage, read_write> g: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let unit = group_index(group, groups) * 256u + local;
  if (unit >= params.units) { return; }
  let e = params.units + 4u * (table[unit] - 1u);
  let o = unit - table[e];
  var sum = 0.0;
  for (var p = 0u; p < params.parts; p++) { sum += dgains[table[e + 1u] + p * table[e + 3u] + o]; }
  g[table[e + 2u] + o] = inverse[unit] * sum;
}
