// y[m,n] = alpha * sum_k a[m,k] b[k,n] (+ c[m,n]), row-major; ta / tb read a as [k,m] / b as [n,k].
// As tiled.wgsl, with loads of four numbers everywhere and the next tile fetched into registers while this one is multiplied.
// Wants k and the contiguous size of a and b to be multiples of 4. One workgroup of 16 × 16 makes a BM × BN block of y
// (BM = 16 TM, BN = 16 TN, TM and TN multiples of 4); invocation (x, y) holds rows 4y … 4y + 3 of every 64, columns 4x … of every 64.
// Grid: ceil(n / BN), ceil(m / BM) folded into y and z.
const TM: u32 = 4u; // tunable
const TN: u32 = 4u; // tunable
const BK: u32 = 16u;
const BM4: u32 = 4u * TM;
const BN4: u32 = 4u * TN;
const FETCH_A: u32 = BM4 * BK / 256u;
const FETCH_B: u32 = BN4 * BK / 256u;
struct Params { m: u32, n: u32, k: u32, ta: u32, tb: u32, add_c: u32, alpha: f32 }
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
// k-major: four rows of a, four columns of b, at each k.
var<workgroup> tile_a: array<vec4<f32>, BK * BM4>;
var<workgroup> tile_b: array<vec4<f32>, BK * BN4>;

// Four numbers of an operand [rows, k] or, turned, [k, rows]; `i` counts the fours of a tile. Zero past an edge.
fn fetch_a(i: u32, row0: u32, k0: u32) -> vec4<f32> {
  if (params.ta == 1u) {
    let at = k0 + i / BM4;
    let row = row0 + 4u * (i % BM4);
    if (at < params.k && row < params.m) { return a[at * (params.m / 4u) + row / 4u]; }
  } else {
    let row = row0 + i / (BK / 4u);
    let at = k0 + 4u * (i % (BK / 4u));
    if (row < params.m && at < params.k) { return a[row * (params.k / 4u) + at / 4u]; }
  }
  return vec4<f32>();
}
fn fetch_b(i: u32, col0: u32, k0: u32) -> vec4<f32> {
  if (params.tb == 0u) {
    let at = k0 + i / BN4;
    let col = col0 + 4u * (i % BN4);
    if (at < params.k && col < params.n) { return b[at * (params.n / 4u) + col / 4u]; }
  } else {
    let col = col0 + i / (BK / 4u);
    let at = k0 + 4u * (i % (BK / 4u));
    if (col < params.n && at < params.k) { return b[col * (params.k / 4u) + at / 4u]; }
  }
  return vec4<f32>();
}
fn keep_a(i: u32, value: vec4<f32>) {
  if (params.ta == 1u) { tile_a[i] = value; return; }
  let row = i / (BK / 4u);
  for (var e = 0u; e < 4u; e++) { tile_a[(4u * (i % (BK / 4u)) + e) * BM4 + row / 4u][row % 4u] = value[e]; }
}
fn keep_b(i: u32, value: vec4<f32>) {
  if (params.tb == 0u) { tile_b[i] = value; return; }
  let col = i / (BK / 4u);
  for (var e = 0u; e < 4u; e++) { tile_b[(4u * (i % (BK / 4u)) + e) * BN4 + col / 4u][col % 4u] = value[e]; }
}

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let row0 = (group.z * groups.y + group.y) * 4u * BM4;
  let col0 = group.x * 4u * BN4;
  var sum: array<vec4<f32>, TM * TN / 4u>;
  var next_a: array<vec4<f32>, FETCH_A>;
  var next_b: array<vec4<f32>, FETCH_B>;
  for (var i = 0u; i < FETCH_A; i++) { next_a[i] = fetch_a(index + 256u * i, row0, 0u); }
  for (var i = 0u; i < FETCH_B; i++) { next_b[i] = fetch_b(index + 256u * i, col0, 0u); }
  for (var k0 = 0u; k0 < params.k; k0 += BK) {
    workgroupBarrier();
    for (var i = 0u; i < FETCH_A; i++) { keep_a(index + 256u * i, next_a[i]); }
    for (var i = 0u; i < FETCH_B; i++) { keep_b(index + 256u * i, next_b[i]); }
    workgroupBarrier();
    for (var i = 0u; i < FETCH_A; i++) { next_a[i] = fetch_a(index + 256u * i, row0, k0 + BK); }
    for (var i = 0u; i < FETCH_B; i++) { next_b[i] = fetch_b(index + 256u * i, col0, k0 + BK); }
    for (var kk = 0u; kk < BK; kk++) {
      var av: array<vec4<f32>, TM / 4u>;
      var bv: array<vec4<f32>, TN / 4u>;
      for (var i = 0u; i < TM / 4u; i++) { av[i] = tile_a[kk * BM4 + local.y + 16u * i]; }
      for (var j = 0u; j < TN / 4u; j++) { bv[j] = tile_b[kk * BN4 + local.x + 16u * j]; }
      for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN / 4u; j++) { sum[i * (TN / 4u) + j] += av[i / 4u][i % 4u] * bv[j]; }
      }
    }
  }
  for (var i = 0u; i < TM; i++) {
    let row = row0 + 64u * (i / 4u) + 4u * local.y + i % 4u;
    for (var j = 0u; j < TN / 4u; j++) {
      for (var e = 0u; e < 4u; e++) {
        let col = col0 + 64u * j + 4u * local.x + e;
        if (row < params.m && col < params.n) {
          var v = params.alpha * sum[i * (TN / 4u) + j][e];
          if (params.add_c == 1u) { v += c[row * params.n + col]; }
          y[row * params.n + col] = v;
        }
      }
    }
  }
}
