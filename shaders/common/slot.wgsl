// How one block of 64 elements of the arena is described (src/engine/optim/adamw.ts): its word of group and flags, the first element of
// its tensor, the length of that tensor's rows, and the first entry of its mask + 1.
fn is_plain_step(word: u32) -> bool { return ((word >> 16u) & 4u) != 0u; }
fn mask_entry(i: u32, word: u32, start: u32, columns: u32, first: u32) -> u32 {
  let axis = (word >> 16u) & 3u;
  let at = i - start;
  return first - 1u + select(select(at, at % columns, axis == 2u), at / columns, axis == 1u);
}
