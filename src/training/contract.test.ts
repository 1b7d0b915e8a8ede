// What the contract promises a method beyond what conformance sees from outside: preparation, masks, whole-set optimisers, reattaching,
// the model's call, recipes, and what is refused before anything is made.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { crossEntropy } from '../engine/ops';
import { Graph } from '../engine/tensor/graph';
import { readF32 } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { type HostData, type Tensor, tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { bytesSource, openSafetensors } from '../formats/safetensors';
import { lora } from '../methods/lora';
import { delta, growing, joint, masked, pooled, wrapped } from '../methods/testing/kinds';
import { logitsOf, share } from '../methods/testing/logits';
import { type RunSetup, SHAPE, configOf, createRun, numbersOf, randomBatch, trained } from '../methods/testing/runs';
import { LLAMA, loadTiny } from '../methods/testing/tiny';
import { forward } from '../models/model';
import { ConfigError, StoppedError } from '../util/errors';
import { type Method, bind } from './contract';
import { baseGradients } from './gradients';
import type { Trainer } from './host';
import { type LoadedModel, freeWeights } from './loaded';
import { checkRun, planRun } from './plan';
import { Run } from './run';

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device, LLAMA);
});
afterAll(() => freeWeights(device, loaded));

const as = (method: unknown) => method as Method;
const setup = (method: unknown, more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, method: as(method), targets: 'q_proj|v_proj', ...more });
const Q0 = 'model.layers.0.self_attn.q_proj';

describe('preparation', () => {
  test('gradients of frozen weights are the mean over batches, whatever the number of passes', async () => {
    const sites = [...loaded.network.sites.values()].filter(({ name }) => /0\..*(q|k|down)_proj/.test(name));
    const batches = [randomBatch('batch 0'), randomBatch('batch 1'), randomBatch('batch 2')];
    const [ids, labels] = [tensor('ids', SHAPE, 'input', 'u32'), tensor('labels', SHAPE, 'input', 'i32')];
    const graph = new Graph();
    const grads = graph.record(() => {
      const logits = forward(loaded.model, loaded.network.scope({ ids, adapters: noAdapters, training: true }), loaded.config, loaded.task);
      return graph.grad(crossEntropy(logits, labels, 1).loss, sites.map((site) => site.weight));
    });
    const step = await compile(device, graph, { keep: grads });
    const want = sites.map(({ weight }) => new Float64Array(weight.shape[0]! * weight.shape[1]!));
    for (const batch of batches) {
      step.run(new Map<Tensor, HostData>([[ids, batch.input_ids], [labels, batch.labels]]));
      for (const [i, g] of grads.entries()) (await step.read(g)).forEach((x, at) => { want[i]![at]! += x / 3; });
    }
    const before = device.bytes;
    for (const budget of [2 ** 28, 1]) {
      const seen: string[] = [];
      for await (const { site, gradient } of baseGradients(device, loaded, sites, batches, SHAPE, budget)) {
        // Three f32 numbers added up.
        expect(share(gradient, want[seen.push(site.name) - 1]!)).toBeLessThan(1e-6);
      }
      expect(seen).toEqual(sites.map(({ name }) => name));
    }
    expect(device.bytes).toBe(before);
    step.dispose();
  });

  test('runs once, is timed and told, and a resumed run does without', async () => {
    let count = 0;
    const counted = { ...as(delta), prepare: (...args: Parameters<NonNullable<Method['prepare']>>) => { count++; return as(delta).prepare!(...args); } };
    const half = await trained(setup(counted, { training: { steps: 2 } }), ({ run, events, checkpoint }) => {
      expect(run.prepareSeconds).toBeGreaterThan(0);
      expect(events.filter((event) => event.kind === 'note').map(({ text }) => text)[0]).toMatch(/^Initialised in \d+\.\d\d s$/);
      return checkpoint;
    });
    expect(count).toBe(1);
    const { run } = await createRun(setup(counted, { resume: half }));
    expect([count, run.prepareSeconds, run.step]).toEqual([1, null, 2]);
    // What the method remembered came back with it.
    expect(JSON.parse((await openSafetensors(bytesSource('c', await run.checkpoint()))).metadata.state!)).toEqual({ seen: 4 });
    run.dispose();
  });

  test('is stopped at its next word, and leaves nothing behind', async () => {
    const before = device.bytes;
    const abort = new AbortController();
    const { device: on, loaded: model } = setup(delta);
    const told: number[] = [];
    const made = Run.create({
      device: on, loaded: model, bound: bind(as(delta), {}), config: configOf(setup(delta)), listener: () => {}, samples: false, signal: abort.signal,
      data: { summary: { hash: 'a' }, batch: () => randomBatch('batch 0'), validation: () => [] } as never,
      preparing: (done) => { told.push(done); abort.abort(); },
    });
    await expect(made).rejects.toThrow(StoppedError);
    expect(told).toEqual([1]);
    expect(device.bytes).toBe(before);
  });
});

