// Taking an adapter out where the checkpoint stores its weights turned round, and in half precision.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { testDevice } from '../engine/testing/device';
import { readPeft } from '../formats/peft';
import { bytesSource, openSafetensors } from '../formats/safetensors';
import { logitsOf, share } from '../methods/testing/logits';
import { normals } from '../methods/testing/random';
import { type RunSetup, createRun, numbersOf, randomBatch, startOf } from '../methods/testing/runs';
import { GPT2, folderOf, loadFolder, loadTiny, tinyTensors } from '../methods/testing/tiny';
import { f16ToF32, f32ToF16 } from '../util/float16';
import { attachFiles, detach } from './attach';
import { largestDifference, mergedWeights } from './export';
import { type LoadedModel, freeWeights } from './loaded';
import type { Run } from './run';

let device: Device;
let loaded: LoadedModel;
let run: Run;
let start: Uint8Array;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device, GPT2);
  const at: RunSetup = { device, loaded, slug: 'lora', fields: { rank: 3, alpha: 6 } };
  start = await startOf(at, (name, was) => normals(was.length, name, 0.3));
  ({ run } = await createRun({ ...at, resume: start }));
});
afterAll(() => {
  run.dispose();
  freeWeights(device, loaded);
});

/** W + 2 B A as the checkpoint of GPT-2 stores it, [in, out], in double precision. */
async function mergedByHand(site: string): Promise<Float64Array> {
  const numbers = await numbersOf(start);
  const { shape, data } = tinyTensors(GPT2).find(({ name }) => name === `${site}.weight`)! as unknown as { shape: number[]; data: Float32Array };
  const [inn, out] = shape as [number, number];
  const [A, B] = [numbers.get(`param.${site}.lora_A`)!, numbers.get(`param.${site}.lora_B`)!];
  return Float64Array.from(data, (w, at) => {
    const [i, o] = [Math.floor(at / out), at % out];
    let product = 0;
    for (let r = 0; r < 3; r++) product += B[o * 3 + r]! * A[r * inn + i]!;
    return w + 2 * product;
  });
}

test('merging turns ΔW the way the checkpoint stores the weight, and keeps all else bit for bit', async () => {
  const file = await openSafetensors(bytesSource('model.safetensors', await mergedWeights(device, loaded, run.attachment.adapters, 'F32')));
  const originals = tinyTensors(GPT2);
  expect(file.entries.map(({ name }) => name).sort()).toEqual(originals.map(({ name }) => name).sort());
  for (const { name, shape, data } of originals) {
    const got = await file.f32(name);
    expect(file.byName.get(name)!.shape, name).toEqual(shape);
    const site = name.replace(/\.weight$/, '');
    if (!run.attachment.adapters.has(site)) expect(got, name).toEqual(data);
    else {
      // Four terms of f32.
      expect(share(got, await mergedByHand(site)), name).toBeLessThan(1e-6);
      expect(share(got, data as Float32Array), name).toBeGreaterThan(0.1);
    }
  }
});

test.each(['F32', 'F16'] as const)('the merged model as %s, read back, writes what the adapted one does', async (dtype) => {
  const weights = await mergedWeights(device, loaded, run.attachment.adapters, dtype);
  const merged = await loadFolder(device, folderOf(GPT2, weights));
  const batch = randomBatch('merged');
  const [want, base] = [await logitsOf(device, loaded, run.attachment.adapters, batch), await logitsOf(device, loaded, noAdapters, batch)];
  expect(share(want, base)).toBeGreaterThan(0.1);
  // Half precision rounds each weight by up to 2⁻¹¹ of itself; over 32 terms and two blocks that stays below a few of them.
  expect(share(await logitsOf(device, merged, noAdapters, batch), want)).toBeLessThan(dtype === 'F32' ? 1e-5 : 5e-3);
  if (dtype === 'F16') {
    const [single, half] = [await openSafetensors(bytesSource('a', await mergedWeights(device, loaded, run.attachment.adapters, 'F32'))), await openSafetensors(bytesSource('b', weights))];
    for (const { name } of half.entries) expect(await half.f32(name), name).toEqual(f16ToF32(f32ToF16(await single.f32(name))));
  }
  freeWeights(device, merged);
});

test('the PEFT files say that weights are stored [in, out], and give the same logits', async () => {
  const { folder, receipt } = await run.exportPeft('tiny-gpt2');
  const config = JSON.parse(new TextDecoder().decode(folder.files.find(({ name }) => name === 'adapter_config.json')!.bytes)) as Record<string, unknown>;
  expect(config).toMatchObject({ fan_in_fan_out: true, r: 3, lora_alpha: 6 });
  const files = new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)]));
  const weights = await openSafetensors(files.get('adapter_model.safetensors')!);
  // A stays [r, in] and B [out, r], as PEFT has it for Conv1D too.
  expect(weights.byName.get('base_model.model.transformer.h.0.attn.c_attn.lora_A.weight')!.shape).toEqual([3, 32]);
  expect(weights.byName.get('base_model.model.transformer.h.0.attn.c_attn.lora_B.weight')!.shape).toEqual([96, 3]);
  const fresh = attachFiles(device, loaded.network, [await readPeft(files)]);
  const batch = randomBatch('files');
  const want = await logitsOf(device, loaded, run.attachment.adapters, batch);
  expect(share(await logitsOf(device, loaded, fresh.adapters, batch), want)).toBeLessThan(1e-5);
  expect(receipt.maxLogitDifference).toBeLessThan(1e-5 * Math.max(...want.map(Math.abs)));
  expect(receipt.effect).toBeGreaterThan(0.1);
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', folder.files.find(({ name }) => name === 'adapter_model.safetensors')!.bytes));
  expect(receipt.sha256).toBe(Buffer.from(digest).toString('hex'));
  detach(device, fresh);
});

test('a receipt cannot hide a number that is none', () => {
  expect(largestDifference(Float32Array.of(1, 2, 3), Float32Array.of(1, 4, 2.5))).toBe(2);
  expect(largestDifference(Float32Array.of(Number.NaN, 2), Float32Array.of(1, 2))).toBeNaN();
  expect(largestDifference(Float32Array.of(1, Number.NaN), Float32Array.of(0, 2))).toBeNaN();
  expect(largestDifference(Float32Array.of(Number.POSITIVE_INFINITY), Float32Array.of(0))).toBe(Number.POSITIVE_INFINITY);
});
