// U (relu(M) − diag(σ)) of all layers, [rows, r + q]: U_top by columns, U_rest times the block. middle as in joint/spectra; joint holds every
// result from starts[layer] on. table by units (common/salt.wgsl), a unit being 64 numbers of the first row of every four. One invocation
// four rows of a column, so that the block is read once for these.
#include "common/index.wgsl"
#include "common/salt.wgsl"
struct Params { units: u32, keep_signs: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> starts: array<u32>;
@group(0) @binding(2) var<storage, read> frozen: array<f32>;
@group(0) @binding(3) var<storage, read> middle: array<f32>;
@group(0) @binding(4) var<storage, read_write> joint: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let place = group_index(group, groups) * 256u + local;
  if (place / 64u >= params.units) { return; }
  let e = params.units + SALT_WORDS * (table[place / 64u] - 1u);
  let at = place - 64u * table[e + FIRST];
  let r = table[e + TOP];
  let q = table[e + REST];
  let row = 4u * (at / (r + q));
  let column = at % (r + q);
  let rows = table[e + ROWS_OF_U];
  if (row >= rows) { return; }
  // Rows past the end read the last one and are not written.
  let those = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(rows - 1u));
  var sums = vec4<f32>(0.0);
  if (column < r) {
    let u = those * r + table[e + AT_U_TOP] + column;
    let t = rectified(middle[table[e + AT_MIDDLE] + column], frozen[table[e + AT_S_TOP] + column], false);
    sums = t * vec4<f32>(frozen[u.x], frozen[u.y], frozen[u.z], frozen[u.w]);
  } else {
    let j = column - r;
    let block = table[e + AT_MIDDLE] + r + j;
    let sigma = frozen[table[e + AT_S_REST] + j];
    let u = those * q + table[e + AT_U_REST];
    for (var i = 0u; i < q; i++) {
      let m = rectified(middle[block + i * q], select(0.0, sigma, i == j), params.keep_signs == 1u && i != j);
      sums += m * vec4<f32>(frozen[u.x + i], frozen[u.y + i], frozen[u.z + i], frozen[u.w + i]);
    }
  }
  let start = starts[table[e + LAYER]] + row * (r + q) + column;
  for (var k = 0u; k < min(4u, rows - row); k++) { joint[start + k * (r + q)] = sums[k]; }
}
