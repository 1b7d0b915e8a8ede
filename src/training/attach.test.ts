// Which layers are adapted, and adapters that come out of files.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { testDevice } from '../engine/testing/device';
import { type LoraModule, type PeftAdapter, readPeft, writePeft } from '../formats/peft';
import { bytesSource } from '../formats/safetensors';
import { logitsOf, share } from '../methods/testing/logits';
import { normals } from '../methods/testing/random';
import { randomBatch } from '../methods/testing/runs';
import { LLAMA, folderOf, loadFolder, loadTiny } from '../methods/testing/tiny';
import { CheckpointError, ConfigError } from '../util/errors';
import { attachFiles, detach, selectSites } from './attach';
import { mergedWeights } from './export';
import { type LoadedModel, freeWeights } from './loaded';

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));

describe('targets', () => {
  const names = (targets: string) => selectSites(loaded.network, targets).map((site) => site.name);

  test('empty means every linear layer of the blocks', () => {
    expect(names('')).toHaveLength(14);
    expect(names('').some((name) => name === 'lm_head')).toBe(false);
  });

  test('a regular expression may match anywhere in the name', () => {
    expect(names('q_proj|v_proj')).toEqual([0, 1].flatMap((i) => ['q_proj', 'v_proj'].map((name) => `model.layers.${i}.self_attn.${name}`)));
    expect(names('layers\\.1\\.mlp')).toHaveLength(3);
    expect(names('^lm_head$')).toEqual(['lm_head']);
  });

  test('what matches nothing is refused with the names there are', () => {
    for (const targets of ['c_attn', '^q_proj$', 'Q_PROJ']) {
      const refused = () => names(targets);
      expect(refused).toThrow(ConfigError);
      expect(refused).toThrow(`'${targets}'`);
      try { refused(); } catch (error) {
        for (const module of ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj', 'lm_head']) expect((error as ConfigError).hint).toContain(module);
      }
    }
  });

  test('what is no regular expression is refused as such', () => {
    expect(() => names('q_proj(')).toThrow(/targets: not a regular expression/);
  });
});

describe('adapter files', () => {
  const module = (name: string, seed: string, rank = 3, shape?: readonly [number, number]): LoraModule => {
    const [out, inn] = shape ?? loaded.network.sites.get(name)!.shape;
    return { name, rank, scale: 1.5, inn, out, A: normals(rank * inn, `${seed} A ${name}`, 0.3), B: normals(out * rank, `${seed} B ${name}`, 0.3) };
  };
  const file = (modules: LoraModule[]): Promise<PeftAdapter> => {
    const { files } = writePeft({ modules, baseModel: 'tiny', taskType: 'CAUSAL_LM' });
    return readPeft(new Map(files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])));
  };
  const Q = 'model.layers.0.self_attn.q_proj';
  const DOWN = 'model.layers.1.mlp.down_proj';

  test('none at all is the base', () => {
    expect(attachFiles(device, loaded.network, [])).toEqual({ adapters: noAdapters, heads: new Map(), params: [], sites: [], weights: [], inputs: new Map(), joint: new Map() });
  });

  test('two add up, on a layer of both and on layers of one, whatever their ranks', async () => {
    const [first, second] = [await file([module(Q, 'first', 3), module('lm_head', 'first')]), await file([module(Q, 'second', 5), module(DOWN, 'second')])];
    const batch = randomBatch('two');
    const together = attachFiles(device, loaded.network, [first, second]);
    const got = await logitsOf(device, loaded, together.adapters, batch);

    // One folded into the weights, the other on top.
    const alone = attachFiles(device, loaded.network, [first]);
    const folded = await loadFolder(device, folderOf(LLAMA, await mergedWeights(device, loaded, alone.adapters, 'F32')));
    const top = attachFiles(device, folded.network, [second]);
    const want = await logitsOf(device, folded, top.adapters, batch);
    // The same sums in another order, through two blocks of f32.
    expect(share(got, want)).toBeLessThan(1e-5);
    for (const [one, on] of [[alone, loaded], [{ adapters: noAdapters }, loaded]] as const) expect(share(await logitsOf(device, on, one.adapters, batch), want)).toBeGreaterThan(0.05);
    // And both folded in.
    const both = await loadFolder(device, folderOf(LLAMA, await mergedWeights(device, loaded, together.adapters, 'F32')));
    expect(share(await logitsOf(device, both, noAdapters, batch), want)).toBeLessThan(1e-5);
    for (const attachment of [together, alone, top]) detach(device, attachment);
    for (const model of [folded, both]) freeWeights(device, model);
  });

  test.each([
    ['a layer that is not there', () => module('model.layers.2.self_attn.q_proj', 'x', 3, [32, 32]), 'model.layers.2.self_attn.q_proj'],
    ['a layer of another size', () => module(DOWN, 'x', 3, [32, 96]), `${DOWN} is 32 × 96 in the adapter, 32 × 48 in the model`],
    ['a layer turned round', () => module(DOWN, 'x', 3, [48, 32]), `${DOWN} is 48 × 32 in the adapter, 32 × 48 in the model`],
  ])('%s is refused by name, and nothing stays on the device', async (_, wrong, named) => {
    const adapter = await file([module(Q, 'good'), wrong()]);
    const good = await file([module(Q, 'other')]);
    const before = device.bytes;
    expect(() => attachFiles(device, loaded.network, [good, adapter])).toThrow(CheckpointError);
    expect(() => attachFiles(device, loaded.network, [good, adapter])).toThrow(named);
    expect(device.bytes).toBe(before);
  });
});
