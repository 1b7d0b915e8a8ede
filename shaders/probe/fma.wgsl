// y[i] = what `rounds` multiply-adds leave, [n], with factor and addend x [2]: a probe of arithmetic in f32. An invocation keeps eight
// vectors of four going, so that none waits for the one before it.
#include "common/index.wgsl"
struct Params { n: u32, rounds: u32 }
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 64u + local;
  let a = x[0];
  let b = x[1];
  var v0 = vec4<f32>(f32(i));
  var v1 = v0 + 1.0;
  var v2 = v0 + 2.0;
  var v3 = v0 + 3.0;
  var v4 = v0 + 4.0;
  var v5 = v0 + 5.0;
  var v6 = v0 + 6.0;
  var v7 = v0 + 7.0;
  for (var r = 0u; r < params.rounds; r++) {
    v0 = fma(v0, a, b);
    v1 = fma(v1, a, b);
    v2 = fma(v2, a, b);
    v3 = fma(v3, a, b);
    v4 = fma(v4, a, b);
    v5 = fma(v5, a, b);
    v6 = fma(v6, a, b);
    v7 = fma(v7, a, b);
  }
  if (i < params.n) { y[i] = ((v0 + v1) + (v2 + v3)) + ((v4 + v5) + (v6 + v7)); }
}
