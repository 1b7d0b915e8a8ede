// y[m,n] = alpha * (sum_k a[m,k] b[k,n] + alpha2 * sum_k2 a2[m,k2] b2[k2,n]) (+ bias[n]) (+ c[m,n]), row-major; ta / tb read
// a, a2 as [k,m] and b, b2 as [n,k]. The second product is the low-rank branch of an adapter, added while y is still in registers.
// One workgroup of 16 × 16 makes a BM × BN block of y, stepping through k by BK: both tiles stand k-major in workgroup
// memory, each invocation keeps a TM × TN block in registers (BM = 16 TM, BN = 16 TN). Grid: ceil(n / BN), ceil(m / BM)
// folded into y and z.
const TM: u32 = 4u; // tunable
const TN: u32 = 4u; // tunable
const BK: u32 = 16u; // tunable
const BM: u32 = 16u * TM;
const BN: u32 = 16u * TN;
struct Params { m: u32, n: u32, k: u32, k2: u32, ta: u32, tb: u32, add_c: u32, add_bias: u32, alpha: f32, alpha2: f32 }
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read> a2: array<f32>;
@group(0) @binding(3) var<storage, read> b2: array<f32>;
@group(0) @binding(4) var<storage, read> c: array<f32>;
@group(0) @binding(5) var<storage, read> bias: array<f32>;
@group(0) @binding(6) var<storage, read_write> y: array<f32>;
@group(1) @binding(0) var<uniform> params: Params;
var<workgroup> tile_a: array<f32, BK * (BM + 1u)>;
var<workgroup> tile_b: array<f32, BK * (BN + 1u)>;

@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>, @builtin(local_invocation_id) local: vec3<u32>, @builtin(local_invocation_index) index: u32) {
  let row0 = (group.z * groups.y + group.y) * BM;
  let col0 = group.x * BN;
  var sum: array<f32, TM * TN>;
  // Terms from `second_at` on are those of the second product.
  let second_at = (params.k + BK - 1u) / BK * BK;
  for (var k0 = 0u; k0 < second_at + params.k2; k0 += BK) {
    let second = k0 >= second_at;
    let k = select(params.k, params.k2, second);
    let start = select(k0, k0 - second_at, second);
    // Neighbouring invocations read neighbouring addresses: along k for a row-major operand, along rows for a transposed one.
    for (var i = index; i < BM * BK; i += 256u) {
      let along_k = params.ta == 0u;
      let r = select(i % BM, i / BK, along_k);
      let kk = select(i / BM, i % BK, along_k);
      let row = row0 + r; let at = start + kk;
      var v = 0.0;
      if (row < params.m && at < k) {
        let i_a = select(at * params.m + row, row * k + at, along_k);
        if (second) { v = params.alpha2 * a2[i_a]; } else { v = a[i_a]; }
      }
      tile_a[kk * (BM + 1u) + r] = v;
    }
    for (var i = index; i < BN * BK; i += 256u) {
      let along_k = params.tb == 1u;
      let x = select(i % BN, i / BK, along_k);
      let kk = select(i / BN, i % BK, along_k);
      let col = col0 + x; let at = start + kk;
      var v = 0.0;
      if (col < params.n && at < k) {
        let i_b = select(at * params.n + col, col * k + at, along_k);
        if (second) { v = b2[i_b]; } else { v = b[i_b]; }
      }
      tile_b[kk * (BN + 1u) + x] = v;
    }
    workgroupBarrier();
    for (var kk = 0u; kk < BK; kk++) {
      var av: array<f32, TM>;
      var bv: array<f32, TN>;
      for (var r = 0u; r < TM; r++) { av[r] = tile_a[kk * (BM + 1u) + local.y + 16u * r]; }
      for (var x = 0u; x < TN; x++) { bv[x] = tile_b[kk * (BN + 1u) + local.x + 16u * x]; }
      for (var r = 0u; r < TM; r++) {
        for (var x = 0u; x < TN; x++) { sum[r * TN + x] += av[r] * bv[x]; }
      }
    }
    workgroupBarrier();
  }
  for (var r = 0u; r < TM; r++) {
    for (var x = 0u; x < TN; x++) {
      let row = row0 + local.y + 16u * r;
      let col = col0 + local.x + 16u * x;
      if (row < params.m && col < params.n) {
        let at = row * params.n + col;
        var v = params.alpha * sum[r * TN + x];
        if (params.add_bias == 1u) { v += bias[col]; }
        if (params.add_c == 1u) { v += c[at]; }
        y[at] = v;
      }
    }
  }
}
