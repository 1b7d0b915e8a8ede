// What the Jacobi kernels share: the plane rotation that makes two vectors orthogonal, and who meets whom in a round.

// (sin, tan of half the angle, tan) of the rotation after which two vectors with xx = x.x, yy = y.y, xy = x.y are orthogonal; the smaller
// of the two angles. Then x'.x' = xx - tan xy and y'.y' = yy + tan xy.
fn rotation(xx: f32, yy: f32, xy: f32) -> vec3<f32> {
  let zeta = (yy - xx) / (2.0 * xy);
  let size = abs(zeta);
  // Beyond 1e9 the root is |zeta| in f32, and its square might overflow.
  let bounded = min(size, 1.0e9);
  var t = 1.0 / (size + max(size, sqrt(1.0 + bounded * bounded)));
  if (zeta < 0.0) { t = -t; }
  let c = 1.0 / sqrt(1.0 + t * t);
  return vec3<f32>(c * t, c * t / (1.0 + c), t);
}

// x' = cos x - sin y and y' = sin x + cos y as what is added to x and y (Rutishauser 1966): a rounded cosine would stretch all vectors a
// little each time, and thousands of rotations add that up.
fn rotated(r: vec3<f32>, x: f32, y: f32) -> vec2<f32> {
  return vec2<f32>(x - r.x * (y + r.y * x), y + r.x * (x - r.y * y));
}

// Round-robin: in `round` of the m - 1 rounds of m even players, pair `k` of m / 2. Everybody meets everybody once.
// A player m - 1 beyond an odd number of rows is nobody.
fn players(k: u32, round: u32, m: u32) -> vec2<u32> {
  let ring = m - 1u;
  let a = select((round + k) % ring, ring, k == 0u);
  let b = (round + ring - k) % ring;
  return vec2<u32>(min(a, b), max(a, b));
}
