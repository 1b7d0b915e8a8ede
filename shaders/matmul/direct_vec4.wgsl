// y[m,n] = alpha * (sum_k a[m,k] b[k,n] + alpha2 * sum_k2 a2[m,k2] b2[k2,n]) (+ bias[n]) (+ c[m,n]), row-major; TA / TB read
// a, a2 as [k,m] and b, b2 as [n,k]. The second product is the low-rank branch of an adapter, added while y is still in registers.
// As direct.wgsl (4 × 8 outputs an invocation, no barriers), with loads of four numbers at once: a third of the loads, which is
// what bounds software adapters. Wants k and the contiguous size of a and b to be multiples of 4.
// Grid: ceil(n / (8 WX)), ceil(m / (4 WY)) folded into y and z.
override WX: u32 = 4u;
override WY: u32 = 1u;
override TA: u32 = 0u;
override TB: u32 = 0u;
struct Params { m: u32, n: u32, k: u32, k2: u32, ta: u32, tb: u32, add_c: u32, add_bias: u32, alpha: f32, alpha2: f32 }
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> a2: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn four(i: u32) -> vec4<f32> { return b[i]; }
#include "common/matmul_rows.wgsl"

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) { make_block(group, groups, local); }
