// Pictures as rows of patches: z[b, n, (c·P + u)·P + v] = x[b, c, P·row + u, P·column + v], n = row·across + column;
// x [batch, channels, height, width], z [batch, patches, channels·P·P]. back = 1 moves z to x. One invocation an element.
#include "common/index.wgsl"
struct Params { size: u32, channels: u32, height: u32, width: u32, edge: u32, back: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> z: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.size) { return; }
  // i counts the picture's elements, whose places in the rows of patches are `at`.
  let column = i % params.width;
  let row = (i / params.width) % params.height;
  let plane = i / (params.width * params.height);
  let across = params.width / params.edge;
  let n = ((plane / params.channels) * (params.height / params.edge) + row / params.edge) * across + column / params.edge;
  let at = ((n * params.channels + plane % params.channels) * params.edge + row % params.edge) * params.edge + column % params.edge;
  if (params.back == 0u) { z[at] = x[i]; } else { z[i] = x[at]; }
}
