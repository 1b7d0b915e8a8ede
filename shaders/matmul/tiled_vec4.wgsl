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
const BK: u32 = 16u;
const K4: u32 = BK / 4u;
const WG: u32 = (BM / TM) * (BN / TN);
const ROW_A: u32 = BM / 4u + 1u;
const ROW_B: u32 = BN / 4u + 1u;
const FETCH_A: u32 = BM * K4 / WG;
const FETCH_B: u32 = BN * K4 / WG;
const ACROSS: u32 = BN / (8u * TN);
struct Params { m: u32, n: u32, k: u32, k2: u32, ta: u32, tb: u32, add_c: u32, add_bias: u32, alpha: f32, alpha2: f32 }
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> a2: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<vec4<f32>>;
@group(0) @binding(5) var<storage, read> bias: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4<f32>>;
@group(1) @binding(0) var<uniform> params: Params;
// One tile of a and one of b a slice; sums pass through it at the end.
const TILE: u32 = BK * (ROW_A + ROW_B);
var<workgroup> tiles: array<vec4<f32>, S * TILE>;

// Four numbers of an operand [rows, k] or, turned, [k, rows]; `i` counts the fours of a tile. Zero past an edge.
// Terms from `second_at` on are those of the second product.
fn fetch_a(i: u32, row0: u32, k0: u32, second_at: u32) -> vec4<f32> {
  if (k0 >= second_at) { return fetch_a2(i, row0, k0 - second_at); }
  if (params.ta == 1u) {
    let at = k0 + i / (BM / 4u);
    let row = row0 + 4u * (i % (BM / 4u));
    if (at < params.k && row < params.m) { return a[at * (params.m / 4u) + row / 4u]; }
  } else {
    let row = row0 + i / K4;
    let at = k0 + 4u * (i % K4);
    if (row < params.m && at < params.k) { return a[row * (params.k / 4u) + at / 4u]; }
  }
  return vec4<f32>();
}
fn fetch_a2(i: u32, row0: u32, k0: u32) -> vec4<f32> {
  var value = vec4<f32>();
  for (var e = 0u; e < 4u; e++) {
    let turned = params.ta == 1u;
    let row = row0 + select(i / K4, 4u * (i % (BM / 4u)) + e, turned);
    let at = k0 + select(4u * (i % K4) + e, i / (BM / 4u), turned);
    if (row < params.m && at < params.k2) { value[e] = params.alpha2 * a2[select(row * params.k2 + at, at * params.m + row, turned)]; }
  }
  return value;
}
fn fetch_b(i: u32, col0: u32, k0: u32, second_at: u32) -> vec4<f32> {
  if (k0 >= second_at) { return fetch_b2(i, col0, k0 - second_at); }
  if (params.tb == 0u) {
    let at = k0 + i / (BN / 4u);
    let col = col0 + 4u * (i % (BN / 4u));
    if (at < params.k && col < params.n) { return b[at * (params.n / 4u) + col / 4u]; }
  } else {
    let col = col0 + i / K4;
    let at = k0 + 4u * (i % K4);
    if (col < params.n && at < params.k) { return b[col * (params.k / 4u) + at / 4u]; }
  }
  return vec4<f32>();
}
fn fetch_b2(i: u32, col0: u32, k0: u32) -> vec4<f32> {
  var value = vec4<f32>();
  for (var e = 0u; e < 4u; e++) {
    let turned = params.tb == 1u;
    let col = col0 + select(4u * (i % (BN / 4u)) + e, i / K4, turned);
    let at = k0 + select(i / (BN / 4u), 4u * (i % K4) + e, turned);
    if (col < params.n && at < params.k2) { value[e] = b2[select(at * params.n + col, col * params.k2 + at, turned)]; }
  }
  return value;
}
fn keep_a(first: u32, i: u32, value: vec4<f32>) {
  if (params.ta == 1u) { tiles[first + (i / (BM / 4u)) * ROW_A + i % (BM / 4u)] = value; return; }
  let row = i / K4;
  for (var e = 0u; e < 4u; e++) { tiles[first + (4u * (i % K4) + e) * ROW_A + row / 4u][row % 4u] = value[e]; }
}
fn keep_b(first: u32, i: u32, value: vec4<f32>) {
  if (params.tb == 0u) { tiles[first + (i / (BN / 4u)) * ROW_B + i % (BN / 4u)] = value; return; }
  let col = i / K4;
  for (var e = 0u; e < 4u; e++) { tiles[first + (4u * (i % K4) + e) * ROW_B + col / 4u][col % 4u] = value[e]; }
}

