// y[w,t] = alpha * sum_k wide[k,w] thin[k,t] (+ c[w,t]): products with one side of THIN ≤ 32 columns, the gradients of low-rank
// factors. wide [k, columns], thin [k, THIN] row-major; turned = 1 writes y[t,w] and reads c so. A second product of the same k and
// THIN may come along (wide2, thin2, y2, without c): the gradients of both factors of one adapter; columns2 = 0: none.
// For software adapters: one invocation holds one w and all t, in registers with names, since those drivers keep arrays in memory.
// Grid: ceil(columns / WG) + ceil(columns2 / WG).
override WG: u32 = 8u;
override THIN: u32 = 16u;
struct Params { k: u32, columns: u32, columns2: u32, thin_columns: u32, turned: u32, turned2: u32, add_c: u32, alpha: f32, alpha2: f32 }
@group(0) @binding(0) var<storage, read> wide: array<f32>;
@group(0) @binding(1) var<storage, read> thin: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> wide2: array<f32>;
@group(0) @binding(5) var<storage, read> thin2: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y2: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn store(second: bool, w: u32, t: u32, value: vec4<f32>) {
  for (var i = 0u; i < 4u; i++) {
    if (second) {
      y2[select(w * THIN + t + i, (t + i) * params.columns2 + w, params.turned2 == 1u)] = params.alpha2 * value[i];
    } else {
      let at = select(w * THIN + t + i, (t + i) * params.columns + w, params.turned == 1u);
      var v = params.alpha * value[i];
      if (params.add_c == 1u) { v += c[at]; }
      y[at] = v;
    }
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let first_groups = (params.columns + WG - 1u) / WG;
  let second = group.x >= first_groups;
  let w = (group.x - select(0u, first_groups, second)) * WG + local;
  let columns = select(params.columns, params.columns2, second);
  if (w >= columns) { return; }
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  var s4 = vec4<f32>();
  var s5 = vec4<f32>();
  var s6 = vec4<f32>();
  var s7 = vec4<f32>();
  if (second) {
    for (var i = 0u; i < params.k; i++) {
      let x = wide2[i * columns + w];
      let at = i * (THIN / 4u);
      s0 += x * thin2[at + 0u];
      if (THIN > 4u) { s1 += x * thin2[at + 1u]; }
      if (THIN > 8u) { s2 += x * thin2[at + 2u]; }
      if (THIN > 12u) { s3 += x * thin2[at + 3u]; }
      if (THIN > 16u) { s4 += x * thin2[at + 4u]; }
      if (THIN > 20u) { s5 += x * thin2[at + 5u]; }
      if (THIN > 24u) { s6 += x * thin2[at + 6u]; }
      if (THIN > 28u) { s7 += x * thin2[at + 7u]; }
    }
  } else {
    for (var i = 0u; i < params.k; i++) {
      let x = wide[i * columns + w];
      let at = i * (THIN / 4u);
      s0 += x * thin[at + 0u];
      if (THIN > 4u) { s1 += x * thin[at + 1u]; }
      if (THIN > 8u) { s2 += x * thin[at + 2u]; }
      if (THIN > 12u) { s3 += x * thin[at + 3u]; }
      if (THIN > 16u) { s4 += x * thin[at + 4u]; }
      if (THIN > 20u) { s5 += x * thin[at + 5u]; }
      if (THIN > 24u) { s6 += x * thin[at + 6u]; }
      if (THIN > 28u) { s7 += x * thin[at + 7u]; }
    }
  }
  store(second, w, 0u, s0);
  if (THIN > 4u) { store(second, w, 4u, s1); }
  if (THIN > 8u) { store(second, w, 8u, s2); }
  if (THIN > 12u) { store(second, w, 12u, s3); }
  if (THIN > 16u) { store(second, w, 16u, s4); }
  if (THIN > 20u) { store(second, w, 20u, s5); }
  if (THIN > 24u) { store(second, w, 24u, s6); }
  if (THIN > 28u) { store(second, w, 28u, s7); }
}