test('masks: only the drawn pair moves, with its own moments and count of steps, and is what a single Adam of its own would be', async () => {
  const steps = 12;
  const states: Map<string, Float32Array>[] = [];
  const kept: Promise<void>[] = [];
  await trained(setup(masked, { training: { steps, saveEvery: 1, weightDecay: 0.1, clip: 0.5 }, save: (bytes) => { kept.push(numbersOf(bytes).then((n) => { states.push(n); })); } }), () => {});
  await Promise.all(kept);
  const [rank, inn] = [4, 32];
  const visits = new Array<number>(rank).fill(0);
  for (let s = 1; s < steps; s++) {
    const [was, is] = [states[s - 1]!, states[s]!];
    const open = [...is.get('mask.pair')!.subarray(0, rank)];
    expect(open.reduce((a, b) => a + b)).toBe(1);
    const b = open.indexOf(1);
    for (const kind of ['param', 'adam.m', 'adam.v']) {
      const [A0, A] = [was.get(`${kind}.${Q0}.lora_A`)!, is.get(`${kind}.${Q0}.lora_A`)!];
      for (let r = 0; r < rank; r++) {
        const same = A.subarray(r * inn, (r + 1) * inn).every((x, i) => x === A0[r * inn + i]);
        // Decay alone moves the drawn row; its moments may still be zero, where B was.
        if (r !== b || kind === 'param') expect(same, `step ${s + 1}, ${kind}, row ${r} of A, drawn ${b}`).toBe(r !== b);
      }
      const [B0, B] = [was.get(`${kind}.${Q0}.lora_B`)!, is.get(`${kind}.${Q0}.lora_B`)!];
      B.forEach((x, i) => { if (i % rank !== b) expect(x).toBe(B0[i]); });
    }
    visits[b]!++;
    // Adam by hand on the drawn column of B: decay, then the step with the pair's own count.
    const t = is.get('mask.pair')![rank + b]!;
    for (let o = 0; o < 32; o++) {
      const at = o * rank + b;
      const [m, v, p0] = [is.get(`adam.m.${Q0}.lora_B`)![at]!, is.get(`adam.v.${Q0}.lora_B`)![at]!, was.get(`param.${Q0}.lora_B`)![at]!];
      const want = p0 * (1 - 1e-2 * 0.1) - (1e-2 * (m / (1 - 0.9 ** t))) / (Math.sqrt(v / (1 - 0.999 ** t)) + 1e-8);
      expect(Math.abs(is.get(`param.${Q0}.lora_B`)![at]! - want)).toBeLessThan(2e-6);
    }
  }
  const counts = states.at(-1)!.get('mask.pair')!.subarray(rank);
  // Less the first step, which has no state before it here.
  const first = [...states[0]!.get('mask.pair')!.subarray(0, rank)];
  expect([...counts]).toEqual(visits.map((n, i) => n + first[i]!));
});

