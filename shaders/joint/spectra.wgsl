// The middle matrices of all layers before the rectifier, as changes: α σ + β − σ of the large values, then X Y [q, q] of the block.
// table by units (common/salt.wgsl), a unit being a number; X [q, width], Y [width, q]. One invocation a unit.
#include "common/index.wgsl"
#include "common/salt.wgsl"
struct Params { units: u32, width: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> frozen: array<f32>;
@group(0) @binding(3) var<storage, read_write> middle: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let unit = group_index(group, groups) * 256u + local;
  if (unit >= params.units) { return; }
  let e = params.units + SALT_WORDS * (table[unit] - 1u);
  let at = unit - table[e + FIRST];
  let r = table[e + TOP];
  if (at < r) {
    let sigma = frozen[table[e + AT_S_TOP] + at];
    middle[unit] = p[table[e + AT_ALPHA] + at] * sigma + p[table[e + AT_BETA] + at] - sigma;
    return;
  }
  let q = table[e + REST];
  let i = (at - r) / q;
  let j = (at - r) % q;
  var sum = 0.0;
  for (var w = 0u; w < params.width; w++) { sum += p[table[e + AT_X] + i * params.width + w] * p[table[e + AT_Y] + w * q + j]; }
  middle[unit] = sum;
}
