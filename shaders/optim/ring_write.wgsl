// ring[(step - 1) mod length, column] = x[index]: one measured number of this step into the ring [length, columns] that the host
// reads now and then, so that the loop never waits.
#include "common/step.wgsl"
struct Params { length: u32, columns: u32, column: u32, index: u32 }
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> ring: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(1)
fn main() { ring[((scalars.step - 1u) % params.length) * params.columns + params.column] = x[params.index]; }
