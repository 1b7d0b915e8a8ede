// Heads: layers of the task's own, made where the checkpoint lacks them, trained whole, saved whole, and given back.
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { readF32, upload } from '../engine/tensor/memory';
import { testDevice } from '../engine/testing/device';
import { readPeft } from '../formats/peft';
import { type NewTensor, bytesSource, openSafetensors, writeSafetensors } from '../formats/safetensors';
import { methodFor } from '../methods/registry';
import { logitsOf, share, weightsOf } from '../methods/testing/logits';
import { normals, tokens } from '../methods/testing/random';
import { type RunSetup, type TestData, createRun, numbersOf, parametersOf, plain, sameBytes, trained } from '../methods/testing/runs';
import { reader, typed } from '../methods/testing/kinds';
import { BERT, folderOf, loadFolder, loadTiny, tinyTensors } from '../methods/testing/tiny';
import type { Task } from '../models/model';
import { attachFiles, detach } from './attach';
import { type Method, bind } from './contract';
import { Evaluator, type TokenBatch } from './evaluate';
import { mergedWeights } from './export';
import { type LoadedModel, freeWeights } from './loaded';
import { planRun } from './plan';

const task: Task = { kind: 'sequence-classification', labels: ['low', 'high', 'other'] };
const HEADS = ['bert.pooler.dense.weight', 'bert.pooler.dense.bias', 'classifier.weight', 'classifier.bias'];

/** Rows whose class is a matter of their second token, one of nine; the last places of odd rows are padding. */
function batch(name: string): TokenBatch {
  const input_ids = tokens(8 * 12, 64, name);
  for (let b = 0; b < 8; b++) input_ids[b * 12 + 1] = (input_ids[b * 12 + 1] as number) % 9;
  return {
    input_ids, labels: Int32Array.from({ length: 8 }, (_, b) => (input_ids[b * 12 + 1] as number) % 3),
    attention_mask: Uint32Array.from({ length: 8 * 12 }, (_, i) => Number(Math.floor(i / 12) % 2 === 0 || i % 12 < 9)),
  };
}
const data: TestData = { batch: (step) => batch(`train ${step}`), validation: () => [batch('held 0'), batch('held 1')] };
const SHAPE = [8, 12] as const;

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => { device = await testDevice(); });
afterEach(() => { if (loaded) freeWeights(device, loaded); });
const setup = (more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug: 'lora', fields: { rank: 4 }, data, ...more, training: { ...plain, batch: 8, steps: 6, ...more.training } });
const load = async (extra: NewTensor[] = []) => (loaded = await loadFolder(device, folderOf(BERT, writeSafetensors([...tinyTensors(BERT), ...extra], { format: 'pt' })), task));
/** A head as a checkpoint of `classes` classes holds it. */
const stored = (classes: number): NewTensor[] => [
  { name: 'bert.pooler.dense.weight', dtype: 'F32', shape: [32, 32], data: normals(32 * 32, 'pooler', 0.2) }, { name: 'bert.pooler.dense.bias', dtype: 'F32', shape: [32], data: normals(32, 'pooler bias', 0.2) },
  { name: 'classifier.weight', dtype: 'F32', shape: [classes, 32], data: normals(classes * 32, 'classifier', 0.2) }, { name: 'classifier.bias', dtype: 'F32', shape: [classes], data: normals(classes, 'classifier bias', 0.2) },
];

