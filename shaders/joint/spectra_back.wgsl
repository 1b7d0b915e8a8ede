// Gradients of α, β, X and Y of all layers from d, laid out as the numbers of joint/spectra: σ d and d; d Yᵀ and Xᵀ d. by_length = 1: d are
// the numbers themselves, each part of a layer times weight / its length (0 where that is), and what comes out is added.
// lengths [layers, 2]: of the large values' change and of the block's. table by units (common/salt.wgsl), a unit being one of r numbers of α
// with its β, then one of X [q, width], then one of Y [width, q]. One invocation a unit.
#include "common/index.wgsl"
#include "common/salt.wgsl"
struct Params { units: u32, width: u32, by_length: u32, weight: f32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> p: array<f32>;
@group(0) @binding(2) var<storage, read> frozen: array<f32>;
@group(0) @binding(3) var<storage, read> d: array<f32>;
@group(0) @binding(4) var<storage, read> lengths: array<f32>;
@group(0) @binding(5) var<storage, read_write> g: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

fn put(at: u32, value: f32) { g[at] = select(value, g[at] + value, params.by_length == 1u); }

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let unit = group_index(group, groups) * 256u + local;
  if (unit >= params.units) { return; }
  let e = params.units + SALT_WORDS * (table[unit] - 1u);
  let at = unit - table[e + FIRST];
  let r = table[e + TOP];
  let q = table[e + REST];
  var factor = 1.0;
  if (params.by_length == 1u) {
    let length = lengths[2u * table[e + LAYER] + select(0u, 1u, at >= r)];
    factor = select(params.weight / length, 0.0, length == 0.0);
  }
  let middle = table[e + AT_MIDDLE];
  if (at < r) {
    let value = factor * d[middle + at];
    put(table[e + AT_ALPHA] + at, value * frozen[table[e + AT_S_TOP] + at]);
    put(table[e + AT_BETA] + at, value);
    return;
  }
  let block = middle + r;
  let width = params.width;
  var sum = 0.0;
  if (at < r + q * width) {
    let i = (at - r) / width;
    let w = (at - r) % width;
    for (var j = 0u; j < q; j++) { sum += d[block + i * q + j] * p[table[e + AT_Y] + w * q + j]; }
    put(table[e + AT_X] + at - r, factor * sum);
  } else {
    let w = (at - r - q * width) / q;
    let j = (at - r - q * width) % q;
    for (var i = 0u; i < q; i++) { sum += p[table[e + AT_X] + i * width + w] * d[block + i * q + j]; }
    put(table[e + AT_Y] + at - r - q * width, factor * sum);
  }
}
