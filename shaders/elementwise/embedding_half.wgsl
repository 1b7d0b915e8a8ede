// y[n,c] = table[ids[n], c], table [vocab, columns] of halves, columns a multiple of 2. An id past the vocabulary reads the last row; the data layer refuses such ids.
// One invocation an element.
#include "common/index.wgsl"
struct Params { size: u32, columns: u32, vocab: u32 }
@group(0) @binding(0) var<storage, read> ids: array<u32>;
@group(0) @binding(1) var<storage, read> table: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  let id = min(ids[i / params.columns], params.vocab - 1u);
  let at = id * params.columns + i % params.columns;
  y[i] = unpack2x16float(table[at / 2u])[at % 2u];
}
