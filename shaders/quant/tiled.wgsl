// As tiled_vec4.wgsl with frozen weights b [k,n] or, turned, [n,k] as BITS-bit codes with a scale for each 32 along a row
// (common/matmul_packed.wgsl), widened on their way into the tile.
// y[m,n] = alpha * (sum_k a b + alpha2 * sum_k2 a2 b2) (+ bias[n]) (+ c[m,n]); everything but b is f32. `lift` is for kernels on matrix units.
// Grid: ceil(n / BN), ceil(m / BM) folded into y and z.
const BITS: u32 = 8u; // tunable
const BM: u32 = 64u; // tunable
const BN: u32 = 64u; // tunable
const TM: u32 = 8u; // tunable
const TN: u32 = 4u; // tunable
const S: u32 = 1u; // tunable
struct Params { m: u32, n: u32, k: u32, k2: u32, ta: u32, tb: u32, add_c: u32, add_bias: u32, alpha: f32, alpha2: f32, lift: f32 }
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<u32>;
@group(0) @binding(2) var<storage, read> a2: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params: Params;

#include "common/matmul_packed.wgsl"

fn four(i: u32) -> vec4<f32> { return scale_of(i, params.n * params.k / (32u / BITS)) * codes(i); }
#include "common/matmul_tiles.wgsl"

@compute @workgroup_size(WG * S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) { make_block(group, groups, local); }