test('a group may have its own rate, decay and betas', async () => {
  const training = { steps: 1, lr: 1e-2, weightDecay: 0.5, seed: 3 };
  const start = await createRun(setup(pooled, { training }));
  const before = await numbersOf(await start.run.checkpoint());
  start.run.dispose();
  await trained(setup(pooled, { training: { ...training, steps: 2 } }), async ({ checkpoint }) => {
    const after = await numbersOf(checkpoint);
    const name = `${Q0}.core`;
    // At the start B = 0, so the core's first gradient is zero: one step of decay alone, then Adam with m = 0.2 g, v = 0.01 g².
    const [m, v] = [after.get(`adam.m.${name}`)!, after.get(`adam.v.${name}`)!];
    after.get(`param.${name}`)!.forEach((x, i) => {
      const g = m[i]! / (1 - 0.8);
      expect(v[i]! / (0.01 * g * g)).toBeCloseTo(1, 3);
      const lr = 0.5 * 1e-2;
      const decayed = before.get(`param.${name}`)![i]! * (1 - lr * 0.01) ** 2;
      const want = decayed - (lr * (m[i]! / (1 - 0.8 ** 2))) / (Math.sqrt(v[i]! / (1 - 0.99 ** 2)) + 1e-8);
      expect(Math.abs(x - want)).toBeLessThan(1e-6);
    });
  });
});

test('an optimiser hook: plain steps go without AdamW, other gradients through it, and its state lasts', async () => {
  const states: Promise<Map<string, Float32Array>>[] = [];
  await trained(setup(joint, { training: { steps: 3, saveEvery: 1, clip: 1e-3 }, save: (bytes) => { states.push(numbersOf(bytes)); } }), ({ series }) => {
    // Clipping is far below the norm: it would show in B's steps.
    expect(Math.min(...series.grad_norm!)).toBeGreaterThan(1e-2);
  });
  const numbers = await Promise.all(states);
  for (let s = 1; s < 3; s++) {
    const [was, is] = [numbers[s - 1]!, numbers[s]!];
    const momentum = is.get(`lasting.${Q0}.lora_B.momentum`)!;
    is.get(`param.${Q0}.lora_B`)!.forEach((x, i) => expect(Math.abs(x - (was.get(`param.${Q0}.lora_B`)![i]! - 1e-2 * momentum[i]!))).toBeLessThan(1e-7));
    expect(is.get(`adam.m.${Q0}.lora_B`)!.every((x) => x === 0)).toBe(true);
    expect(is.get(`adam.m.${Q0}.lora_A`)!.some((x) => x !== 0)).toBe(true);
  }
});

test('reattaching keeps numbers, loses no metric, and drops the moments of what no longer trains', async () => {
  await trained(setup(growing, { training: { steps: 10 } }), ({ run, series, events, checkpoint }) => {
    expect(series.loss).toHaveLength(10);
    expect(events.flatMap((event) => (event.kind === 'phase' ? [event.name] : []))).toEqual(['grow', 'settle']);
    expect(run.attachment.params.filter((p) => p.trainable).every(({ name }) => name.endsWith('lora_A'))).toBe(true);
    return numbersOf(checkpoint).then((numbers) => {
      expect(numbers.has(`adam.m.${Q0}.lora_B`)).toBe(false);
      expect([...numbers.get(`param.${Q0}.lora_B`)!].some((x) => x !== 0)).toBe(true);
      // One rank at first, one more after step 3.
      expect([...numbers.get(`input.${Q0}.open`)!]).toEqual([1, 1, 0, 0]);
      expect([...numbers.get(`mask.${Q0}.rank`)!]).toEqual([1, 1, 0, 0, 10, 7, 0, 0]);
    });
  });
});

test('the model’s call and the loss may be wrapped; evaluation goes through the same call', async () => {
  await trained(setup(wrapped, { training: { steps: 2 } }), async ({ run, series, reason }) => {
    expect(reason).toBe('finished');
    expect(series.loss!.every(Number.isFinite)).toBe(true);
    await expect(run.exportPeft('tiny')).rejects.toThrow(/has no adapter to export/);
  });
  // Half the base in training: what the wrapped run reports at step 2 is not what the unwrapped one does.
  const losses = (method: unknown) => trained(setup(method, { training: { steps: 2 } }), ({ series }) => series.loss!);
  const [plain, half] = [await losses({ ...as(pooled), loss: undefined }), await losses(wrapped)];
  expect(half[0]).toBe(plain[0]);
  expect(half[1]).not.toBe(plain[1]);
});

