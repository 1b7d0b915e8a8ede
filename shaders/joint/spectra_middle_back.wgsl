// Gradients of the numbers of joint/spectra from dy, those of joint/spectra_left: columns of U_top ⊙ dy summed, U_restᵀ dy of the block,
// 0 where the rectifier is closed. table by units (common/salt.wgsl); starts [layers]: where a layer's dy begins. One invocation a unit.
#include "common/index.wgsl"
#include "common/salt.wgsl"
struct Params { units: u32, keep_signs: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> frozen: array<f32>;
@group(0) @binding(3) var<storage, read> middle: array<f32>;
@group(0) @binding(4) var<storage, read> dy: array<f32>;
@group(0) @binding(5) var<storage, read_write> dmiddle: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let unit = group_index(group, groups) * 256u + local;
  if (unit >= params.units) { return; }
  let e = params.units + SALT_WORDS * (table[unit] - 1u);
  let at = unit - table[e + FIRST];
  let r = table[e + TOP];
  let q = table[e + REST];
  var u = table[e + AT_U_TOP] + at;
  var width = r;
  var column = at;
  var shift = 0.0;
  var free = false;
  if (at < r) {
    shift = frozen[table[e + AT_S_TOP] + at];
  } else {
    let i = (at - r) / q;
    let j = (at - r) % q;
    u = table[e + AT_U_REST] + i;
    width = q;
    column = r + j;
    if (i == j) { shift = frozen[table[e + AT_S_REST] + i]; }
    free = params.keep_signs == 1u && i != j;
  }
  var sum = 0.0;
  if (free || middle[unit] + shift > 0.0) {
    let start = starts[table[e + LAYER]] + column;
    for (var row = 0u; row < table[e + ROWS_OF_U]; row++) { sum += frozen[u + row * width] * dy[start + row * (r + q)]; }
  }
  dmiddle[unit] = sum;
}
