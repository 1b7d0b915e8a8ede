// Tests on bit patterns: WGSL lets an implementation assume that infinities and NaN do not occur, so `x == x` proves nothing.
fn is_finite(x: f32) -> bool { return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u; }
