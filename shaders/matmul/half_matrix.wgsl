// y[m,n] = alpha * (sum_k a[m,k] b[k,n] + alpha2 * sum_k2 a2[m,k2] b2[k2,n]) (+ bias[n]) (+ c[m,n]) on the matrix units of a GPU, with
// f16 factors and f32 sums; TB reads b as [n,k], b2 as [n,k2]. b holds halves; a, a2 and b2 are f32 and rounded to f16 here, a and a2
// times `lift`, a power of two that keeps small gradients off the bottom of f16. Wants k and n to be multiples of 4.
// One workgroup makes a BM × BN block, each of its subgroups of 32 a WM × WN part of it in 16 × 16 fragments (2 or 4 each way), BK terms
// at a time. Fragments have names: in arrays, drivers keep them in memory.
// Grid: ceil(n / BN), ceil(m / BM) folded into y and z.
diagnostic(off, chromium.subgroup_matrix_uniformity);
enable f16;
enable chromium_experimental_subgroup_matrix;
const BM: u32 = 64u; // tunable
const BN: u32 = 64u; // tunable
const WM: u32 = 32u; // tunable
const WN: u32 = 32u; // tunable
const TB: u32 = 1u; // tunable
const BK: u32 = 32u;
const K4: u32 = BK / 4u;
const ACROSS: u32 = BN / WN;
const SUBGROUPS: u32 = (BM / WM) * ACROSS;
const WG: u32 = 32u * SUBGROUPS;
const FETCH_A: u32 = BM * K4 / WG;
const FETCH_B: u32 = BN * K4 / WG;
// Rows of a tile are padded, without which fragments are read from few banks.
const ROW_A: u32 = BK + 8u;
const ROW_B: u32 = TB * (BK + 8u) + (1u - TB) * (BN + 8u);
struct Params { m: u32, n: u32, k: u32, k2: u32, ta: u32, tb: u32, add_c: u32, add_bias: u32, alpha: f32, alpha2: f32, lift: f32 }
@group(0) @binding(0) var<storage, read> a: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> b: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> a2: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
var<workgroup> tile_a: array<f16, BM * ROW_A>;
// [n, k] with TB, else [k, n]
var<workgroup> tile_b: array<f16, TB * BN * ROW_B + (1u - TB) * BK * ROW_B>;
// A fragment of each subgroup, on its way out.
var<workgroup> outgoing: array<f32, SUBGROUPS * 256u>;

fn half(x: f32) -> f16 { return f16(clamp(x, -65504.0, 65504.0)); }

// Four numbers of a tile of a, rows from row0, terms from k0; `i` counts the fours. Zero past an edge.
fn fetch_a(i: u32, row0: u32, k0: u32) -> vec4<f32> {
  let row = row0 + i / K4;
  let at = k0 + 4u * (i % K4);
  if (row < params.m && at < params.k) { return params.lift * a[(row * params.k + at) / 4u]; }
  return vec4<f32>();
}
fn fetch_b(i: u32, col0: u32, k0: u32) -> vec2<u32> {
  if (TB == 1u) {
    let col = col0 + i / K4;
    let at = k0 + 4u * (i % K4);
    if (col < params.n && at < params.k) { return b[(col * params.k + at) / 4u]; }
  } else {
    let at = k0 + i / (BN / 4u);
    let col = col0 + 4u * (i % (BN / 4u));
    if (at < params.k && col < params.n) { return b[(at * params.n + col) / 4u]; }
  }
  return vec2<u32>();
}
fn keep_a(i: u32, value: vec4<f32>) {
  let at = (i / K4) * ROW_A + 4u * (i % K4);
  for (var e = 0u; e < 4u; e++) { tile_a[at + e] = half(value[e]); }
}
fn keep_b(i: u32, value: vec2<u32>) {
  let at = select((i / (BN / 4u)) * ROW_B + 4u * (i % (BN / 4u)), (i / K4) * ROW_B + 4u * (i % K4), TB == 1u);
  let low = bitcast<vec2<f16>>(value.x);
  let high = bitcast<vec2<f16>>(value.y);
  tile_b[at] = low.x;
  tile_b[at + 1u] = low.y;
  tile_b[at + 2u] = high.x;
  tile_b[at + 3u] = high.y;
}

