// Trained factors of all layers with frozen ones beside them:  y [rows, 2 width] = [x | sign · start], row by row of x and start
// [rows, width]. joint holds every y, p every x, frozen every start. table by blocks of joint, 6 words an entry: where y, x and start
// begin, width, size of y, 1 where start changes its sign. One invocation an element of joint.
#include "common/index.wgsl"
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> frozen: array<f32>;
@group(0) @binding(3) var<storage, read_write> joint: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || table[i / 64u] == 0u) { return; }
  let e = params.n / 64u + 6u * (table[i / 64u] - 1u);
  let at = i - table[e];
  if (at >= table[e + 4u]) { return; }
  let width = table[e + 3u];
  let row = at / (2u * width);
  let column = at % (2u * width);
  if (column < width) {
    joint[i] = p[table[e + 1u] + row * width + column];
    return;
  }
  let start = frozen[table[e + 2u] + row * width + column - width];
  joint[i] = select(start, -start, table[e + 5u] == 1u);
}
