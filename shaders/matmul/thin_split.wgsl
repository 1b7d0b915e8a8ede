// As thin.wgsl, for GPUs: a [columns, thin] result has too few numbers to fill one, so SLICES invocations share the terms of COLS
// columns and 16 of the thin side's, and their partial sums are joined by halves. Wants thin_columns to be a multiple of 4.
// wide, wide2 [k, columns], thin, thin2 [k, thin_columns] row-major. Grid: ceil(columns / COLS) + ceil(columns2 / COLS), ceil(thin_columns / 16).
const COLS: u32 = 8u;
const SLICES: u32 = 32u;
struct Params { k: u32, columns: u32, columns2: u32, thin_columns: u32, turned: u32, turned2: u32, add_c: u32, alpha: f32, alpha2: f32 }
@group(0) @binding(0) var<storage, read> wide: array<f32>;
@group(0) @binding(1) var<storage, read> thin: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> c: array<f32>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
@group(0) @binding(4) var<storage, read> wide2: array<f32>;
@group(0) @binding(5) var<storage, read> thin2: array<vec4<f32>>;
@group(0) @binding(6) var<storage, read_write> y2: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
// [slice, column, four of the thin side]
var<workgroup> parts: array<vec4<f32>, SLICES * COLS * 4u>;

@compute @workgroup_size(COLS, SLICES)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let first_groups = (params.columns + COLS - 1u) / COLS;
  let second = group.x >= first_groups;
  let w0 = (group.x - select(0u, first_groups, second)) * COLS;
  let columns = select(params.columns, params.columns2, second);
  let w = min(w0 + local.x, columns - 1u);
  let fours = params.thin_columns / 4u;
  let t0 = 4u * group.y;
  let t = min(vec4<u32>(t0, t0 + 1u, t0 + 2u, t0 + 3u), vec4<u32>(fours - 1u));
  var s0 = vec4<f32>();
  var s1 = vec4<f32>();
  var s2 = vec4<f32>();
  var s3 = vec4<f32>();
  if (second) {
    for (var i = local.y; i < params.k; i += 4u * SLICES) {
      // Four terms at once, so that their loads do not wait for one another.
      let terms = vec4<u32>(i, i + SLICES, i + 2u * SLICES, i + 3u * SLICES);
      let there = min(terms, vec4<u32>(params.k - 1u));
      let x = select(vec4<f32>(), vec4<f32>(wide2[there.x * columns + w], wide2[there.y * columns + w], wide2[there.z * columns + w], wide2[there.w * columns + w]), terms < vec4<u32>(params.k));
      let at = there * fours;
      s0 += x.x * thin2[at.x + t.x] + x.y * thin2[at.y + t.x] + x.z * thin2[at.z + t.x] + x.w * thin2[at.w + t.x];
      s1 += x.x * thin2[at.x + t.y] + x.y * thin2[at.y + t.y] + x.z * thin2[at.z + t.y] + x.w * thin2[at.w + t.y];
      s2 += x.x * thin2[at.x + t.z] + x.y * thin2[at.y + t.z] + x.z * thin2[at.z + t.z] + x.w * thin2[at.w + t.z];
      s3 += x.x * thin2[at.x + t.w] + x.y * thin2[at.y + t.w] + x.z * thin2[at.z + t.w] + x.w * thin2[at.w + t.w];
    }
  } else {
    for (var i = local.y; i < params.k; i += 4u * SLICES) {
      // Four terms at once, so that their loads do not wait for one another.
      let terms = vec4<u32>(i, i + SLICES, i + 2u * SLICES, i + 3u * SLICES);
      let there = min(terms, vec4<u32>(params.k - 1u));
      let x = select(vec4<f32>(), vec4<f32>(wide[there.x * columns + w], wide[there.y * columns + w], wide[there.z * columns + w], wide[there.w * columns + w]), terms < vec4<u32>(params.k));
      let at = there * fours;
      s0 += x.x * thin[at.x + t.x] + x.y * thin[at.y + t.x] + x.z * thin[at.z + t.x] + x.w * thin[at.w + t.x];
      s1 += x.x * thin[at.x + t.y] + x.y * thin[at.y + t.y] + x.z * thin[at.z + t.y] + x.w * thin[at.w + t.y];
      s2 += x.x * thin[at.x + t.z] + x.y * thin[at.y + t.z] + x.z * thin[at.z + t.z] + x.w * thin[at.w + t.z];
      s3 += x.x * thin[at.x + t.w] + x.y * thin[at.y + t.w] + x.z * thin[at.z + t.w] + x.w * thin[at.w + t.w];
    }
  }
  let mine = (local.y * COLS + local.x) * 4u;
  parts[mine] = s0;
  parts[mine + 1u] = s1;
  parts[mine + 2u] = s2;
  parts[mine + 3u] = s3;
  workgroupBarrier();
  // Every invocation reaches every barrier.
  for (var half = SLICES / 2u; half > 0u; half /= 2u) {
    for (var i = index; i < half * COLS * 4u; i += SLICES * COLS) { parts[i] += parts[i + half * COLS * 4u]; }
    workgroupBarrier();
  }
  if (index >= COLS * 4u) { return; }
  let column = w0 + index / 4u;
  let first = 4u * (t0 + index % 4u);
  if (column >= columns || first >= params.thin_columns) { return; }
  for (var e = 0u; e < 4u; e++) {
    let turned = select(params.turned, params.turned2, second) == 1u;
    let out = select(column * params.thin_columns + first + e, (first + e) * columns + column, turned);
    if (second) {
      y2[out] = params.alpha2 * parts[index][e];
    } else {
      var v = params.alpha * parts[index][e];
      if (params.add_c == 1u) { v += c[out]; }
      y[out] = v;
    }
  }
}
