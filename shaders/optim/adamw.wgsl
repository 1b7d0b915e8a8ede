// AdamW (Loshchilov and Hutter 2019) over all trainable tensors at once, elementwise on flat arenas [n]:
// p ← p (1 - lr' wd),  m ← β1 m + (1 - β1) g',  v ← β2 v + (1 - β2) g'²,  p ← p - lr' (m / bias1) / (√v / √bias2 + eps),
// g' = clip factor · g, lr' = lr · lr scale of the group. A tensor marked as a plain step: p ← p (1 - lr' wd) - lr' g.
// slots [n / 64, 4]: (group + 65536 · flags, first element of the tensor, length of its rows, first entry of its mask + 1 or 0);
// flags: 1 mask along rows, 2 along columns, 3 by element, + 4 plain step.
// settings [groups, 7]: lr scale, wd, β1, β2, ln β1, ln β2, 1 where the β are the group's own.
// masks [2, entries]: 1 = may move; steps taken so far, this one included. Where control says no go, nothing moves.
// One invocation an element.
#include "common/index.wgsl"
#include "common/step.wgsl"
#include "common/slot.wgsl"
#include "common/power.wgsl"
struct Params { n: u32, eps: f32, entries: u32 }
@group(0) @binding(0) var<storage, read> g: array<f32>;
@group(0) @binding(1) var<storage, read> control: array<f32>;
@group(0) @binding(2) var<storage, read> slots: array<u32>;
@group(0) @binding(3) var<storage, read> settings: array<f32>;
@group(0) @binding(4) var<storage, read> masks: array<u32>;
@group(0) @binding(5) var<storage, read_write> p: array<f32>;
@group(0) @binding(6) var<storage, read_write> m: array<f32>;
@group(0) @binding(7) var<storage, read_write> v: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || control[2] == 0.0) { return; }
  let slot = 4u * (i / 64u);
  let own = 7u * (slots[slot] & 0xffffu);
  var bias1 = scalars.bias1;
  var bias2 = scalars.bias2;
  var t = f32(scalars.step);
  if (slots[slot + 3u] > 0u) {
    let entry = mask_entry(i, slots[slot], slots[slot + 1u], slots[slot + 2u], slots[slot + 3u]);
    if (masks[entry] == 0u) { return; }
    t = f32(masks[params.entries + entry]);
  }
  if (slots[slot + 3u] > 0u || settings[own + 6u] == 1.0) {
    bias1 = one_minus_power(t, settings[own + 4u]);
    bias2 = one_minus_power(t, settings[own + 5u]);
  }
  let lr = scalars.lr * settings[own];
  let decayed = p[i] * (1.0 - lr * settings[own + 1u]);
  if (is_plain_step(slots[slot])) {
    p[i] = decayed - lr * g[i];
    return;
  }
  let gradient = control[1] * g[i];
  let first = settings[own + 2u] * m[i] + (1.0 - settings[own + 2u]) * gradient;
  let second = settings[own + 3u] * v[i] + (1.0 - settings[own + 3u]) * gradient * gradient;
  m[i] = first;
  v[i] = second;
  p[i] = decayed - lr * (first / bias1) / (sqrt(second) / sqrt(bias2) + params.eps);
}