fn fragment_a(row: u32, kk: u32) -> subgroup_matrix_left<f16, 16, 16> {
  return subgroupMatrixLoad<subgroup_matrix_left<f16, 16, 16>>(&tile_a, row * ROW_A + kk, false, ROW_A);
}
fn fragment_b(col: u32, kk: u32) -> subgroup_matrix_right<f16, 16, 16> {
  if (TB == 1u) { return subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>>(&tile_b, col * ROW_B + kk, true, ROW_B); }
  return subgroupMatrixLoad<subgroup_matrix_right<f16, 16, 16>>(&tile_b, kk * ROW_B + col, false, ROW_B);
}
// A fragment goes out: row and col of y are those of its first number, `first` is where it stands in `outgoing`.
fn put(fragment: subgroup_matrix_result<f32, 16, 16>, first: u32, row: u32, col: u32, lane: u32) {
  workgroupBarrier();
  subgroupMatrixStore(&outgoing, first, fragment, false, 16u);
  workgroupBarrier();
  let scale = params.alpha / params.lift;
  let x = col + lane % 16u;
  for (var e = lane / 16u; e < 16u; e += 2u) {
    let r = row + e;
    if (r < params.m && x < params.n) {
      let at = r * params.n + x;
      var v = scale * outgoing[first + 16u * e + lane % 16u];
      if (params.add_bias == 1u) { v += bias[x]; }
      if (params.add_c == 1u) { v += c[at]; }
      y[at] = v;
    }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let row0 = (group.z * groups.y + group.y) * BM;
  let col0 = group.x * BN;
  let subgroup = index / 32u;
  let down = (subgroup / ACROSS) * WM;
  let right = (subgroup % ACROSS) * WN;
  var s00: subgroup_matrix_result<f32, 16, 16>;
  var s01: subgroup_matrix_result<f32, 16, 16>;
  var s02: subgroup_matrix_result<f32, 16, 16>;
  var s03: subgroup_matrix_result<f32, 16, 16>;
  var s10: subgroup_matrix_result<f32, 16, 16>;
  var s11: subgroup_matrix_result<f32, 16, 16>;
  var s12: subgroup_matrix_result<f32, 16, 16>;
  var s13: subgroup_matrix_result<f32, 16, 16>;
  var s20: subgroup_matrix_result<f32, 16, 16>;
  var s21: subgroup_matrix_result<f32, 16, 16>;
  var s22: subgroup_matrix_result<f32, 16, 16>;
  var s23: subgroup_matrix_result<f32, 16, 16>;
  var s30: subgroup_matrix_result<f32, 16, 16>;
  var s31: subgroup_matrix_result<f32, 16, 16>;
  var s32: subgroup_matrix_result<f32, 16, 16>;
  var s33: subgroup_matrix_result<f32, 16, 16>;
  var next_a: array<vec4<f32>, FETCH_A>;
  var next_b: array<vec2<u32>, FETCH_B>;
  for (var i = 0u; i < FETCH_A; i++) { next_a[i] = fetch_a(index + WG * i, row0, 0u); }
  for (var i = 0u; i < FETCH_B; i++) { next_b[i] = fetch_b(index + WG * i, col0, 0u); }
  // Tiles of the first product, then those of the second.
  let first_tiles = (params.k + BK - 1u) / BK;
  let all_tiles = first_tiles + (params.k2 + BK - 1u) / BK;
  for (var t = 0u; t < all_tiles; t++) {
    workgroupBarrier();
    if (t < first_tiles) {
      for (var i = 0u; i < FETCH_A; i++) { keep_a(index + WG * i, next_a[i]); }
      for (var i = 0u; i < FETCH_B; i++) { keep_b(index + WG * i, next_b[i]); }
    } else {
      let k0 = (t - first_tiles) * BK;
      for (var i = index; i < BM * BK; i += WG) {
        let row = row0 + i / BK;
        let at = k0 + i % BK;
        var value = 0.0;
        if (row < params.m && at < params.k2) { value = params.lift * params.alpha2 * a2[row * params.k2 + at]; }
        tile_a[(i / BK) * ROW_A + i % BK] = half(value);
      }
      for (var i = index; i < BN * BK; i += WG) {
        let col = col0 + i / BK;
        let at = k0 + i % BK;
        var value = 0.0;
        if (col < params.n && at < params.k2) { value = b2[select(at * params.n + col, col * params.k2 + at, TB == 1u)]; }
        tile_b[select((i % BK) * ROW_B + i / BK, (i / BK) * ROW_B + i % BK, TB == 1u)] = half(value);
      }
    }
    workgroupBarrier();
    if (t + 1u < first_tiles) {
      for (var i = 0u; i < FETCH_A; i++) { next_a[i] = fetch_a(index + WG * i, row0, (t + 1u) * BK); }
      for (var i = 0u; i < FETCH_B; i++) { next_b[i] = fetch_b(index + WG * i, col0, (t + 1u) * BK); }
    }
    for (var kk = 0u; kk < BK; kk += 16u) {
      let left0 = fragment_a(down, kk);
      let left1 = fragment_a(down + 16u, kk);
      var left2: subgroup_matrix_left<f16, 16, 16>;
      var left3: subgroup_matrix_left<f16, 16, 16>;
      if (WM > 32u) {
        left2 = fragment_a(down + 32u, kk);
        left3 = fragment_a(down + 48u, kk);
      }
      {
        let factor = fragment_b(right, kk);
        s00 = subgroupMatrixMultiplyAccumulate(left0, factor, s00);
        s10 = subgroupMatrixMultiplyAccumulate(left1, factor, s10);
        if (WM > 32u) {
          s20 = subgroupMatrixMultiplyAccumulate(left2, factor, s20);
          s30 = subgroupMatrixMultiplyAccumulate(left3, factor, s30);
        }
      }
      {
        let factor = fragment_b(right + 16u, kk);
        s01 = subgroupMatrixMultiplyAccumulate(left0, factor, s01);
        s11 = subgroupMatrixMultiplyAccumulate(left1, factor, s11);
        if (WM > 32u) {
          s21 = subgroupMatrixMultiplyAccumulate(left2, factor, s21);
          s31 = subgroupMatrixMultiplyAccumulate(left3, factor, s31);
        }
      }
      if (WN > 32u) {
        let factor = fragment_b(right + 32u, kk);
        s02 = subgroupMatrixMultiplyAccumulate(left0, factor, s02);
        s12 = subgroupMatrixMultiplyAccumulate(left1, factor, s12);
        if (WM > 32u) {
          s22 = subgroupMatrixMultiplyAccumulate(left2, factor, s22);
          s32 = subgroupMatrixMultiplyAccumulate(left3, factor, s32);
        }
      }
      if (WN > 32u) {
        let factor = fragment_b(right + 48u, kk);
        s03 = subgroupMatrixMultiplyAccumulate(left0, factor, s03);
        s13 = subgroupMatrixMultiplyAccumulate(left1, factor, s13);
        if (WM > 32u) {
          s23 = subgroupMatrixMultiplyAccumulate(left2, factor, s23);
          s33 = subgroupMatrixMultiplyAccumulate(left3, factor, s33);
        }
      }
    }
  }
  let first = subgroup * 256u;
  let lane = index % 32u;
  let row = row0 + down;
  let col = col0 + right;
  put(s00, first, row, col, lane);
  put(s01, first, row, col + 16u, lane);
  put(s10, first, row + 16u, col, lane);
  put(s11, first, row + 16u, col + 16u, lane);
  if (WN > 32u) {
    put(s02, first, row, col + 32u, lane);
    put(s03, first, row, col + 48u, lane);
    put(s12, first, row + 16u, col + 32u, lane);
    put(s13, first, row + 16u, col + 48u, lane);
  }
  if (WM > 32u) {
    put(s20, first, row + 32u, col, lane);
    put(s21, first, row + 32u, col + 16u, lane);
    put(s30, first, row + 48u, col, lane);
    put(s31, first, row + 48u, col + 16u, lane);
    if (WN > 32u) {
      put(s22, first, row + 32u, col + 32u, lane);
      put(s23, first, row + 32u, col + 48u, lane);
      put(s32, first, row + 48u, col + 32u, lane);
      put(s33, first, row + 48u, col + 48u, lane);
    }
  }
}
