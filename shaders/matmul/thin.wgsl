// parts[p, w, t] = sum over k in part p of wide[k,w] thin[k,t]: products with one side of THIN ≤ 32 columns, such as the gradients of
// low-rank factors, where a [wide, thin] result gives too few invocations unless k is split.
// wide [k, columns], thin [k, THIN] row-major; turned = 1 writes parts[p, t, w]. sum_parts.wgsl adds the parts in ascending order.
// One invocation holds one w and all t, in registers with names: software drivers keep arrays in memory.
// Grid: ceil(columns / WG), parts.
override WG: u32 = 64u;
override THIN: u32 = 16u;
struct Params { k: u32, columns: u32, chunk: u32, turned: u32 }
@group(0) @binding(0) var<storage, read> wide: array<f32>;
@group(0) @binding(1) var<storage, read> thin: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> parts: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn store(base: u32, w: u32, t: u32, value: vec4<f32>) {
  for (var i = 0u; i < 4u; i++) {
    parts[base + select(w * THIN + t + i, (t + i) * params.columns + w, params.turned == 1u)] = value[i];
  }
}

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let w = group.x * WG + local;
  if (w >= params.columns) { return; }
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  var s4 = vec4<f32>();
  var s5 = vec4<f32>();
  var s6 = vec4<f32>();
  var s7 = vec4<f32>();
  let end = min((group.y + 1u) * params.chunk, params.k);
  for (var i = group.y * params.chunk; i < end; i++) {
    let x = wide[i * params.columns + w];
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
  let base = group.y * params.columns * THIN;
  store(base, w, 0u, s0);
  if (THIN > 4u) { store(base, w, 4u, s1); }
  if (THIN > 8u) { store(base, w, 8u, s2); }
  if (THIN > 12u) { store(base, w, 12u, s3); }
  if (THIN > 16u) { store(base, w, 16u, s4); }
  if (THIN > 20u) { store(base, w, 20u, s5); }
  if (THIN > 24u) { store(base, w, 24u, s6); }
  if (THIN > 28u) { store(base, w, 28u, s7); }
}
