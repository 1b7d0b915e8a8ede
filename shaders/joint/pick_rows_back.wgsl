// The gradients of pools through joint/pick_rows: for every row the sum, in the order of the layers, of the rows of dy it went to.
// table by blocks of g, 5 words an entry: where the pool begins, its size, width, first of its uses, how many; uses: for each layer that
// draws from a pool where its slots [rows of the pool] begin in frozen, where its y begins in dy, and vectors and length as there. A slot
// says where in the layer's list a row stands, 0x7fffffff nowhere. One invocation an element of g.
#include "common/index.wgsl"
struct Params { n: u32 }
@group(0) @binding(0) var<storage, read> table: array<u32>;
@group(0) @binding(1) var<storage, read> uses: array<u32>;
@group(0) @binding(2) var<storage, read> frozen: array<u32>;
@group(0) @binding(3) var<storage, read> dy: array<f32>;
@group(0) @binding(4) var<storage, read_write> g: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  let i = group_index(group, groups) * 256u + local;
  if (i >= params.n || table[i / 64u] == 0u) { return; }
  let e = params.n / 64u + 5u * (table[i / 64u] - 1u);
  let at = i - table[e];
  if (at >= table[e + 1u]) { return; }
  let width = table[e + 2u];
  let row = at / width;
  var sum = 0.0;
  for (var u = table[e + 3u]; u < table[e + 3u] + table[e + 4u]; u++) {
    let slot = frozen[uses[4u * u] + row];
    if (slot == 0x7fffffffu) { continue; }
    let vectors = uses[4u * u + 2u];
    let length = uses[4u * u + 3u];
    var flat = slot * width + at % width;
    if (vectors > 0u) { flat = flat % length * vectors + flat / length; }
    sum += dy[uses[4u * u + 1u] + flat];
  }
  g[i] = sum;
}
