// The gradient of x [rows, width] through joint/beside: the left half of dy [rows, 2 width], into the arena of gradients. table as there.
// One invocation an element of joint.
#include "common/index.wgsl"
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read_write> g: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || table[i / 64u] == 0u) { return; }
  let e = params.n / 64u + 6u * (table[i / 64u] - 1u);
  let at = i - table[e];
  let width = table[e + 3u];
  let column = at % (2u * width);
  if (at >= table[e + 4u] || column >= width) { return; }
  g[table[e + 1u] + at / (2u * width) * width + column] = dy[i];
}
