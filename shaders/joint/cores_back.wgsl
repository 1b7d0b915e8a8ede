// Gradients of cores of all layers: dC = Bᵀ dy, B and dy [rows, n]; dcores: dC [n, n] one behind the other. layers: 3 words each: where B
// begins in p and dy in its arena, rows. LANES invocations share a number of dC. Grid: ceil(numbers / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { size: u32, n: u32 }
@group(0) @binding(0) var<storage, read> layers: array<u32>;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> dy: array<f32>;
@group(0) @binding(3) var<storage, read_write> dcores: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let i = group_index(group, groups) * ROWS + local.y;
  var sum = 0.0;
  if (i < params.size) {
    let n = params.n;
    let e = 3u * (i / (n * n));
    let row = i % (n * n) / n;
    let column = i % n;
    for (var o = local.x; o < layers[e + 2u]; o += LANES) { sum += p[layers[e] + o * n + row] * dy[layers[e + 1u] + o * n + column]; }
  }
  let total = reduce_add(sum, local.x, local.y);
  if (i < params.size && local.x == 0u) { dcores[i] = total; }
}
