// y[i] = b[i] in f32: frozen weights b kept as halves (BITS 16) or as codes with scales (8, 4; common/matmul_packed.wgsl), for kernels that
// read f32 alone. Any shape [rows, columns]. One invocation for four numbers.
const BITS: u32 = 8u; // tunable
#include "common/index.wgsl"
struct Params { size: u32, fours: u32 }
@group(0) @binding(0) var<storage, read> b: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
#include "common/matmul_packed.wgsl"

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 64u + local;
  if (i >= params.fours) { return; }
  var four: vec4<f32>;
  if (BITS == 16u) {
    // Halves may end in the middle of a four.
    let last = (params.size + 1u) / 2u - 1u;
    four = vec4<f32>(unpack2x16float(b[min(2u * i, last)]), unpack2x16float(b[min(2u * i + 1u, last)]));
  } else {
    four = scale_of(i, params.size / (32u / BITS)) * codes(i);
  }
  for (var e = 0u; e < 4u; e++) { if (4u * i + e < params.size) { y[4u * i + e] = four[e]; } }
}
