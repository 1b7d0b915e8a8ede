// The body of matmul/direct_vec4 and matmul/half_direct, which differ in how b [k,n] or, turned, [n,k] is stored: they declare the overrides,
// Params, the bindings, and four(i), the i-th four numbers of b.
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

// The 4 × 8 block of y that invocation `local` of workgroup `group` of `groups` makes.
fn make_block(group: vec3<u32>, groups: vec3<u32>, local: vec3<u32>) {
  let row = ((group.z * groups.y + group.y) * WY + local.y) * 4u;
  let col = (group.x * WX + local.x) * 8u;
  if (row >= params.m || col >= params.n) { return; }
  let k4 = params.k / 4u;
  let m4 = params.m / 4u;
  let n4 = params.n / 4u;
  // Rows and columns past the edge read the last one; they are not stored.
  let rows = min(vec4<u32>(row, row + 1u, row + 2u, row + 3u), vec4<u32>(params.m - 1u)) * k4;
  let last = vec4<u32>(params.n - 1u);
  let cols0 = min(vec4<u32>(col, col + 1u, col + 2u, col + 3u), last) * k4;
  let cols1 = min(vec4<u32>(col + 4u, col + 5u, col + 6u, col + 7u), last) * k4;
  let col4 = min(vec2<u32>(col / 4u, col / 4u + 1u), vec2<u32>(n4 - 1u));
  var s00 = vec4<f32>(); var s01 = vec4<f32>();
  var s10 = vec4<f32>(); var s11 = vec4<f32>();
  var s20 = vec4<f32>(); var s21 = vec4<f32>();
  var s30 = vec4<f32>(); var s31 = vec4<f32>();
  for (var i = 0u; i < k4; i++) {
    // av[j]: four rows at k = 4i + j. bv0[j], bv1[j]: eight columns there.
    var av: mat4x4<f32>;
    if (TA == 1u) {
      let at = 4u * i * m4 + row / 4u;
      av = mat4x4<f32>(a[at], a[at + m4], a[at + 2u * m4], a[at + 3u * m4]);
    } else {
      av = transpose(mat4x4<f32>(a[rows.x + i], a[rows.y + i], a[rows.z + i], a[rows.w + i]));
    }
    var bv0: mat4x4<f32>;
    var bv1: mat4x4<f32>;
    if (TB == 1u) {
      bv0 = transpose(mat4x4<f32>(four(cols0.x + i), four(cols0.y + i), four(cols0.z + i), four(cols0.w + i)));
      bv1 = transpose(mat4x4<f32>(four(cols1.x + i), four(cols1.y + i), four(cols1.z + i), four(cols1.w + i)));
    } else {
      let at = vec4<u32>(4u * i, 4u * i + 1u, 4u * i + 2u, 4u * i + 3u) * n4;
      bv0 = mat4x4<f32>(four(at.x + col4.x), four(at.y + col4.x), four(at.z + col4.x), four(at.w + col4.x));
      bv1 = mat4x4<f32>(four(at.x + col4.y), four(at.y + col4.y), four(at.z + col4.y), four(at.w + col4.y));
    }
    s00 += av[0].x * bv0[0]; s01 += av[0].x * bv1[0]; s10 += av[0].y * bv0[0]; s11 += av[0].y * bv1[0];
    s20 += av[0].z * bv0[0]; s21 += av[0].z * bv1[0]; s30 += av[0].w * bv0[0]; s31 += av[0].w * bv1[0];
    s00 += av[1].x * bv0[1]; s01 += av[1].x * bv1[1]; s10 += av[1].y * bv0[1]; s11 += av[1].y * bv1[1];
    s20 += av[1].z * bv0[1]; s21 += av[1].z * bv1[1]; s30 += av[1].w * bv0[1]; s31 += av[1].w * bv1[1];
    s00 += av[2].x * bv0[2]; s01 += av[2].x * bv1[2]; s10 += av[2].y * bv0[2]; s11 += av[2].y * bv1[2];
    s20 += av[2].z * bv0[2]; s21 += av[2].z * bv1[2]; s30 += av[2].w * bv0[2]; s31 += av[2].w * bv1[2];
    s00 += av[3].x * bv0[3]; s01 += av[3].x * bv1[3]; s10 += av[3].y * bv0[3]; s11 += av[3].y * bv1[3];
    s20 += av[3].z * bv0[3]; s21 += av[3].z * bv1[3]; s30 += av[3].w * bv0[3]; s31 += av[3].w * bv1[3];
  }
  // The second product, one term at a time: its k2 is a rank.
  let a2_row = select(params.k2, 1u, TA == 1u);
  let a2_k = select(1u, params.m, TA == 1u);
  let b2_col = select(1u, params.k2, TB == 1u);
  let b2_k = select(params.n, 1u, TB == 1u);
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
