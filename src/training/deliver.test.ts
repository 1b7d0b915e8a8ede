// Every format of an export: what is read back does what was trained, a receipt tells when it does not, and nothing stays allocated.
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { testDevice } from '../engine/testing/device';
import * as gguf from '../formats/gguf-adapter';
import type { LoraModule } from '../formats/peft';
import { normals } from '../methods/testing/random';
import { SHAPE, randomBatch } from '../methods/testing/runs';
import { GPT2, LLAMA, loadTiny } from '../methods/testing/tiny';
import { type Attachment, attachFiles, detach } from './attach';
import { deliver, formatsOf } from './deliver';
import type { ExportDtype, ExportFormat } from './explore-card';
import { type LoadedModel, freeWeights } from './loaded';

let device: Device;
const models = new Map<string, { loaded: LoadedModel; modules: LoraModule[]; attachment: Attachment }>();
beforeAll(async () => {
  device = await testDevice();
  for (const [name, config] of [['Llama', LLAMA], ['GPT-2', GPT2]] as const) {
    const loaded = await loadTiny(device, config);
    // Unlike ranks and scales, and one module of rank 0.
    const modules = [...loaded.network.sites.values()].filter((site) => site.depth >= 0).map((site, i): LoraModule => {
      const [rank, [out, inn]] = [i % 4, site.shape];
      return { name: site.name, rank, scale: 0.5 + 0.25 * (i % 3), out, inn, A: normals(rank * inn, `${site.name} A`, 0.4), B: normals(out * rank, `${site.name} B`, 0.4), transposed: name === 'GPT-2' };
    });
    models.set(name, { loaded, modules, attachment: attachFiles(device, loaded.network, [{ modules: modules.filter((m) => m.rank > 0), saved: [] }]) });
    // Tables that a model reads are uploaded once and stay.
    await delivered(name, 'peft');
  }
});
afterAll(() => {
  for (const { loaded, attachment } of models.values()) {
    detach(device, attachment);
    freeWeights(device, loaded);
  }
});

const delivered = (name: string, format: ExportFormat, dtype: ExportDtype = 'F32') => {
  const { loaded, modules, attachment } = models.get(name)!;
  return deliver({ device, loaded, format, dtype, modules, adapters: attachment.adapters, baseModel: 'tiny', batch: randomBatch('receipt'), shape: SHAPE });
};

test.each([['Llama', 'peft'], ['Llama', 'gguf'], ['Llama', 'merged'], ['GPT-2', 'peft'], ['GPT-2', 'gguf'], ['GPT-2', 'merged']] as const)('%s as %s', async (name, format) => {
  const before = device.bytes;
  const { files, receipt } = await delivered(name, format);
  expect(receipt.effect).toBeGreaterThan(0.5);
  // f32 all the way; merged sums ΔW before the product.
  expect(receipt.maxLogitDifference).toBeLessThan(2e-5 * receipt.effect);
  expect(receipt.bytes).toBe(files[0]!.bytes.length);
  expect(receipt.sha256).toBe(Buffer.from(await crypto.subtle.digest('SHA-256', files[0]!.bytes)).toString('hex'));
  const { modules } = models.get(name)!;
  expect(receipt.droppedModules).toEqual(modules.filter((m) => m.rank === 0).map((m) => m.name));
  expect(receipt.modules).toBe(modules.length - receipt.droppedModules.length);
  expect(device.bytes).toBe(before);
});

test('half precision costs rounding, and says so', async () => {
  const [f32, f16, bf16] = [await delivered('Llama', 'merged'), await delivered('Llama', 'merged', 'F16'), await delivered('Llama', 'merged', 'BF16')];
  expect(f16.receipt.maxLogitDifference).toBeGreaterThan(10 * f32.receipt.maxLogitDifference);
  expect(bf16.receipt.maxLogitDifference).toBeGreaterThan(f16.receipt.maxLogitDifference);
  expect(bf16.receipt.maxLogitDifference).toBeLessThan(0.1 * bf16.receipt.effect);
  expect(f16.files[0]!.bytes.length).toBeLessThan(0.6 * f32.files[0]!.bytes.length);
  expect(JSON.parse(new TextDecoder().decode(f16.files.find((file) => file.name === 'config.json')!.bytes))).toMatchObject({ dtype: 'float16', model_type: 'llama' });
});

test('a file that reads back as another adapter shows in the receipt', async () => {
  const read = gguf.readGgufAdapter;
  vi.spyOn(gguf, 'readGgufAdapter').mockImplementation(async (...args) => (await read(...args)).map((module) => ({ ...module, scale: module.scale * 1.01 })));
  const { receipt } = await delivered('Llama', 'gguf');
  expect(receipt.maxLogitDifference).toBeGreaterThan(1e-3 * receipt.effect);
  vi.restoreAllMocks();
});

test('a language model has no kohya names, and the refusal leaves nothing behind', async () => {
  expect(formatsOf(models.get('Llama')!.loaded)).toEqual(['peft', 'merged', 'gguf']);
  const before = device.bytes;
  await expect(delivered('Llama', 'kohya')).rejects.toThrow(/image models only/);
  expect(device.bytes).toBe(before);
});
