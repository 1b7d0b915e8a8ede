// Products of many matrices of any sizes at once:  y [m, n] = alpha op(a) op(b) (+ c), op turning its operand where ta or tb is 1. Each
// operand's matrices stand in one flat buffer, row-major. table by units, a unit being 64 elements of a y, 8 words an entry: first unit, where a, b, c and y
// begin, sizes m, n and k of the product. One invocation an element.
#include "common/index.wgsl"
struct Params { units: u32, ta: u32, tb: u32, add_c: u32, alpha: f32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> a: array<f32>;
@group(0) @binding(2) var<storage, read> b: array<f32>;
@group(0) @binding(3) var<storage, read> c: array<f32>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let place = group_index(group, groups) * 256u + local;
  let unit = place / 64u;
  if (unit >= params.units) { return; }
  let e = params.units + 8u * (table[unit] - 1u);
  let at = place - 64u * table[e];
  let m = table[e + 5u];
  let n = table[e + 6u];
  let k = table[e + 7u];
  if (at >= m * n) { return; }
  let i = at / n;
  let j = at % n;
  // Steps from row i of op(a) and column j of op(b) to the next of its k numbers.
  let step_a = select(1u, m, params.ta == 1u);
  let step_b = select(n, 1u, params.tb == 1u);
  var from_a = table[e + 1u] + select(i * k, i, params.ta == 1u);
  var from_b = table[e + 2u] + select(j, j * k, params.tb == 1u);
  // Four terms at a time: loads one by one would wait for each other.
  var sums = vec4<f32>(0.0);
  var t = 0u;
  for (; t + 4u <= k; t += 4u) {
    let left = vec4<f32>(a[from_a], a[from_a + step_a], a[from_a + 2u * step_a], a[from_a + 3u * step_a]);
    let right = vec4<f32>(b[from_b], b[from_b + step_b], b[from_b + 2u * step_b], b[from_b + 3u * step_b]);
    sums += left * right;
    from_a += 4u * step_a;
    from_b += 4u * step_b;
  }
  var sum = sums.x + sums.y + sums.z + sums.w;
  for (; t < k; t++) {
    sum += a[from_a] * b[from_b];
    from_a += step_a;
    from_b += step_b;
  }
  var value = params.alpha * sum;
  if (params.add_c == 1u) { value += c[table[e + 3u] + at]; }
  y[table[e + 4u] + at] = value;
}
