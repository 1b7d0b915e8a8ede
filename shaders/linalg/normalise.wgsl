// y[b, :] = x[b, :] / ‖x[b, :]‖, x [batch, size]: each matrix by its Frobenius norm; zeros stay zeros. LANES invocations share a matrix.
// Grid: ceil(batch / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { batch: u32, size: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let matrix = group_index(group, groups) * ROWS + local.y;
  let base = matrix * params.size;
  let inside = matrix < params.batch;
  // Twice: by the largest entry first, so that squares neither overflow nor vanish.
  var most = 0.0;
  if (inside) { for (var i = local.x; i < params.size; i += LANES) { most = max(most, abs(x[base + i])); } }
  most = max(reduce_max(most, local.x, local.y), 1.0e-30);
  var sum = 0.0;
  if (inside) {
    for (var i = local.x; i < params.size; i += LANES) {
      let share = x[base + i] / most;
      sum += share * share;
    }
  }
  sum = reduce_add(sum, local.x, local.y);
  if (!inside) { return; }
  let norm = max(sqrt(sum), 1.0e-30);
  for (var i = local.x; i < params.size; i += LANES) { y[base + i] = x[base + i] / most / norm; }
}
