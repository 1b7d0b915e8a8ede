// losses[n] = lse[n] - logits[n, target] where there is a target, else 0;  lse[n] = log Σ_v exp logits[n,v].
// logits [rows, vocab] are rows first … first + rows - 1 of [batch·time]; the target of (b, t) is labels[b, t + shift], none past the
// end of the row; negative = ignored.
// LANES invocations share a row. Grid: ceil(rows / ROWS).
#include "common/index.wgsl"
#include "common/reduce.wgsl"
#include "common/target.wgsl"
struct Params { rows: u32, first: u32, time: u32, vocab: u32, shift: u32 }
@group(0) @binding(0) var<storage, read> logits: array<f32>;
@group(0) @binding(1) var<storage, read> labels: array<i32>;
@group(0) @binding(2) var<storage, read_write> lse: array<f32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(LANES, ROWS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>) {
  let row = group_index(group, groups) * ROWS + local.y;
  let base = row * params.vocab;
  let inside = row < params.rows;
  var top = -3.0e38;
  if (inside) { for (var v = local.x; v < params.vocab; v += LANES) { top = max(top, logits[base + v]); } }
  top = reduce_max(top, local.x, local.y);
  var sum = 0.0;
  if (inside) { for (var v = local.x; v < params.vocab; v += LANES) { sum += exp(logits[base + v] - top); } }
  sum = reduce_add(sum, local.x, local.y);
  if (!inside || local.x != 0u) { return; }
  let total = top + log(sum);
  lse[row] = total;
  let label = target_of(params.first + row);
  losses[row] = 0.0;
  if (label >= 0) { losses[row] = total - logits[base + u32(label)]; }
}
