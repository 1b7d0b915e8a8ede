// Four numbers of a matrix b of codes, as src/util/packed.ts lays it out: BITS-bit codes in order, then one f16 scale for each 32 of them.
// The kernel declares BITS (8 or 4) and b: array<u32>. `i` counts fours; `scales` is the word of b at which the scales begin.
fn codes(i: u32) -> vec4<f32> {
  if (BITS == 8u) { return vec4<f32>((vec4<i32>(bitcast<i32>(b[i])) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u)); }
  return vec4<f32>((vec4<u32>(b[i / 2u] >> (16u * (i % 2u))) >> vec4<u32>(0u, 4u, 8u, 12u)) & vec4<u32>(15u)) - 8.0;
}
fn scale_of(i: u32, scales: u32) -> f32 {
  let group = i / 8u;
  return unpack2x16float(b[scales + group / 2u])[group % 2u];
}
