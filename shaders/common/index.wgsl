// Undoes the folding of grid1d (src/engine/gpu/kernel.ts): the number of this workgroup, and of this invocation,
// along a one-dimensional grid of any length.
fn group_index(group: vec3<u32>, groups: vec3<u32>) -> u32 {
  return group.y * groups.x + group.x;
}
