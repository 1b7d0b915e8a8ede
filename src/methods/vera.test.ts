// VeRA's own promises: one frozen pair for all layers, of which smaller ones take the first columns and rows; it depends on the seed
// alone; its spread is PEFT's; the file holds it once.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import type { Param } from '../engine/nn/site';
import { matmul, scaleColumns } from '../engine/ops';
import { Graph } from '../engine/tensor/graph';
import { readF32 } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { firstRows } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { type SafetensorsFile, bytesSource, openSafetensors } from '../formats/safetensors';
import type { Method } from '../training/contract';
import { attachFolder } from '../training/import';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { goldenRun } from './testing/golden';
import { length, share } from './testing/logits';
import { normals } from './testing/random';
import { type RunSetup, createRun, numbersOf, startOf, trained } from './testing/runs';
import { loadTiny } from './testing/tiny';
import { vera } from './vera';

const method = vera as unknown as Method;
const RANK = 16;
const [WIDE, TALL] = [48, 48];

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

const setup = (more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, method, ...more, fields: { rank: RANK, ...more.fields } });

/** W + diag(λ_b) B[:out] diag(λ_d) A[:, :in] in double precision against the layer's own weight: the largest difference as a share. */
async function off(at: RunSetup, name: string): Promise<number> {
  const resume = await startOf(at, (what, was) => (what.includes('lambda') ? normals(was.length, what) : was));
  const { run } = await createRun({ ...at, resume });
  const numbers = await numbersOf(resume);
  const { shape: [out, inn], weight } = loaded.network.sites.get(name)!;
  // The only two that all layers have, with the rank along columns.
  const [A, B, d, b] = [numbers.get('param.vera_A')!, numbers.get('param.vera_B')!, numbers.get(`param.${name}.vera_lambda_d`)!, numbers.get(`param.${name}.vera_lambda_b`)!];
  const graph = new Graph();
  const effective = graph.record(() => run.attachment.adapters.get(name)!.weight());
  const step = await compile(device, graph, { keep: [effective] });
  step.run();
  const [got, base] = [await step.read(effective), await readF32(device, weight)];
  step.dispose();
  run.dispose();
  const want = Float64Array.from({ length: out * inn }, (_, at_) => {
    const [o, i] = [Math.floor(at_ / inn), at_ % inn];
    let delta = 0;
    for (let j = 0; j < RANK; j++) delta += b[o]! * B[o * RANK + j]! * d[j]! * A[i * RANK + j]!;
    return base[at_]! + delta;
  });
  return share(got, want);
}

test('all layers have one pair: smaller ones take the first columns of A and the first rows of B', async () => {
  const names = ['self_attn.q_proj', 'self_attn.k_proj', 'mlp.gate_proj', 'mlp.down_proj'].map((part) => `model.layers.1.${part}`);
  // Sums of sixteen products in f32.
  for (const name of names) expect(await off(setup(), name), name).toBeLessThan(1e-5);
  // λ_d and λ_b in each other's place would be no VeRA, nor would a λ_b that is left out.
  const faulty: Method = {
    ...method,
    attach(site, config, context) {
      const adapter = method.attach(site, config, context)!;
      const { A, B, d } = adapter.params as { A: Param; B: Param; d: Param };
      return { ...adapter, weight: () => matmul(scaleColumns(firstRows(B.tensor, site.shape[0]), d.tensor), firstRows(A.tensor, site.shape[1]), { tb: true, c: site.weight }) };
    },
  };
  expect(await off(setup({ method: faulty }), names[0]!)).toBeGreaterThan(0.1);
});

