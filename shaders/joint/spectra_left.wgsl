// U (relu(M) − diag(σ)) of all layers, [rows, r + q]: U_top by columns, U_rest times the block. middle as in joint/spectra; joint holds every
// result; table by blocks of joint (common/salt.wgsl, FIRST being where the result begins). One invocation an element of joint.
#include "common/index.wgsl"
#include "common/salt.wgsl"
struct Params { n: u32, keep_signs: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> frozen: array<f32>;
@group(0) @binding(2) var<storage, read> middle: array<f32>;
@group(0) @binding(3) var<storage, read_write> joint: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let place = group_index(group, groups) * 256u + local;
  if (place >= params.n || table[place / 64u] == 0u) { return; }
  let e = params.n / 64u + SALT_WORDS * (table[place / 64u] - 1u);
  let at = place - table[e + FIRST];
  let r = table[e + TOP];
  let q = table[e + REST];
  let row = at / (r + q);
  let column = at % (r + q);
  if (row >= table[e + ROWS_OF_U]) { return; }
  if (column < r) {
    let sigma = frozen[table[e + AT_S_TOP] + column];
    joint[place] = frozen[table[e + AT_U_TOP] + row * r + column] * rectified(middle[table[e + AT_MIDDLE] + column], sigma, false);
    return;
  }
  let j = column - r;
  let block = table[e + AT_MIDDLE] + r;
  let u = table[e + AT_U_REST] + row * q;
  let sigma = frozen[table[e + AT_S_REST] + j];
  var sum = 0.0;
  for (var i = 0u; i < q; i++) {
    sum += frozen[u + i] * rectified(middle[block + i * q + j], select(0.0, sigma, i == j), params.keep_signs == 1u && i != j);
  }
  joint[place] = sum;
}
