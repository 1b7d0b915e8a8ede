// What every method of the registry must keep, whatever it does: each is attached to a tiny Llama that goes through the real
// readers, and driven through the same runs as on the page. A new method is covered as soon as it is registered; `settings` is
// where it says how to be run when its defaults do not suit twenty steps.
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { Graph } from '../engine/tensor/graph';
import { free, readF32, upload, write } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { type HostData, type Tensor, tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { readPeft } from '../formats/peft';
import { bytesSource, openSafetensors, writeSafetensors } from '../formats/safetensors';
import { attach, attachFiles, countTrainable, detach, initialise } from '../training/attach';
import { bind } from '../training/contract';
import { Evaluator, type TokenBatch } from '../training/evaluate';
import { mergedWeights } from '../training/export';
import { type LoadedModel, freeWeights } from '../training/loaded';
import { planRun } from '../training/plan';
import { groupSettings, recordTraining } from '../training/step';
import { NonFiniteError } from '../util/errors';
import { methods } from './registry';
import { length, logitsOf, share, weightsOf } from './testing/logits';
import { normals, tokens } from './testing/random';
import { type RunSetup, SHAPE, type TestData, configOf, createRun, edited, numbersOf, parametersOf, plain, randomBatch, sameBytes, startOf, trained } from './testing/runs';
import { LLAMA, folderOf, loadFolder, loadTiny, tinyTensors } from './testing/tiny';

const settings: Record<string, Record<string, number | boolean | string>> = {
  lora: { rank: 4, alpha: 8 },
  // ξ for 8,000 steps would be stretched four-hundredfold over twenty.
  sora: { rank: 4, alpha: 8, xiUnit: 'step', xi: 1e-3 },
};

let device: Device;
let loaded: LoadedModel;
beforeAll(async () => {
  device = await testDevice();
  loaded = await loadTiny(device);
});
afterAll(() => freeWeights(device, loaded));
afterEach(() => { vi.restoreAllMocks(); });

describe.each([...methods.values()].map((method) => ({ slug: method.info.slug, method })))('$slug', ({ slug, method }) => {
  const fields = settings[slug] ?? {};
  const bound = bind(method, fields);
  const setup = (more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, slug, fields, ...more });
  /** A checkpoint at step 0 whose parameters are all moved off their start, so that no factor is zero. */
  const generic = () => startOf(setup(), (name, was) => normals(was.length, `generic ${name}`, 0.2).map((x, i) => x + (was[i] as number)));
  const withDropout = 'dropout' in method.info.fields ? { ...fields, dropout: 0.3 } : fields;

  test('at the start the output is the base’s, bit for bit', async () => {
    const { run } = await createRun(setup());
    const batch = randomBatch('start');
    // With B = 0 the branch adds exact zeros to what the base layer computed: nothing may round.
    expect(await logitsOf(device, loaded, run.attachment.adapters, batch)).toEqual(await logitsOf(device, loaded, noAdapters, batch));
    run.dispose();
  });

  test('apply(x) is base(x, weight())', async () => {
    const { run } = await createRun(setup({ resume: await generic() }));
    for (const site of run.attachment.sites) {
      const [out, inn] = site.shape;
      const rows = 5;
      const adapter = run.attachment.adapters.get(site.name)!;
      const x = upload(device, tensor('x', [1, rows, inn], 'input'), normals(rows * inn, `x ${site.name}`));
      const graph = new Graph();
      const [fast, effective] = graph.record(() => [adapter.apply?.(x, { training: false }) ?? site.base(x, adapter.weight()), adapter.weight()] as const);
      const step = await compile(device, graph, { keep: [fast, effective] });
      step.run();
      const [got, weight, base, input] = [await step.read(fast), await step.read(effective), await readF32(device, site.weight), await readF32(device, x)];
      for (let r = 0; r < rows; r++) {
        for (let o = 0; o < out; o++) {
          let [want, size] = [0, 0];
          for (let i = 0; i < inn; i++) {
            const [xi, w, w0] = [input[r * inn + i] as number, weight[o * inn + i] as number, base[o * inn + i] as number];
            want += xi * w;
            size += Math.abs(xi) * (Math.abs(w) + 2 * Math.abs(w0) + Math.abs(w - w0));
          }
          // Sums of at most 48 + 4 products on either way, each off by an ε of the terms' sizes; the branch's own terms are larger
          // than ΔW where they cancel, a few times for four ranks.
          expect(Math.abs((got[r * out + o] as number) - want), site.name).toBeLessThan(4 * 64 * 2 ** -24 * size);
        }
      }
      step.dispose();
      free(device, x);
    }
    run.dispose();
  });

  test('merged weights, and the exported files attached afresh, give the logits of the run', async () => {
    const { run } = await createRun(setup({ resume: await generic() }));
    const batch = randomBatch('merge');
    const [base, live] = [await logitsOf(device, loaded, noAdapters, batch), await logitsOf(device, loaded, run.attachment.adapters, batch)];
    expect(share(live, base)).toBeGreaterThan(0.1);

    // The same sums in another order, through two blocks: an ε or so of each of some hundred terms, far below the effect above.
    const bound = 1e-5;
    const merged = await loadFolder(device, folderOf(LLAMA, await mergedWeights(device, loaded, run.attachment.adapters, 'F32')));
    expect(share(await logitsOf(device, merged, noAdapters, batch), live)).toBeLessThan(bound);
    freeWeights(device, merged);

    const { folder, receipt } = await run.exportPeft('tiny');
    const files = attachFiles(device, loaded.network, [await readPeft(new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])))]);
    expect(share(await logitsOf(device, loaded, files.adapters, batch), live)).toBeLessThan(bound);
    detach(device, files);
    const largest = Math.max(...live.map(Math.abs));
    expect(receipt.maxLogitDifference).toBeLessThan(bound * largest);
    expect(receipt.effect).toBeGreaterThan(0.1 * largest);
    run.dispose();
  });

  test('the exported files are what PEFT wants: names, shapes, ranks and alphas', async () => {
    const { run } = await createRun(setup({ resume: await generic() }));
    const { folder, receipt } = await run.exportPeft('tiny');
    const [weights, configFile] = ['adapter_model.safetensors', 'adapter_config.json'].map((name) => folder.files.find((file) => file.name === name)!.bytes) as [Uint8Array, Uint8Array];
    const config = JSON.parse(new TextDecoder().decode(configFile)) as { peft_type: string; r: number; lora_alpha: number; rank_pattern: Record<string, number>; alpha_pattern: Record<string, number>; target_modules: string[]; task_type: string; base_model_name_or_path: string };
    expect(config).toMatchObject({ peft_type: 'LORA', task_type: 'CAUSAL_LM', base_model_name_or_path: 'tiny' });
    // PEFT: re.match(rf"(.*\.)?({key})$", name).
    const lookUp = (pattern: Record<string, number>, name: string, fallback: number) => Object.entries(pattern).find(([key]) => new RegExp(`^(?:.*\\.)?(?:${key})$`).test(name))?.[1] ?? fallback;

    const file = await openSafetensors(bytesSource('adapter_model.safetensors', weights));
    expect(file.metadata).toEqual({ format: 'pt' });
    const values = Object.fromEntries(await Promise.all(run.attachment.params.map(async (p) => [p.name, await readF32(device, p.tensor)] as const)));
    for (const site of run.attachment.sites) {
      const [out, inn] = site.shape;
      const [a, b] = [file.byName.get(`base_model.model.${site.name}.lora_A.weight`), file.byName.get(`base_model.model.${site.name}.lora_B.weight`)];
      const rank = lookUp(config.rank_pattern, site.name, config.r);
      expect([a?.shape, b?.shape], site.name).toEqual([[rank, inn], [out, rank]]);
      expect(receipt.ranks[site.name]).toBe(rank);
      // What PEFT computes of the files, in double precision, against the method's own factors.
      const params = run.attachment.adapters.get(site.name)!.params;
      const own = run.attachment.adapters.get(site.name)!.lora!(Object.fromEntries(Object.entries(params).map(([name, p]) => [name, values[p.name] as Float32Array])));
      expect(lookUp(config.alpha_pattern, site.name, config.lora_alpha) / rank).toBeCloseTo(own.scale, 12);
      expect(config.target_modules.some((target) => site.name === target || site.name.endsWith(`.${target}`)), site.name).toBe(true);
    }
    expect(file.entries).toHaveLength(2 * run.attachment.sites.length);
    // Nothing but what is adapted is a target.
    for (const name of loaded.network.sites.keys()) {
      if (!run.attachment.adapters.has(name)) expect(config.target_modules.some((target) => name === target || name.endsWith(`.${target}`)), name).toBe(false);
    }
    run.dispose();
  });

  test('twenty steps leave the base and everything frozen bit for bit as it was', async () => {
    const before = await weightsOf(device, loaded);
    await trained(setup({ training: { steps: 20, weightDecay: 0.1 } }), async ({ run, reason }) => {
      expect(reason).toBe('finished');
      expect(await weightsOf(device, loaded)).toEqual(before);
      for (const p of run.attachment.params.filter((param) => !param.trainable)) {
        const { run: fresh } = await createRun(setup());
        const start = fresh.attachment.params.find(({ name }) => name === p.name)!;
        expect(await readF32(device, p.tensor)).toEqual(await readF32(device, start.tensor));
        fresh.dispose();
      }
    });
  });

  test('trainable parameters are counted as its specification counts them', () => {
    const attachment = attach(loaded.network, bound, '');
    const formula = attachment.sites.reduce((sum, site) => sum + method.trainable(site.shape, bound.config), 0);
    const plan = planRun(loaded, bound, configOf(setup()), { largestBuffer: 2 ** 30 });
    expect(countTrainable(attachment.params)).toBe(formula);
    expect(plan.trainable).toBe(formula);
    expect(plan.byModule.reduce((sum, { trainable }) => sum + trainable, 0)).toBe(formula);
    expect(plan.byModule.reduce((sum, { sites }) => sum + sites, 0)).toBe(14);
  });

  test('the same seed gives the same bytes, another seed others', async () => {
    const bytesWith = (seed: number, with_ = fields) => trained(setup({ fields: with_, training: { steps: 3, seed } }), async ({ run }) => (await run.exportPeft('tiny')).folder.files.map((file) => file.bytes));
    const [first, again, other] = [await bytesWith(7), await bytesWith(7), await bytesWith(8)];
    expect(again.every((bytes, i) => sameBytes(bytes, first[i]!))).toBe(true);
    expect(sameBytes(other[0]!, first[0]!)).toBe(false);
    const [noisy, noisyAgain] = [await bytesWith(7, withDropout), await bytesWith(7, withDropout)];
    expect(sameBytes(noisy[0]!, noisyAgain[0]!)).toBe(true);
  });

  test('loss, gradient norm and every gradient agree with differences of two evaluations', async () => {
    const start = await generic();
    const before = await numbersOf(start);
    await trained(setup({ resume: start, training: { steps: 1 } }), async ({ run, series, checkpoint }) => {
      // From zero, Adam's first moment after one unclipped step is (1 − β₁) times the gradient.
      const after = await numbersOf(checkpoint);
      const params = run.attachment.params.filter((p) => p.trainable);
      const gradients = new Map(params.map(({ name }) => [name, Float64Array.from(after.get(`adam.m.${name}`)!, (m) => m / (1 - plain.beta1))]));
      const norm = length([...gradients.values()].flatMap((g) => [...g]));

      const evaluator = await Evaluator.create(device, loaded, run.attachment.adapters, SHAPE);
      /** The loss on the batch of step 1, at the start moved by h along a direction. */
      const lossAt = async (h: number, direction: ReadonlyMap<string, ArrayLike<number>>) => {
        for (const p of params) {
          const d = direction.get(p.name);
          write(device, p.tensor, before.get(`param.${p.name}`)!.map((x, i) => x + h * (d?.[i] ?? 0)));
        }
        return (await evaluator.one(randomBatch('batch 0'))).loss;
      };
      const slope = async (h: number, direction: ReadonlyMap<string, ArrayLike<number>>) => ((await lossAt(h, direction)) - (await lossAt(-h, direction))) / (2 * h);

      // The same sums in f32, if perhaps by other kernels.
      expect(series.loss![0]! / (await lossAt(0, new Map()))).toBeCloseTo(1, 5);
      // Two f32 sums of the same squares.
      expect(series.grad_norm![0]! / norm).toBeCloseTo(1, 5);

      // Along the gradient the loss rises by its norm. The loss is off by some ε·6 ≈ 4e-7, which over 2h = 0.02 and a norm of about
      // 5 is 1e-5; the h² term is taken out by a second step length. A gradient that is wrong by a per cent is ten times the bound.
      const along = new Map([...gradients].map(([name, g]) => [name, g.map((x) => x / norm)]));
      const steep = (4 * (await slope(0.005, along)) - (await slope(0.01, along))) / 3;
      expect(Math.abs(steep / series.grad_norm![0]! - 1)).toBeLessThan(1e-3);

      // That alone would pass with a part of the gradient left out, so each tensor is also tried in a random direction of its own.
      for (const [name, g] of gradients) {
        const raw = normals(g.length, `direction ${name}`);
        const unit = Float64Array.from(raw, (x) => x / length(raw));
        const want = g.reduce((sum, x, i) => sum + x * (unit[i] as number), 0);
        // One step length: h² L‴/6 is up to a few thousandths of a tensor's gradient here; noise 4e-7 / h is less.
        expect(Math.abs((await slope(0.02, new Map([[name, unit]]))) - want), name).toBeLessThan(0.02 * length(g));
        expect(length(g), name).toBeGreaterThan(0);
      }
      evaluator.dispose();
    });
  });

  test('learns a planted low-rank change, on tokens it was not trained on', async () => {
    const { data, shape } = await plantedTask();
    const [batch, seq] = shape;
    await trained(setup({ data, training: { steps: BATCHES, batch, seq, lr: 2e-2, schedule: 'linear', warmup: 4, clip: 1 } }), ({ events }) => {
      const losses = events.flatMap((event) => (event.kind === 'eval' ? [event.loss] : []));
      // The frozen base stands at 4 nats and the teacher at 1.6; so few small batches bring an adapter to about 3.
      expect(losses.at(-1)!).toBeLessThan(0.85 * losses[0]!);
    });
  });

  test.each(['dropout' in method.info.fields ? 'with dropout' : 'twice', 'as it is'])('a run paused, saved and resumed elsewhere is the uninterrupted one, bit for bit (%s)', async (how) => {
    // Warm-up, decay of the rate, weight decay and clipping: everything that depends on where a run stands.
    const all: RunSetup = setup({ fields: how === 'with dropout' ? withDropout : fields, training: { steps: 8, schedule: 'cosine', warmup: 3, weightDecay: 0.05, clip: 0.5, saveEvery: 4 } });
    const whole = await trained(all, ({ checkpoint, series }) => ({ checkpoint, series }));

    let paused = () => {};
    const atPause = new Promise<void>((resolve) => { paused = resolve; });
    const { run } = await createRun({ ...all, save: (_, step, on) => { if (step === 4) on.pause(); }, watch: (event) => { if (event.kind === 'status' && event.status === 'paused') paused(); } });
    const end = run.train();
    await atPause;
    expect(run.step).toBe(4);
    const half = await run.checkpoint();
    run.resume();
    expect(await end).toBe('finished');
    expect(sameBytes(await run.checkpoint(), whole.checkpoint)).toBe(true);
    run.dispose();

    const resumed = (bytes: Uint8Array, more: RunSetup = all) => trained({ ...more, resume: bytes }, ({ checkpoint, series }) => ({ checkpoint, series }));
    const second = await resumed(half);
    expect(sameBytes(second.checkpoint, whole.checkpoint)).toBe(true);
    for (const [name, values] of Object.entries(second.series)) expect(values, name).toEqual(whole.series[name]!.slice(4));

    // The comparison can fail: a step left out, and, where there is dropout, draws of another seed.
    const skipped = await resumed(await edited(half, (_, was) => was, { step: '5' }));
    expect(await parametersOf(skipped.checkpoint) === await parametersOf(whole.checkpoint)).toBe(false);
    const reseeded = await resumed(half, { ...all, training: { ...all.training, seed: 8 } });
    expect(await parametersOf(reseeded.checkpoint) === await parametersOf(whole.checkpoint)).toBe(how !== 'with dropout');
  });

  test('a step asks the GPU for nothing: one submission, no wait, nothing made', async () => {
    const attachment = attach(loaded.network, bound, '');
    const { graph, adamw, ring, gradients, ids, labels } = recordTraining(loaded, bound, attachment, plain);
    adamw.allocate(device, groupSettings(bound, plain));
    ring.allocate(device);
    initialise(device, attachment.params, 7);
    const step = await compile(device, graph, { place: adamw.places(device, gradients) });
    const batch = randomBatch('replay');
    const inputs = new Map<Tensor, HostData>([[ids, batch.input_ids], [labels, batch.labels]]);
    const before = await readF32(device, adamw.params);

    const probe = device.gpu.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST });
    const submits = vi.spyOn(Object.getPrototypeOf(device.gpu.queue) as GPUQueue, 'submit');
    const waits = vi.spyOn(Object.getPrototypeOf(device.gpu.queue) as GPUQueue, 'onSubmittedWorkDone');
    const maps = vi.spyOn(Object.getPrototypeOf(probe) as GPUBuffer, 'mapAsync');
    const made = (['createBuffer', 'createBindGroup', 'createComputePipeline', 'createComputePipelineAsync', 'createShaderModule'] as const).map((name) => vi.spyOn(Object.getPrototypeOf(device.gpu) as GPUDevice, name));
    for (let t = 1; t <= 5; t++) step.run(inputs, { step: t, seed: 7, lr: 1e-2, ...adamw.bias(t) });
    expect(submits).toHaveBeenCalledTimes(5);
    for (const spy of [waits, maps, ...made]) expect(spy).not.toHaveBeenCalled();

    // The spies see what they are set on, and the steps did their work.
    expect(await readF32(device, adamw.params)).not.toEqual(before);
    expect(maps).toHaveBeenCalledTimes(1);
    await device.idle();
    expect(waits).toHaveBeenCalledTimes(1);
    probe.destroy();
    step.dispose();
    adamw.dispose(device);
    ring.dispose(device);
    detach(device, attachment);
    for (const t of [ids, labels]) free(device, t);
  });

  test('stopping keeps the adapter as it stands', async () => {
    const short = await trained(setup({ training: { steps: 3 } }), async ({ run }) => (await run.exportPeft('tiny')).folder.files[0]!.bytes);
    await trained(setup({ training: { steps: 1000, saveEvery: 3 }, save: (_, __, run) => run.stop() }), async ({ run, reason, events }) => {
      expect(reason).toBe('stopped');
      expect(run.step).toBe(3);
      expect(events.at(-1)).toMatchObject({ kind: 'ended', reason: 'stopped', step: 3 });
      expect(sameBytes((await run.exportPeft('tiny')).folder.files[0]!.bytes, short)).toBe(true);
    });
  });

  test('a rate that blows the run up ends it by name, with the finite state of the step before', async () => {
    const wild = { lr: 1e30, steps: 50 };
    const before = await trained(setup({ training: { ...wild, steps: 1 } }), ({ checkpoint }) => numbersOf(checkpoint));
    const saved: { bytes: Uint8Array; step: number }[] = [];
    await trained(setup({ training: wild, save: (bytes, step) => { saved.push({ bytes, step }); } }), async ({ run, reason, events }) => {
      expect(reason).toBe('failed');
      expect(run.error).toBeInstanceOf(NonFiniteError);
      expect(String(run.error)).toContain('step 2:');
      expect(events.at(-1)).toMatchObject({ kind: 'ended', reason: 'failed', step: 1, error: { name: 'NonFiniteError' } });
    });
    expect(saved.map(({ step }) => step)).toEqual([1]);
    const kept = await numbersOf(saved[0]!.bytes);
    expect([...kept.values()].every((numbers) => numbers.every(Number.isFinite))).toBe(true);
    expect(kept).toEqual(before);
  });

  test('a base that goes bad in the middle of a run ends it with the very state before', async () => {
    const spoilt = await loadTiny(device);
    const saved: { bytes: Uint8Array; step: number }[] = [];
    const poison = (bytes: Uint8Array, step: number) => {
      saved.push({ bytes, step });
      const { tensor: t } = spoilt.network.weights.get('model.layers.1.mlp.down_proj.weight')!;
      if (saved.length === 1) write(device, t, new Float32Array(t.shape[0]! * t.shape[1]!).fill(Number.NaN));
    };
    await trained(setup({ loaded: spoilt, training: { steps: 50, saveEvery: 3 }, save: poison }), ({ run, reason }) => {
      expect(reason).toBe('failed');
      expect(String(run.error)).toContain('step 4:');
      expect(run.step).toBe(3);
    });
    expect(saved[0]!.step).toBe(3);
    expect(saved.at(-1)!.step).toBe(3);
    expect(sameBytes(saved.at(-1)!.bytes, saved[0]!.bytes)).toBe(true);
    freeWeights(device, spoilt);
  });

  test('a run gives back every byte it took', async () => {
    const before = device.bytes;
    await trained(setup({ training: { steps: 2 } }), ({ run }) => run.exportPeft('tiny'));
    expect(device.bytes).toBe(before);
  });
});