@compute @workgroup_size(WG * S)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let index = local % WG;
  let slice = local / WG;
  let first_a = slice * TILE;
  let first_b = first_a + BK * ROW_A;
  let row0 = (group.z * groups.y + group.y) * BM;
  let col0 = group.x * BN;
  // In fours: this invocation's first rows and columns; its next ones are 4 and 8 fours further.
  let down = (index / 32u / ACROSS) * TM + (index % 32u) / 8u;
  let across = (index / 32u % ACROSS) * 2u * TN + index % 8u;
  let second_at = (params.k + BK - 1u) / BK * BK;
  let end = second_at + params.k2;
  var sum: array<vec4<f32>, TM * TN / 4u>;
  var next_a: array<vec4<f32>, FETCH_A>;
  var next_b: array<vec4<f32>, FETCH_B>;
  for (var i = 0u; i < FETCH_A; i++) { next_a[i] = fetch_a(index + WG * i, row0, slice * BK, second_at); }
  for (var i = 0u; i < FETCH_B; i++) { next_b[i] = fetch_b(index + WG * i, col0, slice * BK, second_at); }
  for (var k0 = 0u; k0 < end; k0 += S * BK) {
    workgroupBarrier();
    for (var i = 0u; i < FETCH_A; i++) { keep_a(first_a, index + WG * i, next_a[i]); }
    for (var i = 0u; i < FETCH_B; i++) { keep_b(first_b, index + WG * i, next_b[i]); }
    workgroupBarrier();
    if (k0 + S * BK < end) {
      for (var i = 0u; i < FETCH_A; i++) { next_a[i] = fetch_a(index + WG * i, row0, k0 + (S + slice) * BK, second_at); }
      for (var i = 0u; i < FETCH_B; i++) { next_b[i] = fetch_b(index + WG * i, col0, k0 + (S + slice) * BK, second_at); }
    }
    for (var kk = 0u; kk < BK; kk++) {
      var av: array<vec4<f32>, TM / 4u>;
      var bv: array<vec4<f32>, TN / 4u>;
      for (var i = 0u; i < TM / 4u; i++) { av[i] = tiles[first_a + kk * ROW_A + down + 4u * i]; }
      for (var j = 0u; j < TN / 4u; j++) { bv[j] = tiles[first_b + kk * ROW_B + across + 8u * j]; }
      for (var i = 0u; i < TM; i++) {
        for (var j = 0u; j < TN / 4u; j++) { sum[i * (TN / 4u) + j] += av[i / 4u][i % 4u] * bv[j]; }
      }
    }
  }
  // Four rows at a time, so that the tiles hold what passes.
  for (var half = S / 2u; half > 0u; half /= 2u) {
    for (var i0 = 0u; i0 < TM; i0 += 4u) {
      workgroupBarrier();
      if (slice >= half && slice < 2u * half) {
        for (var i = 0u; i < TN; i++) { tiles[((slice - half) * TN + i) * WG + index] = sum[i0 * (TN / 4u) + i]; }
      }
      workgroupBarrier();
      if (slice < half) {
        for (var i = 0u; i < TN; i++) { sum[i0 * (TN / 4u) + i] += tiles[(slice * TN + i) * WG + index]; }
      }
    }
  }
  if (slice > 0u) { return; }
  for (var i = 0u; i < TM; i++) {
    let row = row0 + 4u * (down + 4u * (i / 4u)) + i % 4u;
    for (var j = 0u; j < TN / 4u; j++) {
      let col = col0 + 4u * (across + 8u * j);
      if (row < params.m && col < params.n) {
        let at = (row * params.n + col) / 4u;
        var v = params.alpha * sum[i * (TN / 4u) + j];
        if (params.add_bias == 1u) { v += bias[col / 4u]; }
        if (params.add_c == 1u) { v += c[at]; }
        y[at] = v;
      }
    }
  }
}