test('the pair is uniform within ±√(6 / fan in), λ_d starts at d, λ_b at zero; another seed draws another pair', async () => {
  const at = (seed: number) => trained(setup({ training: { steps: 1, lr: 0, seed }, fields: { dInitial: 0.25 } }), ({ checkpoint }) => numbersOf(checkpoint));
  const [one, again, other] = [await at(1), await at(1), await at(2)];
  for (const [name, fan] of [['param.vera_A', WIDE], ['param.vera_B', RANK]] as const) {
    const x = one.get(name)!;
    const bound = Math.sqrt(6 / fan);
    expect(Math.max(...x.map(Math.abs))).toBeLessThanOrEqual(Math.fround(bound));
    // 768 draws: the variance of a uniform one is bound² / 3, known to within 3 · √(0.8 / 768) of itself.
    expect(Math.abs((3 * x.reduce((sum, v) => sum + v * v, 0)) / x.length / bound ** 2 - 1)).toBeLessThan(0.1);
    expect(again.get(name)).toEqual(x);
    expect(other.get(name)).not.toEqual(x);
  }
  for (const [name, values] of one) {
    if (name.startsWith('param.') && name.endsWith('lambda_d')) expect(new Set(values)).toEqual(new Set([0.25]));
    if (name.startsWith('param.') && name.endsWith('lambda_b')) expect(new Set(values)).toEqual(new Set([0]));
  }
});

test('the file is PEFT’s VERA: the pair once, beside the model, vectors by layer; without the pair it is refused', async () => {
  const at = setup();
  const resume = await startOf(at, (name, was) => (name.includes('lambda') ? normals(was.length, name) : was));
  const { run } = await createRun({ ...at, resume });
  const { folder } = await run.exportPeft('tiny');
  const bytes = (name: string) => folder.files.find((file) => file.name === name)!.bytes;
  const config = JSON.parse(new TextDecoder().decode(bytes('adapter_config.json'))) as Record<string, unknown>;
  expect(config).toMatchObject({ peft_type: 'VERA', r: RANK, save_projection: true, bias: 'none', fan_in_fan_out: false });
  const file = await openSafetensors(bytesSource('adapter_model.safetensors', bytes('adapter_model.safetensors')));
  expect(file.byName.get('base_model.vera_A')?.shape).toEqual([RANK, WIDE]);
  expect(file.byName.get('base_model.vera_B')?.shape).toEqual([TALL, RANK]);
  expect(file.byName.get('base_model.model.model.layers.1.self_attn.v_proj.vera_lambda_b')?.shape).toEqual([16]);
  expect(file.byName.get('base_model.model.model.layers.1.self_attn.v_proj.vera_lambda_d')?.shape).toEqual([RANK]);
  expect(file.entries).toHaveLength(2 + 2 * run.attachment.sites.length);
  run.dispose();
  const changed = new TextEncoder().encode(JSON.stringify({ ...config, save_projection: false }));
  const files = new Map([['adapter_config.json', bytesSource('adapter_config.json', changed)], ['adapter_model.safetensors', bytesSource('adapter_model.safetensors', bytes('adapter_model.safetensors'))]]);
  await expect(attachFolder(device, loaded, files, [method])).rejects.toThrow('save_projection');
});

test('the rank may be above the width of a layer', async () => {
  await trained(setup({ fields: { rank: 80 }, training: { steps: 1 } }), ({ reason }) => expect(reason).toBe('finished'));
});

test('PEFT’s own run: gradients, ten losses, and where they lead', async () => {
  const turned = (x: Float32Array, rows: number) => x.map((_, at) => x[(at % rows) * (x.length / rows) + Math.floor(at / rows)]!);
  const start = async (file: SafetensorsFile, name: string) => (name === 'vera_A' ? turned(await file.f32('init.base_model.vera_A'), 8) : file.f32(name === 'vera_B' ? 'init.base_model.vera_B' : `init.${name}`));
  await goldenRun(device, 'vera', method, { rank: 8 }, start, async ({ file, steps, series, run }) => {
    const want = await file.f32('losses');
    series.loss!.forEach((loss, i) => expect(Math.abs(loss - want[i]!), `step ${i + 1}`).toBeLessThan(1e-3));
    const trainedOnes = run.attachment.params.filter((p) => p.trainable);
    expect(trainedOnes).toHaveLength(16);
    for (const { name } of trainedOnes) {
      // Adam's first moment is a tenth of the gradient after one step.
      expect(share(steps[0]!.get(`adam.m.${name}`)!.map((m) => 10 * m), await file.f32(`grad.${name}`)), name).toBeLessThan(1e-4);
      const [got, end, from] = [steps[9]!.get(`param.${name}`)!, await file.f32(`final.${name}`), await file.f32(`init.${name}`)];
      expect(length(got.map((x, i) => x - end[i]!)) / length(end.map((x, i) => x - from[i]!)), name).toBeLessThan(1e-2);
    }
  });
});
