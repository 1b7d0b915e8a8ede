// l[b] lᵀ[b] = a[b] + (jitter + relative · trace(a[b]) / n) I, a symmetric and l lower [batch, n, n] row-major: columns [start, stop) of l, the ones before
// being done. LANES invocations share a matrix, a row each in turn. A pivot that is not above 1e-7 of its diagonal entry is set to
// that, and counted in failed[b]. Grid: ceil(batch / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
struct Params { batch: u32, n: u32, start: u32, stop: u32, jitter: f32, relative: f32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> l: array<f32>;
@group(0) @binding(2) var<storage, read_write> failed: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let matrix = group_index(group, groups) * ROWS + local.y;
  let inside = matrix < params.batch;
  let base = matrix * params.n * params.n;
  var trace = 0.0;
  if (inside) { for (var i = local.x; i < params.n; i += LANES) { trace += a[base + i * params.n + i]; } }
  let added = params.jitter + params.relative * reduce_add(trace, local.x, local.y) / f32(params.n);
  var bad = 0.0;
  for (var j = params.start; j < params.stop; j++) {
    if (inside) {
      let upper = base + j * params.n;
      let full = a[upper + j] + added;
      var rest = full;
      for (var k = 0u; k < j; k++) { rest -= l[upper + k] * l[upper + k]; }
      let floor = max(abs(full), 1.0e-30) * 1.0e-7;
      if (rest <= floor) { rest = floor; bad += 1.0; }
      let pivot = sqrt(rest);
      for (var i = local.x; i < params.n; i += LANES) {
        let row = base + i * params.n;
        var value = 0.0;
        if (i == j) { value = pivot; }
        if (i > j) {
          value = a[row + j];
          for (var k = 0u; k < j; k++) { value -= l[row + k] * l[upper + k]; }
          value /= pivot;
        }
        l[row + j] = value;
      }
    }
    if (LANES > 1u) { storageBarrier(); }
  }
  if (inside && local.x == 0u) { failed[matrix] = select(failed[matrix], 0.0, params.start == 0u) + bad; }
}
