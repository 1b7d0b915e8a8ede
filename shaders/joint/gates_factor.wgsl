// The gradient of B [rows, columns] through joint/gates, where B trains: dB = dy diag(gate), into the arena of gradients. table and gates
// as there, but without a gate of rows and without starts. One invocation an element of joint.
#include "common/index.wgsl"
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> p: array<f32>;
@group(0) @binding(3) var<storage, read_write> g: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || table[i / 64u] == 0u) { return; }
  let e = params.n / 64u + 7u * (table[i / 64u] - 1u);
  let at = i - table[e];
  if (at >= table[e + 6u]) { return; }
  g[table[e + 1u] + at] = dy[i] * p[table[e + 2u] + at % table[e + 5u]];
}
