// Blended adapters against the same sums done another way, and a run that goes on from a file.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { testDevice } from '../engine/testing/device';
import { type LoraModule, type PeftAdapter, readPeft, writePeft } from '../formats/peft';
import { bytesSource } from '../formats/safetensors';
import { methodFor } from '../methods/registry';
import { logitsOf, share } from '../methods/testing/logits';
import { normals } from '../methods/testing/random';
import { plain, randomBatch } from '../methods/testing/runs';
import { loadTiny } from '../methods/testing/tiny';
import { ConfigError } from '../util/errors';
import { attach, attachFiles, detach, initialise } from './attach';
import { blend } from './blend';
import { bind } from './contract';
import { type LoadedModel, freeWeights } from './loaded';
import { startFrom } from './start-from';

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

const Q = 'model.layers.0.self_attn.q_proj', DOWN = 'model.layers.1.mlp.down_proj';
const batch = randomBatch('blend');
async function adapter(seed: string, names: readonly string[], scale = 1.5, rank = 3): Promise<PeftAdapter> {
  const modules = names.map((name): LoraModule => {
    const [out, inn] = loaded.network.sites.get(name)!.shape;
    return { name, rank, scale, inn, out, A: normals(rank * inn, `${seed} A ${name}`, 0.3), B: normals(out * rank, `${seed} B ${name}`, 0.3) };
  });
  return readPeft(new Map(writePeft({ modules, baseModel: 'tiny', taskType: 'CAUSAL_LM' }).files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])));
}
/** The same adapter, its update times w. */
const times = (file: PeftAdapter, w: number): PeftAdapter => ({ ...file, modules: file.modules.map((module) => ({ ...module, scale: module.scale * w })) });

describe('a blend', () => {
  test('of one at full strength is that adapter itself, and of none or at nothing the base', async () => {
    const one = attachFiles(device, loaded.network, [await adapter('one', [Q])]);
    expect(blend(loaded.network, [{ adapters: one.adapters, weight: 1 }])).toBe(one.adapters);
    expect(blend(loaded.network, []).size).toBe(0);
    expect(blend(loaded.network, [{ adapters: one.adapters, weight: 0 }]).size).toBe(0);
    detach(device, one);
  });

  test.each([[0.4], [1.3]])('of a LoRA at %f is the LoRA with that share of its update', async (weight) => {
    const file = await adapter('one', [Q, DOWN]);
    const [whole, part] = [attachFiles(device, loaded.network, [file]), attachFiles(device, loaded.network, [times(file, weight)])];
    const got = await logitsOf(device, loaded, blend(loaded.network, [{ adapters: whole.adapters, weight }]), batch);
    const want = await logitsOf(device, loaded, part.adapters, batch);
    // The same f32 sums in another order, through two blocks.
    expect(share(got, want)).toBeLessThan(1e-5);
    expect(share(await logitsOf(device, loaded, whole.adapters, batch), want)).toBeGreaterThan(0.02);
    for (const attachment of [whole, part]) detach(device, attachment);
  });

  test('of two is the sum of both shares, on a layer of both and on a layer of one', async () => {
    const [first, second] = [await adapter('first', [Q, DOWN]), await adapter('second', [Q])];
    const [a, b, sum] = [attachFiles(device, loaded.network, [first]), attachFiles(device, loaded.network, [second]), attachFiles(device, loaded.network, [times(first, 0.7), times(second, 0.6)])];
    const got = await logitsOf(device, loaded, blend(loaded.network, [{ adapters: a.adapters, weight: 0.7 }, { adapters: b.adapters, weight: 0.6 }]), batch);
    const want = await logitsOf(device, loaded, sum.adapters, batch);
    expect(share(got, want)).toBeLessThan(1e-5);
    expect(share(await logitsOf(device, loaded, noAdapters, batch), want)).toBeGreaterThan(0.02);
    for (const attachment of [a, b, sum]) detach(device, attachment);
  });
});

describe('a run that goes on from a file', () => {
  const start = (slug: string, fields: Record<string, number>, targets: string) => {
    const attachment = attach(loaded.network, bind(methodFor(slug), fields), targets);
    initialise(device, attachment, plain.seed);
    return attachment;
  };

  test('begins as that adapter, whatever its strength and the alpha of the run', async () => {
    const file = await adapter('start', [Q]);
    const attachment = start('lora', { rank: 3, alpha: 12 }, 'q_proj');
    const fixed = attachFiles(device, loaded.network, [file]);
    const want = await logitsOf(device, loaded, fixed.adapters, batch);
    expect(share(await logitsOf(device, loaded, attachment.adapters, batch), want)).toBeGreaterThan(0.02);
    startFrom(device, attachment, file);
    // The second q_proj is the run's alone, and does nothing yet.
    expect(share(await logitsOf(device, loaded, attachment.adapters, batch), want)).toBeLessThan(1e-5);
    for (const one of [attachment, fixed]) detach(device, one);
  });

  test.each<[string, string, Record<string, number>, string, string]>([
    ['another rank', 'lora', { rank: 4 }, '', `${Q}: rank 3 in the adapter that is to be trained on, 4 by the settings`],
    ['other layers', 'lora', { rank: 3 }, 'down_proj', `adapts ${Q}, which this run leaves alone`],
    ['a method with more than A and B', 'sora', { rank: 3 }, '', 'this method cannot go on from an adapter file'],
  ])('%s is refused by name', async (_, slug, fields, targets, message) => {
    const file = await adapter('start', [Q]);
    const attachment = start(slug, fields, targets);
    expect(() => startFrom(device, attachment, file)).toThrow(ConfigError);
    expect(() => startFrom(device, attachment, file)).toThrow(message);
    detach(device, attachment);
  });
});
