// y[0] = ‖g - I‖_F and d = (g - I) / y[0], its derivative, 0 where the norm is: g, d [n, n]. One workgroup.
#include "common/reduce.wgsl"
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(0) @binding(2) var<storage, read_write> d: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn off(i: u32) -> f32 { return g[i] - select(0.0, 1.0, i % (params.n + 1u) == 0u); }

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  let size = params.n * params.n;
  var sum = 0.0;
  if (local.y == 0u) { for (var i = local.x; i < size; i += LANES) { sum += off(i) * off(i); } }
  let norm = sqrt(reduce_add(sum, local.x, local.y));
  if (local.y != 0u) { return; }
  for (var i = local.x; i < size; i += LANES) { d[i] = select(off(i) / norm, 0.0, norm == 0.0); }
  if (local.x == 0u) { y[0] = norm; }
}
