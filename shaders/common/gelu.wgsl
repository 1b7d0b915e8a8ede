// tanh(√(2/π) (x + 0.044715 x³)). The argument is clamped: tanh overflows to NaN on some drivers, and is ±1 in f32 beyond 10.
fn gelu_tanh(x: f32) -> f32 { return tanh(clamp(0.7978845608 * (x + 0.044715 * x * x * x), -10.0, 10.0)); }
