// rsLoRA's own promises: the scale is α / √r, in the layer and in the written file, and it keeps the update's size as the rank grows.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { Graph } from '../engine/tensor/graph';
import { readF32 } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { testDevice } from '../engine/testing/device';
import { readPeft } from '../formats/peft';
import { bytesSource } from '../formats/safetensors';
import type { Method } from '../training/contract';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { lora } from './lora';
import { rslora } from './rslora';
import { normals } from './testing/random';
import { type RunSetup, createRun, numbersOf, startOf } from './testing/runs';
import { loadTiny } from './testing/tiny';

const Q0 = 'model.layers.0.self_attn.q_proj';

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

/** s of ΔW = s · B A at Q0 as the layer has it, and as its file says it. */
async function scales(method: Method, rank: number, alpha: number) {
  const at: RunSetup = { device, loaded, method, targets: 'q_proj', fields: { rank, alpha } };
  const resume = await startOf(at, (name, was) => (name.endsWith('lora_B') ? normals(was.length, name, 0.3) : was));
  const { run } = await createRun({ ...at, resume });
  const graph = new Graph();
  const weight = graph.record(() => run.attachment.adapters.get(Q0)!.weight());
  const step = await compile(device, graph, { keep: [weight] });
  step.run();
  const [got, base, numbers] = [await step.read(weight), await readF32(device, loaded.network.sites.get(Q0)!.weight), await numbersOf(resume)];
  const [A, B] = [numbers.get(`param.${Q0}.lora_A`)!, numbers.get(`param.${Q0}.lora_B`)!];
  const product = base.map((_, at) => A.subarray(0, rank * 32).reduce((sum, _, i) => (i % 32 === at % 32 ? sum + B[Math.floor(at / 32) * rank + Math.floor(i / 32)]! * A[i]! : sum), 0));
  const [along, size] = product.reduce(([a, s], p, i) => [a! + p * (got[i]! - base[i]!), s! + p * p], [0, 0]) as [number, number];
  const { folder } = await run.exportPeft('tiny');
  const { modules } = await readPeft(new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])));
  step.dispose();
  run.dispose();
  return { layer: along / size, file: modules.find(({ name }) => name === Q0)!.scale };
}

test.each([{ rank: 4, alpha: 8, scale: 4 }, { rank: 16, alpha: 8, scale: 2 }, { rank: 8, alpha: 16, scale: 16 / Math.sqrt(8) }])('alpha $alpha at rank $rank scales by $scale', async ({ rank, alpha, scale }) => {
  const { layer, file } = await scales(rslora as unknown as Method, rank, alpha);
  // Regression over a thousand f32 entries of size 1, whose differences are off by an ε each.
  expect(layer / scale).toBeCloseTo(1, 5);
  expect(file).toBeCloseTo(scale, 12);
});

test('LoRA’s α / r would be seen', async () => {
  const { layer } = await scales(lora as unknown as Method, 16, 8);
  expect(layer).toBeCloseTo(0.5, 5);
});
