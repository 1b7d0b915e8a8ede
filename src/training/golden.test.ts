// The engine against PyTorch + PEFT: logits, loss, every gradient, and ten AdamW steps. The tensors were made on a CPU in float32
// (e2e/fixtures/goldens/README.md); the bounds are theirs: 1e-4 of a tensor's largest value, 1e-3 for the losses.
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { fileSource, folderSources } from '../cli/files';
import type { Device } from '../engine/gpu/device';
import { type Adapter, type Param, noAdapters } from '../engine/nn/site';
import { crossEntropy, matmul } from '../engine/ops';
import { AdamW } from '../engine/optim/adamw';
import { Graph } from '../engine/tensor/graph';
import { readF32, write } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { type HostData, type Tensor, tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { openHfFolder } from '../formats/hf-folder';
import { type SafetensorsFile, openSafetensors } from '../formats/safetensors';
import { methodFor } from '../methods/registry';
import { type Attachment, attach } from './attach';
import { bind } from './contract';
import { type LoadedModel, describeModel, transpose, uploadWeights } from './loaded';
import { forward } from '../models/model';

const root = fileURLToPath(new URL('../../', import.meta.url));
const golden = async (name: string) => openSafetensors(await fileSource(`${root}e2e/fixtures/goldens/${name}.safetensors`));
const folders = { 'tale-1m': `${root}public/models/tale-1m`, 'gpt2-tiny': `${root}e2e/fixtures/goldens/gpt2-tiny` };

let device: Device;
beforeAll(async () => { device = await testDevice(); });

async function load(id: keyof typeof folders): Promise<LoadedModel> {
  const loaded = describeModel(id, await openHfFolder(await folderSources(folders[id])));
  await uploadWeights(device, loaded);
  return loaded;
}

/** Largest difference as a share of the largest wanted value. */
function share(got: Float32Array, want: Float32Array): number {
  expect(got.length).toBe(want.length);
  let [worst, largest] = [0, 0];
  for (let i = 0; i < want.length; i++) {
    worst = Math.max(worst, Math.abs((got[i] as number) - (want[i] as number)));
    largest = Math.max(largest, Math.abs(want[i] as number));
  }
  return Number.isNaN(worst) ? Number.NaN : worst / largest;
}

async function batchOf(file: SafetensorsFile) {
  const shape = file.byName.get('input_ids')?.shape as [number, number];
  const ids = tensor('ids', shape, 'input', 'u32');
  const labels = tensor('labels', shape, 'input', 'i32');
  const inputs = new Map<Tensor, HostData>([[ids, Uint32Array.from(await file.ints('input_ids'))], [labels, await file.ints('labels')]]);
  return { ids, labels, inputs };
}

describe.each(['tale-1m', 'gpt2-tiny'] as const)('%s', (id) => {
  test('logits, loss and the gradient of every weight', async () => {
    const [loaded, file] = [await load(id), await golden(id)];
    const { ids, labels, inputs } = await batchOf(file);
    const weights = [...loaded.network.weights];
    const graph = new Graph();
    const { logits, loss, grads } = graph.record(() => {
      const logits = forward(loaded.model, loaded.network.scope({ ids, adapters: noAdapters, training: true }), loaded.config);
      const { loss } = crossEntropy(logits, labels, 1);
      return { logits, loss, grads: graph.grad(loss, weights.map(([, w]) => w.tensor)) };
    });
    const step = await compile(device, graph, { keep: [logits, loss, ...grads] });
    step.run(inputs);
    expect(share(await step.read(logits), await file.f32('logits'))).toBeLessThan(1e-4);
    expect(share(await step.read(loss), await file.f32('loss'))).toBeLessThan(1e-4);
    const compared = new Set<string>();
    for (const [i, [name, { tensor: t, transposed }]] of weights.entries()) {
      const got = await step.read(grads[i] as Tensor);
      const [out, inn] = t.shape as [number, number];
      const want = await file.f32(`grad.${name}`);
      // Of an attention's key bias the exact gradient is zero: what is stored there is rounding.
      const keyPart = id === 'gpt2-tiny' && name.endsWith('c_attn.bias') ? out / 3 : 0;
      if (keyPart > 0) for (let j = keyPart; j < 2 * keyPart; j++) got[j] = want[j] = 0;
      expect(share(transposed ? transpose(got, out, inn) : got, want), name).toBeLessThan(1e-4);
      compared.add(`grad.${name}`);
    }
    expect([...file.byName.keys()].filter((name) => name.startsWith('grad.') && !compared.has(name))).toEqual([]);
    step.dispose();
  });

  test.each(['lora', 'rslora', 'pissa'] as const)('%s: gradients and ten AdamW steps', async (kind) => {
    const [loaded, base, file] = [await load(id), await golden(id), await golden(`${id}.${kind}`)];
    const scaling = kind === 'rslora' ? 'alpha/sqrt(r)' : 'alpha/r';
    const attachment = attach(loaded.network, bind(methodFor('lora'), { rank: 4, alpha: 8, scaling }), '');
    const adamw = new AdamW(attachment.params.filter((p) => p.trainable), { beta1: 0.9, beta2: 0.999, eps: 1e-8, clip: 0 });
    adamw.allocate(device, { default: { lrScale: 1, weightDecay: 0.01 } });
    const stored = (name: string) => `base_model.model.${name}.weight`;
    for (const p of attachment.params) write(device, p.tensor, await file.f32(`init.${stored(p.name)}`));
    if (kind === 'pissa') await subtractStart(attachment, 2);

    const { ids, labels, inputs } = await batchOf(base);
    const graph = new Graph();
    const { logits, loss, grads } = graph.record(() => {
      const logits = forward(loaded.model, loaded.network.scope({ ids, adapters: attachment.adapters, training: true }), loaded.config);
      const { loss } = crossEntropy(logits, labels, 1);
      const grads = graph.grad(loss, attachment.params.map((p) => p.tensor));
      adamw.guard(loss);
      adamw.update();
      return { logits, loss, grads };
    });
    const step = await compile(device, graph, { keep: [logits, loss], place: adamw.places(device, grads) });
    const losses: number[] = [];
    for (let t = 1; t <= 11; t++) {
      step.run(inputs, { step: t, lr: t <= 10 ? 1e-3 : 0, ...adamw.bias(t) });
      losses.push((await step.read(loss))[0] as number);
      if (t === 1) {
        expect(share(await step.read(logits), await file.f32('logits'))).toBeLessThan(1e-4);
        for (const [i, p] of attachment.params.entries()) {
          expect(share(await step.read(grads[i] as Tensor), await file.f32(`grad.${stored(p.name)}`)), p.name).toBeLessThan(1e-4);
        }
      }
      if (t === 10) {
        for (const p of attachment.params) expect(share(await readF32(device, p.tensor), await file.f32(`final.${stored(p.name)}`)), p.name).toBeLessThan(1e-2);
      }
    }
    const want = await file.f32('losses');
    losses.forEach((value, i) => expect(Math.abs(value - (want[i] as number)), `step ${i + 1}`).toBeLessThan(1e-3));
    step.dispose();
    adamw.dispose(device);
  });
});

/** PiSSA trains on the residual W − s·B₀A₀, so that the adapted layer starts as W. */
async function subtractStart(attachment: Attachment, scale: number): Promise<void> {
  const graph = new Graph();
  const residuals = graph.record(() => attachment.sites.map((site) => {
    const { A, B } = (attachment.adapters.get(site.name) as Adapter).params as { A: Param; B: Param };
    return matmul(B.tensor, A.tensor, { alpha: -scale, c: site.weight });
  }));
  const step = await compile(device, graph, { keep: residuals });
  step.run();
  for (const [i, site] of attachment.sites.entries()) write(device, site.weight, await step.read(residuals[i] as Tensor));
  step.dispose();
}