describe('a checkpoint without a head', () => {
  test('gets one that is trained whole, and no adapter sits on it', async () => {
    await load();
    expect([...loaded.network.created].sort()).toEqual([...HEADS].sort());
    expect([...loaded.network.sites.keys()].filter((name) => /pooler|classifier|cls/.test(name))).toEqual([]);
    const before = await weightsOf(device, loaded);
    await trained(setup({ targets: 'dense' }), async ({ run, series, config }) => {
      expect(run.attachment.params.slice(-4).map((p) => p.name)).toEqual(HEADS);
      expect(series.loss).toHaveLength(6);
      for (const [name, t] of run.attachment.heads) expect(share(await readF32(device, t), before.get(name) as Float32Array), name).toBeGreaterThan(1e-3);
      // The plan counts them, and the model itself stays as it was: its own head too.
      const plan = planRun(loaded, bind(methodFor('lora'), { rank: 4 }), config, device);
      expect(plan.byModule.filter(({ module }) => /pooler|classifier/.test(module))).toEqual([{ module: 'classifier', trainable: 3 * 33, sites: 1 }, { module: 'bert.pooler', trainable: 32 * 33, sites: 1 }]);
    });
    const after = await weightsOf(device, loaded);
    for (const [name, values] of before) expect(after.get(name), name).toEqual(values);
  });

  test('starts it from the run’s seed: matrices N(0, 0.02²), biases zero', async () => {
    await load();
    const startOf = async (seed: number) => {
      const { run } = await createRun(setup({ training: { seed } }));
      const start = await Promise.all(HEADS.map((name) => readF32(device, run.attachment.heads.get(name)!)));
      run.dispose();
      return start as [Float32Array, Float32Array, Float32Array, Float32Array];
    };
    const [weight, bias, , last] = await startOf(7);
    const deviation = Math.sqrt(weight.reduce((sum, x) => sum + x * x, 0) / weight.length);
    expect(Math.abs(deviation / 0.02 - 1)).toBeLessThan(4 / Math.sqrt(2 * weight.length));
    expect([...bias, ...last].every((x) => x === 0)).toBe(true);
    expect(await startOf(7)).toEqual([weight, bias, expect.anything(), last]);
    expect((await startOf(8))[0]).not.toEqual(weight);
  });

  test('loss, gradients and reported norm agree with what two evaluations differ by', async () => {
    await load();
    // A head of normal size, so that the gradients of all parts are.
    await trained(setup({ training: { steps: 1, lr: 0 }, resume: await moved() }), async ({ run, series, checkpoint }) => {
      const numbers = await numbersOf(checkpoint);
      // After one step of AdamW m = 0.1 g.
      const gradient = run.attachment.params.map((p) => (numbers.get(`adam.m.${p.name}`) as Float32Array).map((x) => x / 0.1));
      const norm = Math.sqrt(gradient.reduce((sum, g) => sum + g.reduce((s, x) => s + x * x, 0), 0));
      expect(Math.abs((series.grad_norm?.[0] as number) / norm - 1)).toBeLessThan(1e-4);
      const lossAt = async (shift: number, only: (name: string) => boolean) => {
        for (const [i, p] of run.attachment.params.entries()) {
          const [start, g] = [numbers.get(`param.${p.name}`) as Float32Array, gradient[i] as Float32Array];
          upload(device, p.tensor, start.map((x, j) => x + (only(p.name) ? shift * (g[j] as number) : 0)));
        }
        const evaluator = await Evaluator.create(device, loaded, run.attachment.adapters, SHAPE, { heads: run.attachment.heads });
        const { loss } = await evaluator.one(batch('train 0'));
        evaluator.dispose();
        return loss;
      };
      for (const part of ['classifier', 'pooler', 'layer.0', 'layer.1']) {
        const only = (name: string) => name.includes(part);
        const want = Math.sqrt(gradient.reduce((sum, g, i) => sum + (only((run.attachment.params[i] as { name: string }).name) ? g.reduce((s, x) => s + x * x, 0) : 0), 0));
        const slopeOver = async (length: number) => (await lossAt(length / want, only) - await lossAt(-length / want, only)) / (2 * length);
        // The loss bends; of two lengths the part that goes with their square cancels.
        const slope = (4 * (await slopeOver(0.002)) - (await slopeOver(0.004))) / 3;
        expect(Math.abs(slope / want - 1), part).toBeLessThan(1e-3);
      }
    });
  });

  test('learns, and says how well in the metrics of the held-out rows', async () => {
    await load();
    await trained(setup({ training: { steps: 150, lr: 1e-2, evalEvery: 50 } }), ({ events }) => {
      const evals = events.filter((event) => event.kind === 'eval');
      expect(evals).toHaveLength(4);
      expect(evals.at(-1)!.metrics!.accuracy).toBeGreaterThan(0.9);
      expect(evals.at(-1)!.metrics!.mcc).toBeGreaterThan(0.8);
      expect(evals.at(0)!.metrics!.accuracy).toBeLessThan(0.7);
    });
  });

  test('is written as PEFT wants it, read back, and merged', async () => {
    await load();
    await trained(setup({ targets: 'query|dense' }), async ({ run }) => {
      const live = await logits(run.attachment);
      const { folder, receipt } = await run.exportPeft('tiny');
      expect(receipt.maxLogitDifference).toBeLessThan(1e-5);
      expect(receipt.effect).toBeGreaterThan(1e-2);
      const [weights, configFile] = ['adapter_model.safetensors', 'adapter_config.json'].map((name) => folder.files.find((file) => file.name === name)!.bytes) as [Uint8Array, Uint8Array];
      const config = JSON.parse(new TextDecoder().decode(configFile)) as { task_type: string; modules_to_save: string[]; target_modules: string[] };
      expect(config).toMatchObject({ task_type: 'SEQ_CLS', modules_to_save: ['bert.pooler', 'classifier'] });
      // 'dense' alone would make a target of the pooler's layer too.
      expect(config.target_modules.filter((target) => 'bert.pooler.dense'.endsWith(`.${target}`) || target === 'classifier')).toEqual([]);
      const file = await openSafetensors(bytesSource('adapter_model.safetensors', weights));
      expect(file.byName.get('base_model.model.classifier.weight')?.shape).toEqual([3, 32]);
      expect(await file.f32('base_model.model.bert.pooler.dense.bias')).toEqual(await readF32(device, run.attachment.heads.get('bert.pooler.dense.bias')!));

      const files = attachFiles(device, loaded.network, [await readPeft(new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])))]);
      expect(share(await logits(files), live)).toBeLessThan(1e-5);
      detach(device, files);

      const merged = await loadFolder(device, folderOf({ ...BERT, architectures: ['BertForSequenceClassification'], ...({ id2label: { 0: 'low', 1: 'high', 2: 'other' } } as object) }, await mergedWeights(device, loaded, run.attachment.adapters, 'F32', run.attachment.heads)));
      expect(merged.task).toEqual(task);
      expect(share(await logitsOf(device, merged, noAdapters, batch('train 0'), SHAPE), live)).toBeLessThan(1e-5);
      freeWeights(device, merged);
    });
  });

  test.each([reader, typed] as unknown as Method[])('goes with the other forms of export too: $info.slug', async (kind) => {
    await load();
    const method = { ...kind, info: { ...kind.info, models: ['encoder' as const] } };
    const { slug: _, ...rest } = setup({ targets: 'query' });
    await trained({ ...rest, method }, async ({ run }) => {
      const { receipt } = await run.exportPeft('tiny');
      expect(receipt.maxLogitDifference).toBeLessThan(1e-5);
      expect(receipt.effect).toBeGreaterThan(1e-2);
    });
  });

  test('pause, checkpoint and resume give the uninterrupted run, bit for bit', async () => {
    await load();
    const checkpoint = await trained(setup(), async (done) => done.checkpoint);
    const half = await trained(setup({ watch: (event, run) => { if (event.kind === 'status' && event.status === 'running') run.stop(); } }), async (done) => done);
    expect(half.reason).toBe('stopped');
    const resumed = await trained(setup({ resume: half.checkpoint }), async (done) => done.checkpoint);
    expect(await parametersOf(resumed)).toBe(await parametersOf(checkpoint));
    expect(sameBytes(resumed, checkpoint)).toBe(true);
  });
});

