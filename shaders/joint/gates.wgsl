// Factors with a gate on every column, and perhaps one on every row, of all layers:  y = diag(rows) B diag(gate − start).
// joint holds every y [rows, columns], source every B and start, p the gates. table by blocks of joint, 7 words an entry: where y, B, the
// gate, the rows' gate and the gate's start begin (the last two or NOWHERE), columns, size of y. One invocation an element of joint.
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
  let e = params.n / 64u + 7u * (table[i / 64u] - 1u);
  let at = i - table[e];
  if (at >= table[e + 6u]) { return; }
  let column = at % table[e + 5u];
  var gate = p[table[e + 2u] + column];
  if (table[e + 4u] != NOWHERE) { gate -= source[table[e + 4u] + column]; }
  var y = source[table[e + 1u] + at] * gate;
  if (table[e + 3u] != NOWHERE) { y *= p[table[e + 3u] + at / table[e + 5u]]; }
  joint[i] = y;
}
