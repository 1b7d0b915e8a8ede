// y[m,n] = alpha * (sum_k a[m,k] b[k,n] + alpha2 * sum_k2 a2[m,k2] b2[k2,n]) (+ bias[n]) (+ c[m,n]), row-major; ta / tb read
// a, a2 as [k,m] and b, b2 as [n,k]. The second product is the low-rank branch of an adapter, added while y is still in registers.
// One invocation makes a 4 × 8 block of y in registers, without workgroup memory or barriers, which software adapters
// pay dearly for. Grid: ceil(n / (8 WX)), ceil(m / (4 WY)) folded into y and z.
override WX: u32 = 4u;
override WY: u32 = 1u;
struct Params { m: u32, n: u32, k: u32, k2: u32, ta: u32, tb: u32, add_c: u32, add_bias: u32, alpha: f32, alpha2: f32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> a2: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn store(row: u32, col: u32, value: vec4<f32>) {
  if (row >= params.m) { return; }
  for (var i = 0u; i < 4u; i++) {
    if (col + i < params.n) {
      let at = row * params.n + col + i;
      var v = params.alpha * value[i];
      if (params.add_bias == 1u) { v += bias[col + i]; }
      if (params.add_c == 1u) { v += c[at]; }
      y[at] = v;
    }
  }
}

@compute @workgroup_size(WX, WY)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = ((group.z * groups.y + group.y) * WY + local.y) * 4u;
  let col = (group.x * WX + local.x) * 8u;
  if (row >= params.m || col >= params.n) { return; }
  let a_row = select(params.k, 1u, params.ta == 1u);
  let a_k = select(1u, params.m, params.ta == 1u);
  let b_col = select(1u, params.k, params.tb == 1u);
  let b_k = select(params.n, 1u, params.tb == 1u);
  // Rows and columns past the edge read the last one; they are not stored.
  let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.m - 1u));
  let last = vec4<u32>(params.n - 1u);
  var ai = rows * a_row;
  var bi0 = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), last) * b_col;
  var bi1 = min(vec4<u32>(col + 4u, col + 5u, col + 6u, col + 7u), last) * b_col;
  var s00 = vec4<f32>(); var s01 = vec4<f32>();
  var s10 = vec4<f32>(); var s11 = vec4<f32>();
  var s20 = vec4<f32>(); var s21 = vec4<f32>();
  var s30 = vec4<f32>(); var s31 = vec4<f32>();
  for (var i = 0u; i < params.k; i++) {
    let av = vec4<f32>(a[ai.x], a[ai.y], a[ai.z], a[ai.w]);
    let b0 = vec4<f32>(b[bi0.x], b[bi0.y], b[bi0.z], b[bi0.w]);
    let b1 = vec4<f32>(b[bi1.x], b[bi1.y], b[bi1.z], b[bi1.w]);
    s00 += av.x * b0; s01 += av.x * b1;
    s10 += av.y * b0; s11 += av.y * b1;
    s20 += av.z * b0; s21 += av.z * b1;
    s30 += av.w * b0; s31 += av.w * b1;
    ai += vec4<u32>(a_k);
    bi0 += vec4<u32>(b_k);
    bi1 += vec4<u32>(b_k);
  }
  // The second product, one term at a time: its k2 is a rank.
  let a2_row = select(params.k2, 1u, params.ta == 1u);
  let a2_k = select(1u, params.m, params.ta == 1u);
  let b2_col = select(1u, params.k2, params.tb == 1u);
  let b2_k = select(params.n, 1u, params.tb == 1u);
  var aj = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.m - 1u)) * a2_row;
  var bj0 = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), last) * b2_col;
  var bj1 = min(vec4<u32>(col + 4u, col + 5u, col + 6u, col + 7u), last) * b2_col;
  for (var i = 0u; i < params.k2; i++) {
    let av = params.alpha2 * vec4<f32>(a2[aj.x], a2[aj.y], a2[aj.z], a2[aj.w]);
    let b0 = vec4<f32>(b2[bj0.x], b2[bj0.y], b2[bj0.z], b2[bj0.w]);
    let b1 = vec4<f32>(b2[bj1.x], b2[bj1.y], b2[bj1.z], b2[bj1.w]);
    s00 += av.x * b0; s01 += av.x * b1;
    s10 += av.y * b0; s11 += av.y * b1;
    s20 += av.z * b0; s21 += av.z * b1;
    s30 += av.w * b0; s31 += av.w * b1;
    aj += vec4<u32>(a2_k);
    bj0 += vec4<u32>(b2_k);
    bj1 += vec4<u32>(b2_k);
  }
  store(row, col, s00); store(row, col + 4u, s01);
  store(row + 1u, col, s10); store(row + 1u, col + 4u, s11);
  store(row + 2u, col, s20); store(row + 2u, col + 4u, s21);
  store(row + 3u, col, s30); store(row + 3u, col + 4u, s31);
}
