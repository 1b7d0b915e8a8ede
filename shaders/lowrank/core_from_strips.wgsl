// A square core C [n, n] from its strips, packed block after block. Block j has width (first block `first`, all others `step`), begins at
// s and ends at e = s + width: first its row strip R [width, e] for rows s … e of C, then its column strip K [e, width] for columns
// s … e; both cover the block on the diagonal, where they add up. It begins in p at s² + the squares of the widths before it.
// gate [n] scales rows of C, and closes rows and columns where it is 0. gradient = 0: C from p. gradient = 1: the adjoint, p from C: each
// number of C goes to every strip that covers it.
// One invocation a number of C.
#include "common/index.wgsl"
struct Params { size: u32, n: u32, first: u32, step: u32, gradient: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> gate: array<f32>;
@group(0) @binding(2) var<storage, read_write> z: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn block_of(i: u32) -> u32 { return select(1u + (i - params.first) / params.step, 0u, i < params.first); }
fn start_of(block: u32) -> u32 { return select(params.first + (block - 1u) * params.step, 0u, block == 0u); }
fn width_of(block: u32) -> u32 { return select(params.step, params.first, block == 0u); }
fn packed_at(block: u32) -> u32 {
  let s = start_of(block);
  return select(s * s + params.first * params.first + (block - 1u) * params.step * params.step, 0u, block == 0u);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let row = i / params.n;
  let column = i % params.n;
  let by_row = block_of(row);
  let by_column = block_of(column);
  let in_row_strip = by_row >= by_column;
  let in_column_strip = by_column >= by_row;
  // Where each strip would have this number; read and written only where the strip covers it.
  let end = start_of(by_row) + width_of(by_row);
  let at_row = packed_at(by_row) + (row - start_of(by_row)) * end + column;
  let width = width_of(by_column);
  let at_column = packed_at(by_column) + width * (start_of(by_column) + width) + row * width + column - start_of(by_column);
  let scale = select(0.0, gate[row], gate[column] != 0.0);
  if (params.gradient == 1u) {
    if (in_row_strip) { z[at_row] = scale * x[i]; }
    if (in_column_strip) { z[at_column] = scale * x[i]; }
  } else {
    var sum = 0.0;
    if (in_row_strip) { sum += x[at_row]; }
    if (in_column_strip) { sum += x[at_column]; }
    z[i] = scale * sum;
  }
}
