// As narrow.wgsl for b [k,n], n a multiple of 4: the terms of a column do not lie side by side, so b is read by fours of columns.
// y[m,n] = alpha * sum_k a[m,k] b[k,n] (+ bias[n]) (+ c[m,n]). Grid: ceil(m / ROWS), ceil(n / COLS).
const LANES: u32 = 64u;
const ROWS: u32 = 4u;
const COLS: u32 = 16u;
struct Params { m: u32, n: u32, k: u32, k2: u32, ta: u32, tb: u32, add_c: u32, add_bias: u32, alpha: f32, alpha2: f32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> a2: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
// [row, lane, column], then [quarter of the lanes, row, column]
var<workgroup> parts: array<f32, ROWS * LANES * COLS>;
var<workgroup> quarters: array<f32, 4u * ROWS * COLS>;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let row = min(group.x * ROWS + local.y, params.m - 1u);
  let col0 = group.y * COLS;
  let fours = params.n / 4u;
  let at4 = min(vec4<u32>(col0 / 4u, col0 / 4u + 1u, col0 / 4u + 2u, col0 / 4u + 3u), vec4<u32>(fours - 1u));
  var sum: array<vec4<f32>, 4>;
  for (var i = local.x; i < params.k; i += 2u * LANES) {
    // Two terms at once, so that one's loads do not wait for the other's.
    let next = min(i + LANES, params.k - 1u);
    let x0 = a[row * params.k + i];
    let x1 = select(0.0, a[row * params.k + next], i + LANES < params.k);
    for (var j = 0u; j < 4u; j++) { sum[j] += x0 * b[i * fours + at4[j]] + x1 * b[next * fours + at4[j]]; }
  }
  for (var j = 0u; j < COLS; j++) { parts[(local.y * LANES + local.x) * COLS + j] = sum[j / 4u][j % 4u]; }
  workgroupBarrier();
  let cell = index % (ROWS * COLS);
  let quarter = index / (ROWS * COLS);
  var total = 0.0;
  for (var i = 0u; i < LANES / 4u; i++) { total += parts[((cell / COLS) * LANES + quarter * (LANES / 4u) + i) * COLS + cell % COLS]; }
  quarters[quarter * ROWS * COLS + cell] = total;
  workgroupBarrier();
  if (quarter > 0u) { return; }
  let out_row = group.x * ROWS + cell / COLS;
  let out_col = col0 + cell % COLS;
  if (out_row >= params.m || out_col >= params.n) { return; }
  var v = params.alpha * ((quarters[cell] + quarters[ROWS * COLS + cell]) + (quarters[2u * ROWS * COLS + cell] + quarters[3u * ROWS * COLS + cell]));
  let at = out_row * params.n + out_col;
  if (params.add_bias == 1u) { v += bias[out_col]; }
  if (params.add_c == 1u) { v += c[at]; }
  y[at] = v;
}
