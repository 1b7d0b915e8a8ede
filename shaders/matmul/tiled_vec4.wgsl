// y[m,n] = alpha * (sum_k a[m,k] b[k,n] + alpha2 * sum_k2 a2[m,k2] b2[k2,n]) (+ bias[n]) (+ c[m,n]), row-major; ta / tb read
// a, a2 as [k,m] and b, b2 as [n,k]. The second product is the low-rank branch of an adapter, added while y is still in registers.
// As tiled.wgsl, with loads of four numbers and the next tile fetched into registers while this one is multiplied. Wants n, k and
// the contiguous size of a and b to be multiples of 4; k2 may be anything. One workgroup makes a BM × BN block of y, BK terms at a
// time; 32 neighbouring invocations stand 8 across and 4 down, each with TM × TN numbers in fours. Tiles are k-major, with one four
// of padding a row, without which stores of a turned operand meet in one bank. Where a result has too few blocks to fill a GPU, S
// groups of invocations take every S-th tile of k and join their sums by halves at the end. Grid: ceil(n / BN), ceil(m / BM) folded into y and z.
const BM: u32 = 64u; // tunable
const BN: u32 = 64u; // tunable
const TM: u32 = 8u; // tunable
const TN: u32 = 4u; // tunable
const S: u32 = 1u; // tunable
struct Params { m: u32, n: u32, k: u32, k2: u32, ta: u32, tb: u32, add_c: u32, add_bias: u32, alpha: f32, alpha2: f32 }
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> a2: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params: Params;

fn four(i: u32) -> vec4<f32> { return b[i]; }
#include "common/matmul_tiles.wgsl"

@compute @workgroup_size(WG * S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) { make_block(group, groups, local); }
