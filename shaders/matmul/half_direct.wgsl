// As direct_vec4.wgsl with b [k,n] or [n,k] as halves: frozen weights at half their size, widened on the way; needs no shader-f16.
// y[m,n] = alpha * (sum_k a b + alpha2 * sum_k2 a2 b2) (+ bias[n]) (+ c[m,n]); everything but b is f32. `lift` is for half_matrix.wgsl.
// Grid: ceil(n / (8 WX)), ceil(m / (4 WY)) folded into y and z.
override WX: u32 = 4u;
override WY: u32 = 1u;
override TA: u32 = 0u;
override TB: u32 = 0u;
struct Params { m: u32, n: u32, k: u32, k2: u32, ta: u32, tb: u32, add_c: u32, add_bias: u32, alpha: f32, alpha2: f32, lift: f32 }
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> a2: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn four(i: u32) -> vec4<f32> { return vec4<f32>(unpack2x16float(b[i].x), unpack2x16float(b[i].y)); }
#include "common/matmul_rows.wgsl"

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) { make_block(group, groups, local); }
