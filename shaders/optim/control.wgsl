// Decides what the update may do. control [4] = (norm, clip factor, go, halted):
// norm = √Σ partial sums; factor = min(1, clip / norm) as torch clips (clip = 0: 1); go = 1 when norm and loss are finite and
// nothing was not before. halted stays 1 once it is set: from then on every update is skipped, so the last good state is kept.
#include "common/float.wgsl"
struct Params { parts: u32, clip: f32 }
@group(0) @binding(0) var<storage, read> partial_sums: array<f32>;
@group(0) @binding(1) var<storage, read> loss: array<f32>;
@group(0) @binding(2) var<storage, read_write> control: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(1)
fn main() {
  var sum = 0.0;
  for (var i = 0u; i < params.parts; i++) { sum += partial_sums[i]; }
  let norm = sqrt(sum);
  let good = is_finite(sum) && is_finite(loss[0]) && control[3] == 0.0;
  control[0] = norm;
  control[1] = 1.0;
  if (params.clip > 0.0) { control[1] = min(1.0, params.clip / (norm + 1.0e-6)); }
  control[2] = select(0.0, 1.0, good);
  control[3] = select(1.0, 0.0, good);
}
