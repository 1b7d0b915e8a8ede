// y[i] = x[i] / (1 - p) with probability 1 - p, else 0. The choice is Philox of (element, step, stream) under the run's seed,
// so the backward, and a resumed run, draw the same. One invocation four elements.
#include "common/index.wgsl"
#include "common/random.wgsl"
#include "common/step.wgsl"
struct Params { size: u32, stream: u32, p: f32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 64u + local;
  if (4u * i >= params.size) { return; }
  let words = philox(vec4<u32>(i, scalars.step, params.stream, 0u), vec2<u32>(scalars.seed, 0x64726f70u));
  for (var j = 0u; j < 4u; j++) {
    let at = 4u * i + j;
    if (at < params.size) { y[at] = select(0.0, x[at] / (1.0 - params.p), uniform01(words[j]) >= params.p); }
  }
}
