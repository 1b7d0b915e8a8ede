// y[0] = weight · Σ |p| over the elements with blocks[i / 64] = which of the arena p [n]; the gaps of an arena are zero.
// One workgroup; LANES invocations walk over the blocks.
#include "common/reduce.wgsl"
struct Params { n: u32, which: u32, weight: f32 }
@group(0) @binding(0) var<storage, read> p: array<f32>;
@group(0) @binding(1) var<storage, read> blocks: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(local_invocation_id) local: vec3<u32>) {
  var sum = 0.0;
  if (local.y == 0u) {
    for (var block = local.x; block < params.n / 64u; block += LANES) {
      if (blocks[block] == params.which) {
        for (var i = 64u * block; i < 64u * block + 64u; i++) { sum += abs(p[i]); }
      }
    }
  }
  sum = reduce_add(sum, local.x, local.y);
  if (local.x == 0u && local.y == 0u) { y[0] = params.weight * sum; }
}
