// Factors with a gate on every column, and perhaps one on every row, of all layers:  y = diag(rows) B diag(gate).
// joint holds every y [rows, columns], source every B, p the gates. table by blocks of joint, 6 words an entry: where y, B, the gate and
// the rows' gate begin (or NOWHERE), columns, size of y. One invocation an element of joint.
#include "common/index.wgsl"
#include "common/entry.wgsl"
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> source: array<f32>;
@group(0) @binding(2) var<storage, read> p: array<f32>;
@group(0) @binding(3) var<storage, read_write> joint: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || table[i / 64u] == 0u) { return; }
  let e = params.n / 64u + 6u * (table[i / 64u] - 1u);
  let at = i - table[e];
  if (at >= table[e + 5u]) { return; }
  var y = source[table[e + 1u] + at] * p[table[e + 2u] + at % table[e + 4u]];
  if (table[e + 3u] != NOWHERE) { y *= p[table[e + 3u] + at / table[e + 4u]]; }
  joint[i] = y;
}