test('a recipe: vectors over all trainable numbers, with arithmetic', async () => {
  const seen: Record<string, number> = {};
  const recipe = async (run: Trainer) => {
    await run.train({ name: 'first', steps: 2 });
    const start = run.snapshot();
    const g = await run.gradient(0);
    seen.norm2 = await run.dot(g, g);
    const loss = async () => (await run.evaluate())!;
    seen.before = await loss();
    const moved = run.snapshot();
    await run.axpy(moved, -1e-3, g);
    run.load(moved);
    seen.after = await loss();
    run.load(start);
    seen.back = await loss();
    for (const v of [start, g, moved]) run.free(v);
    await run.train({ name: 'second', steps: 2 });
  };
  const data = { batch: () => randomBatch('batch 0'), validation: () => [randomBatch('batch 0')] };
  const method = { ...as(lora), recipe, phases: () => [{ name: 'first', steps: 2 }, { name: 'second', steps: 2 }] };
  await trained(setup(method, { data, fields: { rank: 4 }, training: { steps: 4 } }), ({ series, reason }) => {
    expect(reason).toBe('finished');
    expect(series.loss).toHaveLength(4);
    // The norm of the gradient that step 3 then finds at the same place.
    expect(Math.sqrt(seen.norm2!) / series.grad_norm![2]!).toBeCloseTo(1, 5);
  });
  expect(seen.back).toBe(seen.before);
  // Downhill by η‖g‖², up to curvature and the rounding of a loss of some nats.
  expect((seen.before! - seen.after!) / (1e-3 * seen.norm2!)).toBeCloseTo(1, 1);
});

describe('refused before anything is made, with what would do', () => {
  const refusal = (method: unknown, more: Partial<RunSetup>) => {
    const at = setup(method, more);
    try {
      checkRun(loaded, bind(as(method), at.fields ?? {}), configOf(at));
    } catch (error) {
      expect(error).toBeInstanceOf(ConfigError);
      return `${(error as ConfigError).message} | ${(error as ConfigError).hint}`;
    }
    return 'accepted';
  };
  test('a rank above a matrix, with the layer and the range', () => {
    expect(refusal(lora, { targets: 'q_proj|v_proj', fields: { rank: 17 } })).toBe('rank: 17 is above the rank that model.layers.0.self_attn.v_proj [16, 32] can have | Give a value from 1 to 16, or leave that layer out of the targets.');
    expect(refusal(lora, { targets: 'q_proj', fields: { rank: 32 } })).toBe('accepted');
  });
  test('rank 0, by its field', () => expect(() => bind(as(lora), { rank: 0 })).toThrow(/rank: 0 is out of range/));
  test('targets that match nothing, with the names there are', () => {
    expect(refusal(lora, { targets: 'c_attn' })).toMatch(/^targets: 'c_attn' matches none of the model's 15 layers \| The layers end in: q_proj, /);
  });
  test('a kind of model that the method does not adapt', () => {
    expect(refusal({ ...as(lora), info: { ...lora.info, models: ['vit'] } }, {})).toBe('LoRA adapts models of kind vit; this one is a decoder | Choose another method, or another model.');
  });
  test('in the plan and at the start of a run alike; nothing is allocated', async () => {
    const at = setup(lora, { fields: { rank: 17 } });
    const before = device.bytes;
    expect(() => planRun(loaded, bind(as(lora), { rank: 17 }), configOf(at), { largestBuffer: 2 ** 30 })).toThrow(ConfigError);
    await expect(createRun(at)).rejects.toThrow(ConfigError);
    expect(device.bytes).toBe(before);
  });
});

test('the plan counts what the optimiser of a method keeps', () => {
  const part = (method: unknown, name: string) => planRun(loaded, bind(as(method), {}), configOf(setup(method)), { largestBuffer: 2 ** 30 }).bytes.find(({ part }) => part === name)?.bytes;
  // B of two q_proj [32, 4] and two v_proj [16, 4], four bytes each.
  expect(part(joint, 'Optimiser of the method')).toBe(4 * 4 * (2 * 32 + 2 * 16));
  expect(part(lora, 'Optimiser of the method')).toBeUndefined();
});

test('logits of a run whose rank is a mask follow what the host wrote', async () => {
  const { run } = await createRun(setup(masked));
  const batch = randomBatch('x');
  expect(await logitsOf(device, loaded, run.attachment.adapters, batch)).toEqual(await logitsOf(device, loaded, noAdapters, batch));
  expect(await readF32(device, run.attachment.inputs.get('all')!.tensor)).toEqual(Float32Array.of(1, 1, 1, 1));
  run.dispose();
});