describe('a checkpoint with a head', () => {
  test('keeps it: the classifier is trained on from there, the pooler stays frozen', async () => {
    await load(stored(3));
    expect(loaded.network.created.size).toBe(0);
    const { run } = await createRun(setup());
    expect([...run.attachment.heads.keys()]).toEqual(['classifier.weight', 'classifier.bias']);
    expect(await readF32(device, run.attachment.heads.get('classifier.weight')!)).toEqual(normals(3 * 32, 'classifier', 0.2));
    // The same model at the start, adapters and all.
    expect(await logits(run.attachment)).toEqual(await logitsOf(device, loaded, noAdapters, batch('train 0'), SHAPE));
    run.dispose();
  });

  test('of other classes gets a new classifier and keeps the pooler', async () => {
    await load(stored(2));
    expect([...loaded.network.created]).toEqual(['classifier.weight', 'classifier.bias']);
    expect(await readF32(device, loaded.network.weights.get('bert.pooler.dense.weight')!.tensor)).toEqual(normals(32 * 32, 'pooler', 0.2));
  });
});

describe('refusals', () => {
  test('an adapter whose head does not fit', async () => {
    await load();
    const folder = await trained(setup(), async ({ run }) => (await run.exportPeft('tiny')).folder);
    const adapter = await readPeft(new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])));
    const two = await loadTiny(device, BERT, 1, { kind: 'sequence-classification', labels: ['a', 'b'] });
    expect(() => attachFiles(device, two.network, [adapter])).toThrow('adapter: classifier.bias is [3] in the adapter, [2] in the model');
    const masked = await loadTiny(device, BERT);
    expect(() => attachFiles(device, masked.network, [adapter])).toThrow(/which this model does not train whole for its task/);
    expect(() => attachFiles(device, loaded.network, [adapter, adapter])).toThrow(/stands in two of the adapters/);
    for (const model of [two, masked]) freeWeights(device, model);
  });

  test('a task that the architecture cannot do', async () => {
    await expect(loadTiny(device, undefined, 1, task)).rejects.toThrow('tiny: llama models are not made for sequence-classification');
  });
});

async function logits({ adapters, heads }: Pick<Awaited<ReturnType<typeof createRun>>['run']['attachment'], 'adapters' | 'heads'>): Promise<Float32Array> {
  const evaluator = await Evaluator.create(device, loaded, adapters, SHAPE, { heads });
  const values = await evaluator.logitsOf(batch('train 0'));
  evaluator.dispose();
  return values;
}

/** A checkpoint at step 0 with every parameter off its start. */
async function moved(): Promise<Uint8Array> {
  const { startOf } = await import('../methods/testing/runs');
  return startOf(setup({ training: { steps: 1, lr: 0 } }), (name, was) => normals(was.length, `moved ${name}`, 0.2));
}
