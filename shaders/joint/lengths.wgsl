// Lengths of stretches of x: y[s] = √Σ x², over the stretch that begins at spans[2 s] and has spans[2 s + 1] numbers. LANES invocations
// share a stretch. Grid: ceil(stretches / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { stretches: u32 }
@group(0) @binding(0) var<storage, read> spans: array<u32>;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let s = group_index(group, groups) * ROWS + local.y;
  var sum = 0.0;
  if (s < params.stretches) {
    for (var i = local.x; i < spans[2u * s + 1u]; i += LANES) {
      let value = x[spans[2u * s] + i];
      sum += value * value;
    }
  }
  let total = reduce_add(sum, local.x, local.y);
  if (s < params.stretches && local.x == 0u) { y[s] = sqrt(total); }
}
