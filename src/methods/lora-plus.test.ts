// LoRA+'s own promises: B's rate and decay are λ times A's, from the first step on, and λ = 1 is LoRA bit for bit.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { testDevice } from '../engine/testing/device';
import type { Method } from '../training/contract';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { loraPlus } from './lora-plus';
import { normals } from './testing/random';
import { type RunSetup, numbersOf, parametersOf, startOf, trained, unlabelled } from './testing/runs';
import { loadTiny } from './testing/tiny';

const Q0 = 'model.layers.0.self_attn.q_proj';
const LR = 1e-3;
const method = loraPlus as unknown as Method;

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

const setup = (more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, method, targets: 'q_proj', fields: { rank: 4, alpha: 8 }, ...more });
/** No factor is zero, so that both have gradients. */
const standing = (at: RunSetup) => startOf(at, (name, was) => (name.endsWith('lora_B') ? normals(was.length, name, 0.3) : was));

/** How far A and B move in the first step, whose Adam direction is ±1 wherever the gradient is well above eps: the median. */
async function moves(at: RunSetup) {
  const resume = await standing(at);
  const before = await numbersOf(resume);
  return trained({ ...at, resume, training: { steps: 1, lr: LR, ...at.training } }, async ({ checkpoint }) => {
    const after = await numbersOf(checkpoint);
    const median = (part: string) => {
      const name = `param.${Q0}.${part}`;
      const all = [...after.get(name)!].map((x, i) => Math.abs(x - before.get(name)![i]!)).sort((a, b) => a - b);
      return all[all.length >> 1]!;
    };
    return { A: median('lora_A'), B: median('lora_B') };
  });
}

test.each([{ ratio: 16 }, { ratio: 1 }, { ratio: 2.5 }])('the first step moves A by the rate and B by $ratio times it', async ({ ratio }) => {
  const { A, B } = await moves(setup({ fields: { rank: 4, alpha: 8, ratio } }));
  // f32 numbers about 0.3 in size: a step of 1e-3 is exact to some 3e-8.
  expect(A / LR).toBeCloseTo(1, 3);
  expect(B / LR / ratio).toBeCloseTo(1, 3);
});

test('that would be seen: B in A’s group, or the ratio on A', async () => {
  const forgotten = await moves(setup({ method: { ...method, groups: () => ({}) } }));
  expect(forgotten.B / LR).toBeCloseTo(1, 3);
  const turned = await moves(setup({ method: { ...method, groups: () => ({ default: { lrScale: 16, weightDecay: 0 }, B: { lrScale: 1, weightDecay: 0 } }) } }));
  expect(turned.A / LR).toBeCloseTo(16, 2);
});

test('decay pulls each factor at its own rate', async () => {
  const at = setup({ data: unlabelled, training: { weightDecay: 0.1 } });
  const resume = await standing(at);
  const before = await numbersOf(resume);
  await trained({ ...at, resume, training: { steps: 1, lr: LR, weightDecay: 0.1 } }, async ({ checkpoint }) => {
    const after = await numbersOf(checkpoint);
    const kept = (part: string) => after.get(`param.${Q0}.${part}`)![3]! / before.get(`param.${Q0}.${part}`)![3]!;
    expect(kept('lora_A')).toBeCloseTo(1 - LR * 0.1, 6);
    expect(kept('lora_B')).toBeCloseTo(1 - 16 * LR * 0.1, 6);
  });
});

test('with ratio 1 it is LoRA, bit for bit', async () => {
  const training = { steps: 5, weightDecay: 0.1, clip: 1 };
  const own = await trained(setup({ fields: { rank: 4, alpha: 8, ratio: 1 }, training }), ({ checkpoint }) => parametersOf(checkpoint));
  const plain = { device, loaded, slug: 'lora', targets: 'q_proj', fields: { rank: 4, alpha: 8 }, training };
  expect(own === await trained(plain, ({ checkpoint }) => parametersOf(checkpoint))).toBe(true);
  expect(own === await trained(setup({ training }), ({ checkpoint }) => parametersOf(checkpoint))).toBe(false);
});
