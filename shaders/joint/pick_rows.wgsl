// Rows of pools by lists, of all layers:  y[i] = pool[ids[i]], rows of `width` numbers. joint holds every y, p every pool, frozen every
// list. table by blocks of joint, 7 words an entry: where y, the pool and the list begin, width, size of y; and where the rows joined one
// behind the other are `vectors` of `length` numbers to be columns of y [length, vectors], these two, else 0. One invocation an element of
// joint.
#include "common/index.wgsl"
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> frozen: array<u32>;
@group(0) @binding(3) var<storage, read_write> joint: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || table[i / 64u] == 0u) { return; }
  let e = params.n / 64u + 7u * (table[i / 64u] - 1u);
  let at = i - table[e];
  if (at >= table[e + 4u]) { return; }
  let width = table[e + 3u];
  let vectors = table[e + 5u];
  var flat = at;
  if (vectors > 0u) { flat = at % vectors * table[e + 6u] + at / vectors; }
  joint[i] = p[table[e + 1u] + frozen[table[e + 2u] + flat / width] * width + flat % width];
}
