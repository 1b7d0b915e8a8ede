// DoRA's own promises: rows of the effective weight have length m whatever A and B are; a held norm has no gradient, a followed one
// its own; files are PEFT's. golden.test.ts holds logits, gradients and ten steps to PEFT.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import type { Adapter, Param } from '../engine/nn/site';
import { inverseRowNorms, matmul, reshape, scale, scaleColumns, scaleRows } from '../engine/ops';
import { Graph } from '../engine/tensor/graph';
import { free, readF32, upload } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { type Tensor, elements, tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { bytesSource, openSafetensors, writeSafetensors } from '../formats/safetensors';
import type { Method } from '../training/contract';
import { attachFolder } from '../training/import';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { dora } from './dora';
import { normals } from './testing/random';
import { type RunSetup, createRun, numbersOf, startOf } from './testing/runs';
import { loadTiny } from './testing/tiny';

const method = dora as unknown as Method;
const V0 = 'model.layers.0.self_attn.v_proj';
const [OUT, IN, RANK] = [16, 32, 4];

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

const setup = (fields: Record<string, number | string> = {}, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, method, targets: 'v_proj', fields: { rank: RANK, alpha: 8, ...fields }, ...more });
const generic = (at: RunSetup) => startOf(at, (name, was) => normals(was.length, name, 0.3).map((x, i) => x + was[i]!));
const sumOfSquares = (y: Tensor) => {
  const flat = reshape(y, [1, elements(y)]);
  return reshape(matmul(flat, flat, { tb: true }), [1]);
};
const rowsOf = (w: Float32Array) => Array.from({ length: OUT }, (_, o) => Math.hypot(...w.subarray(o * IN, (o + 1) * IN)));

async function weightOf(adapter: Adapter) {
  const graph = new Graph();
  const weight = graph.record(() => adapter.weight());
  const step = await compile(device, graph, { keep: [weight] });
  step.run();
  const values = await step.read(weight);
  step.dispose();
  return values;
}

/** Largest | ‖row‖ / |m| − 1 | of the effective weight. */
async function off(at: RunSetup) {
  const resume = await generic(at);
  const { run } = await createRun({ ...at, resume });
  const m = (await numbersOf(resume)).get(`param.${V0}.lora_magnitude_vector`)!;
  const lengths = rowsOf(await weightOf(run.attachment.adapters.get(V0)!));
  run.dispose();
  return Math.max(...lengths.map((l, o) => Math.abs(l / Math.abs(m[o]!) - 1)));
}

test('m starts at the lengths of W’s rows', async () => {
  const { run } = await createRun(setup());
  const m = (await numbersOf(await run.checkpoint())).get(`param.${V0}.lora_magnitude_vector`)!;
  const want = rowsOf(await readF32(device, loaded.network.sites.get(V0)!.weight));
  want.forEach((l, o) => expect(m[o]! / l).toBeCloseTo(1, 6));
  run.dispose();
});

test('rows of the effective weight have length |m|; a norm of the wrong weight would be seen', async () => {
  // Sums of 32 squares in f32.
  expect(await off(setup())).toBeLessThan(1e-5);
  expect(await off(setup({ scaling: 'alpha/sqrt(r)' }))).toBeLessThan(1e-5);
  // A norm taken of W alone, as if it were computed once at the start.
  const frozen: Method = {
    ...method,
    attach(site, config, context) {
      const adapter = method.attach(site, config, context)!;
      const { A, B, m } = adapter.params as { A: Param; B: Param; m: Param };
      return { ...adapter, weight: () => scaleRows(matmul(B.tensor, A.tensor, { alpha: 2, c: site.weight }), scaleColumns(m.tensor, inverseRowNorms(site.weight, scale(B.tensor, 0), A.tensor, 1, true))) };
    },
  };
  expect(await off(setup({}, { method: frozen }))).toBeGreaterThan(0.05);
});

test('a held norm keeps the gradient of A and B from seeing it; a followed one does not', async () => {
  const gradientsOf = async (norm: string) => {
    const at = setup({ norm });
    const { run } = await createRun({ ...at, resume: await generic(at) });
    const { apply, params } = run.attachment.adapters.get(V0)!;
    const x = upload(device, tensor('x', [1, 3, IN], 'input'), normals(3 * IN, 'x'));
    const graph = new Graph();
    const grads = graph.record(() => {
      const y = apply!(x, { training: false });
      return graph.grad(sumOfSquares(y), [params.A!.tensor, params.B!.tensor]);
    });
    const step = await compile(device, graph, { keep: grads });
    step.run();
    const [dA, dB] = [await step.read(grads[0]!), await step.read(grads[1]!)];
    step.dispose();
    free(device, x);
    run.dispose();
    return { dA, dB };
  };
  const [held, followed] = [await gradientsOf('held'), await gradientsOf('followed')];
  const apart = (a: Float32Array, b: Float32Array) => Math.max(...a.map((v, i) => Math.abs(v - b[i]!))) / Math.max(...b.map(Math.abs));
  expect(apart(held.dA, followed.dA)).toBeGreaterThan(0.01);
  expect(apart(held.dB, followed.dB)).toBeGreaterThan(0.01);
});

test('the written folder is PEFT’s: type, flags, names and shapes; and it is read back or refused by name', async () => {
  const at = setup();
  const { run } = await createRun({ ...at, resume: await generic(at) });
  const { folder } = await run.exportPeft('tiny');
  const bytes = (name: string) => folder.files.find((file) => file.name === name)!.bytes;
  const config = JSON.parse(new TextDecoder().decode(bytes('adapter_config.json'))) as Record<string, unknown>;
  expect(config).toMatchObject({ peft_type: 'LORA', use_dora: true, use_rslora: false, r: RANK, lora_alpha: 8, lora_bias: false, rank_pattern: {}, fan_in_fan_out: false, init_lora_weights: true, target_modules: ['v_proj'] });
  const file = await openSafetensors(bytesSource('adapter_model.safetensors', bytes('adapter_model.safetensors')));
  expect(file.byName.get(`base_model.model.${V0}.lora_magnitude_vector`)?.shape).toEqual([OUT]);
  expect(file.entries).toHaveLength(6);
  run.dispose();

  const open = (changed: Record<string, unknown>, drop?: string) => attachFolder(device, loaded, new Map([
    ['adapter_config.json', bytesSource('adapter_config.json', new TextEncoder().encode(JSON.stringify({ ...config, ...changed })))],
    ['adapter_model.safetensors', bytesSource('adapter_model.safetensors', drop ? without(drop) : bytes('adapter_model.safetensors'))],
  ]), [method]);
  const kept = await Promise.all(file.entries.map(async ({ name, shape }) => ({ name, dtype: 'F32' as const, shape: [...shape], data: await file.f32(name) })));
  const without = (part: string) => writeSafetensors(kept.filter(({ name }) => !name.endsWith(part)), { format: 'pt' });
  await expect(open({ rank_pattern: { v_proj: 2 } })).rejects.toThrow('rank_pattern');
  await expect(open({ r: 'four' })).rejects.toThrow('r: wanted a number, got "four"');
  await expect(open({}, 'lora_magnitude_vector')).rejects.toThrow('lora_magnitude_vector');
});