/** None is seen twice, so that there is nothing to learn by heart. */
const BATCHES = 60;
let planted: Promise<{ data: TestData; shape: readonly [number, number] }> | undefined;

/** Random tokens, labelled with what the base plus a rank-2 change of three layers a block finds likeliest. Made once. */
function plantedTask() {
  planted ??= (async () => {
    const shape = [4, 16] as const;
    const tensors = tinyTensors(LLAMA).map((t) => {
      if (!/(v|o|down)_proj/.test(t.name)) return t;
      const [out, inn] = t.shape as [number, number];
      const [u, v] = [normals(2 * out, `u ${t.name}`), normals(2 * inn, `v ${t.name}`, 1 / Math.sqrt(inn))];
      const change = (o: number, i: number) => u[2 * o]! * v[2 * i]! + u[2 * o + 1]! * v[2 * i + 1]!;
      return { ...t, dtype: 'F32' as const, data: Float32Array.from(t.data, (x, at) => x + change(Math.floor(at / inn), at % inn)) };
    });
    const teacher = await loadFolder(device, folderOf(LLAMA, writeSafetensors(tensors)));
    const evaluator = await Evaluator.create(device, teacher, noAdapters, shape, { logits: true });
    const batches: TokenBatch[] = [];
    for (let i = 0; i < BATCHES + 2; i++) {
      const input_ids = tokens(shape[0] * shape[1], LLAMA.vocab_size, `planted ${i}`);
      const logits = await evaluator.logitsOf({ input_ids, labels: new Int32Array(input_ids.length) });
      // The label at t + 1 is what position t is to say; a row's first label predicts nothing.
      batches.push({ input_ids, labels: Int32Array.from(input_ids, (_, at) => (at % shape[1] === 0 ? -100 : likeliest(logits.subarray((at - 1) * LLAMA.vocab_size, at * LLAMA.vocab_size)))) });
    }
    evaluator.dispose();
    freeWeights(device, teacher);
    return { shape, data: { batch: (step: number) => batches[step % BATCHES]!, validation: () => batches.slice(BATCHES) } };
  })();
  return planted;
}

const likeliest = (logits: Float32Array) => logits.reduce((best, x, i) => (x > logits[best]! ? i : best), 0);
