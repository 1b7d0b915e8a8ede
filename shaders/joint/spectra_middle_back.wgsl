// Gradients of the numbers of joint/spectra from dy [rows, r + q], those of joint/spectra_left: columns of U_top ⊙ dy summed, U_restᵀ dy of the
// block, 0 where the rectifier is closed. starts [layers]: where a layer's dy begins. table by units (common/salt.wgsl), a unit being 64
// numbers of a row of dmiddle that holds the r and then the first row of every four of the block. One invocation a large value, or four rows of a
// column of the block, so that dy is read once for these.
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
  let place = group_index(group, groups) * 256u + local;
  if (place / 64u >= params.units) { return; }
  let e = params.units + SALT_WORDS * (table[place / 64u] - 1u);
  let at = place - 64u * table[e + FIRST];
  let r = table[e + TOP];
  let q = table[e + REST];
  let rows = table[e + ROWS_OF_U];
  let own = table[e + AT_MIDDLE];
  if (at < r) {
    let u = table[e + AT_U_TOP] + at;
    let start = starts[table[e + LAYER]] + at;
    var sum = 0.0;
    for (var row = 0u; row < rows; row++) { sum += frozen[u + row * r] * dy[start + row * (r + q)]; }
    dmiddle[own + at] = select(0.0, sum, middle[own + at] + frozen[table[e + AT_S_TOP] + at] > 0.0);
    return;
  }
  if (q == 0u) { return; }
  let i = 4u * ((at - r) / q);
  let j = (at - r) % q;
  if (i >= q) { return; }
  let u = min(vec4<u32>(i, i + 1u, i + 2u, i + 3u), vec4<u32>(q - 1u)) + table[e + AT_U_REST];
  let start = starts[table[e + LAYER]] + r + j;
  var sums = vec4<f32>(0.0);
  for (var row = 0u; row < rows; row++) {
    let left = vec4<f32>(frozen[u.x + row * q], frozen[u.y + row * q], frozen[u.z + row * q], frozen[u.w + row * q]);
    sums += left * dy[start + row * (r + q)];
  }
  for (var k = 0u; k < min(4u, q - i); k++) {
    let to = own + r + (i + k) * q + j;
    var shift = 0.0;
    if (i + k == j) { shift = frozen[table[e + AT_S_REST] + j]; }
    let open = middle[to] + shift > 0.0 || (params.keep_signs == 1u && i + k != j);
    dmiddle[to] = select(0.0, sums[k], open);
  }
}
