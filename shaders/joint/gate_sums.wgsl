// Gradients of gates of all layers through joint/gates:  g[u] = Σᵢ dy[u, i] · B[u, i] · other[i], u along the gate, i across it.
// table by units, a unit being one number of a gate, 8 words an entry: first unit, where dy, B and the gradient of the gate begin, step
// of dy and B along the gate and across it, numbers across, where the other gate begins (or NOWHERE). LANES invocations share a unit. Grid: ceil(units / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
#include "common/entry.wgsl"
struct Params { units: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> dy: array<f32>;
@group(0) @binding(2) var<storage, read> source: array<f32>;
@group(0) @binding(3) var<storage, read> p: array<f32>;
@group(0) @binding(4) var<storage, read_write> g: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let unit = group_index(group, groups) * ROWS + local.y;
  var sum = 0.0;
  var target_at = 0u;
  if (unit < params.units) {
    let e = params.units + 8u * (table[unit] - 1u);
    let u = unit - table[e];
    target_at = table[e + 3u] + u;
    for (var i = local.x; i < table[e + 6u]; i += LANES) {
      let at = u * table[e + 4u] + i * table[e + 5u];
      var term = dy[table[e + 1u] + at] * source[table[e + 2u] + at];
      if (table[e + 7u] != NOWHERE) { term *= p[table[e + 7u] + i]; }
      sum += term;
    }
  }
  let total = reduce_add(sum, local.x, local.y);
  if (unit < params.units && local.x == 0u) { g[target_at] = total; }
}
