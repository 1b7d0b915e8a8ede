// The body of matmul/tiled_vec4, matmul/half_tiled and quant/tiled, which differ in how b [k,n] or, turned, [n,k] is stored: they declare
// the tunable constants, Params, the bindings, and four(i), the i-th four numbers of b.
const BK: u32 = 16u;
const K4: u32 = BK / 4u;
const WG: u32 = (BM / TM) * (BN / TN);
const ROW_A: u32 = BM / 4u + 1u;
const ROW_B: u32 = BN / 4u + 1u;
const FETCH_A: u32 = BM * K4 / WG;
const FETCH_B: u32 = BN * K4 / WG;
const ACROSS: u32 = BN / (8u * TN);
// One tile of a and one of b a slice; sums pass through it at the end.
const TILE: u32 = BK * (ROW_A + ROW_B);
var<workgroup> tiles: array<vec4<f32>, S * TILE>;

// Where in `a` the i-th four of a tile stands and which term it is, for the tile of k0 = 0. Rows past the edge read the last one: what
// comes of them is not stored.
fn start_a(i: u32, row0: u32, first_term: u32) -> vec2<u32> {
  if (params.ta == 1u) {
    let term = first_term + i / (BM / 4u);
    return vec2<u32>(term * (params.m / 4u) + min(row0 / 4u + i % (BM / 4u), params.m / 4u - 1u), term);
  }
  let term = first_term + 4u * (i % K4);
  return vec2<u32>((min(row0 + i / K4, params.m - 1u) * params.k + term) / 4u, term);
}
fn start_b(i: u32, col0: u32, first_term: u32) -> vec2<u32> {
  if (params.tb == 0u) {
    let term = first_term + i / (BN / 4u);
    return vec2<u32>(term * (params.n / 4u) + min(col0 / 4u + i % (BN / 4u), params.n / 4u - 1u), term);
  }
  let term = first_term + 4u * (i % K4);
  return vec2<u32>((min(col0 + i / K4, params.n - 1u) * params.k + term) / 4u, term);
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
// One number of the second product's operands, whose rank need not be a multiple of 4.
fn second_a(row: u32, at: u32) -> f32 {
  if (row >= params.m || at >= params.k2) { return 0.0; }
  return params.alpha2 * a2[select(row * params.k2 + at, at * params.m + row, params.ta == 1u)];
}
fn second_b(col: u32, at: u32) -> f32 {
  if (col >= params.n || at >= params.k2) { return 0.0; }
  return b2[select(at * params.n + col, col * params.k2 + at, params.tb == 1u)];
}
// sum += tile of a · tile of b
fn multiply(sum: ptr<function, array<vec4<f32>, TM * TN / 4u>>, at_a: u32, at_b: u32) {
  for (var kk = 0u; kk < BK; kk++) {
    var av: array<vec4<f32>, TM / 4u>;
    var bv: array<vec4<f32>, TN / 4u>;
    for (var i = 0u; i < TM / 4u; i++) { av[i] = tiles[at_a + kk * ROW_A + 4u * i]; }
    for (var j = 0u; j < TN / 4u; j++) { bv[j] = tiles[at_b + kk * ROW_B + 8u * j]; }
    for (var i = 0u; i < TM; i++) {
      for (var j = 0u; j < TN / 4u; j++) { (*sum)[i * (TN / 4u) + j] += av[i / 4u][i % 4u] * bv[j]; }
    }
  }
}

// The block of y that workgroup `group` of `groups` makes; `local` is the invocation of WG * S.
fn make_block(group: vec3<u32>, groups: vec3<u32>, local: u32) {
  let index = local % WG;
  let slice = local / WG;
  let first_a = slice * TILE;
  let first_b = first_a + BK * ROW_A;
  let row0 = (group.z * groups.y + group.y) * BM;
  let col0 = group.x * BN;
  // In fours: this invocation's first rows and columns; its next ones are 4 and 8 fours further.
  let down = (index / 32u / ACROSS) * TM + (index % 32u) / 8u;
  let across = (index / 32u % ACROSS) * 2u * TN + index % 8u;
  var sum: array<vec4<f32>, TM * TN / 4u>;
  var next_a: array<vec4<f32>, FETCH_A>;
  var next_b: array<vec4<f32>, FETCH_B>;
  var at_a: array<vec2<u32>, FETCH_A>;
  var at_b: array<vec2<u32>, FETCH_B>;
  let step_a = vec2<u32>(S * select(K4, BK * params.m / 4u, params.ta == 1u), S * BK);
  let step_b = vec2<u32>(S * select(BK * params.n / 4u, K4, params.tb == 1u), S * BK);
  for (var i = 0u; i < FETCH_A; i++) {
    at_a[i] = start_a(index + WG * i, row0, slice * BK);
    if (at_a[i].y < params.k) { next_a[i] = a[at_a[i].x]; }
  }
  for (var i = 0u; i < FETCH_B; i++) {
    at_b[i] = start_b(index + WG * i, col0, slice * BK);
    if (at_b[i].y < params.k) { next_b[i] = four(at_b[i].x); }
  }
  for (var k0 = 0u; k0 < params.k; k0 += S * BK) {
    workgroupBarrier();
    for (var i = 0u; i < FETCH_A; i++) { keep_a(first_a, index + WG * i, next_a[i]); }
    for (var i = 0u; i < FETCH_B; i++) { keep_b(first_b, index + WG * i, next_b[i]); }
    workgroupBarrier();
    for (var i = 0u; i < FETCH_A; i++) {
      at_a[i] += step_a;
      next_a[i] = vec4<f32>();
      if (at_a[i].y < params.k) { next_a[i] = a[at_a[i].x]; }
    }
    for (var i = 0u; i < FETCH_B; i++) {
      at_b[i] += step_b;
      next_b[i] = vec4<f32>();
      if (at_b[i].y < params.k) { next_b[i] = four(at_b[i].x); }
    }
    multiply(&sum, first_a + down, first_b + across);
  }
  for (var k0 = 0u; k0 < params.k2; k0 += S * BK) {
    workgroupBarrier();
    for (var i = index; i < BM * BK; i += WG) {
      let row = i / BK;
      tiles[first_a + (i % BK) * ROW_A + row / 4u][row % 4u] = second_a(row0 + row, k0 + slice * BK + i % BK);
    }
    for (var i = index; i < BN * BK; i += WG) {
      let col = i / BK;
      tiles[first_b + (i % BK) * ROW_B + col / 4u][col % 4u] = second_b(col0 + col, k0 + slice * BK + i % BK);
    }
    workgroupBarrier();
    multiply(&sum, first_a + down, first_b + across);
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
