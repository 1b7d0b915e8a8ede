// The scalars of one training step, the same for every kernel of the step (StepScalars of src/engine/tensor/step.ts).
// step counts from 1; bias1 = 1 - beta1^t and bias2 = 1 - beta2^t of Adam, computed in double precision on the host.
struct StepScalars { step: u32, seed: u32, lr: f32, bias1: f32, bias2: f32 }
@group(2) @binding(0) var<uniform> scalars: StepScalars;
