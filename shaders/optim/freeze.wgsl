// g ← 0 where a mask says that the element stands still, so that clipping sees only what moves. g [n] and slots as in optim/adamw;
// masks [2, entries]. One invocation an element.
#include "common/index.wgsl"
#include "common/slot.wgsl"
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> slots: array<u32>;
@group(0) @binding(1) var<storage, read> masks: array<u32>;
@group(0) @binding(2) var<storage, read_write> g: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n) { return; }
  let slot = 4u * (i / 64u);
  if (slots[slot + 3u] == 0u) { return; }
  // An element of the gap behind a tensor finds an entry that is not its own: it is zero either way.
  if (masks[mask_entry(i, slots[slot], slots[slot + 1u], slots[slot + 2u], slots[slot + 3u])] == 0u) { g[i] = 0.0; }
}
