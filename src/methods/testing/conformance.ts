// What every method must keep, whatever it does, as checks that are run on a method and a subject: a tiny model that goes through the
// real readers. Each throws where the method breaks its promise; conformance.test.ts also runs them on methods with planted faults.
import { expect, vi } from 'vitest';
import type { Device } from '../../engine/gpu/device';
import { noAdapters } from '../../engine/nn/site';
import { Graph } from '../../engine/tensor/graph';
import { free, layout, readF32, upload, write } from '../../engine/tensor/memory';
import { compile, partsOf } from '../../engine/tensor/step';
import { type Tensor, elements, tensor } from '../../engine/tensor/tensor';
import { bytesSource, openSafetensors, writeSafetensors } from '../../formats/safetensors';
import { attach, countTrainable, detach } from '../../training/attach';
import { type Method, bind } from '../../training/contract';
import { Evaluator, type TokenBatch } from '../../training/evaluate';
import { exportValues, mergedWeights } from '../../training/export';
import { attachFolder } from '../../training/import';
import { type LoadedModel, freeWeights } from '../../training/loaded';
import { planRun } from '../../training/plan';
import { recordGradients, recordLoss } from '../../training/step';
import { batchTensors, callOf, hostInputs } from '../../training/task';
import { taskLoss } from '../../training/task-loss';
import { taskCard } from '../../training/tasks';
import { ConfigError, NonFiniteError } from '../../util/errors';
import { length, logitsOf, share, weightsOf } from './logits';
import { normals, tokens } from './random';
import { type RunSetup, SHAPE, type TestData, configOf, createRun, edited, liveOf, numbersOf, parametersOf, randomBatch, sameBytes, startOf, trained } from './runs';
import { type TextConfig, folderOf, loadFolder, tinyTensors } from './tiny';

/** A model that methods are tried on. */
export interface Subject {
  readonly name: string;
  readonly config: TextConfig;
  readonly device: Device;
  readonly loaded: LoadedModel;
  /** The same model anew, to be spoilt. */
  fresh(): Promise<LoadedModel>;
  /** Layers whose weights the planted task changes. */
  readonly changed: RegExp;
}

/** How a method is run where its defaults do not suit runs of a few steps. */
export interface Case {
  readonly method: Method;
  readonly fields?: Readonly<Record<string, number | boolean | string>>;
  /** Its output at the start is the base's: bit for bit unless said; 'close' where it takes its own start away again. */
  readonly start?: 'bits' | 'close' | 'other';
  /** It draws nothing from the seed, not even its start. */
  readonly unseeded?: boolean;
  /** The weights that it trains stand in for all of the model's: what happens to those does not reach it. */
  readonly standsIn?: boolean;
  /** It draws from the seed while it trains, apart from dropout. */
  readonly draws?: boolean;
  /** How far parameters are moved off their start where none may be zero; 0.2. */
  readonly spread?: number;
  /** Fields with which what is made for all layers at once is tried, where others do without. */
  readonly jointly?: Readonly<Record<string, number | boolean | string>>;
  /** Learning rate for the planted task. */
  readonly lr?: number;
}

export type Check = (subject: Subject, one: Case) => Promise<void>;

const setupOf = ({ device, loaded }: Subject, { method, fields = {} }: Case) => (more: Partial<RunSetup> = {}): RunSetup => ({ device, loaded, method, fields, ...more });
/** A checkpoint at step 0 whose parameters are all moved off their start, so that no factor is zero. */
const genericOf = (subject: Subject, one: Case) => startOf(setupOf(subject, one)(), (name, was) => normals(was.length, `generic ${name}`, one.spread ?? 0.2).map((x, i) => x + (was[i] as number)));
const hasDropout = ({ method }: Case) => 'dropout' in method.info.fields;
const withDropout = (one: Case): Case => (hasDropout(one) ? { ...one, fields: { ...one.fields, dropout: 0.3 } } : one);
const isLora = ({ method: { info } }: Case) => info.exports === 'lora-exact' || info.exports === 'lora-svd';
/** Parameters and moments alone: what the host writes ahead of a step that went bad is not theirs. */
const numbersIn = async (checkpoint: Uint8Array) => new Map([...(await numbersOf(checkpoint))].filter(([name]) => /^(param|adam|lasting)\./.test(name)));

export const checks: Readonly<Record<string, Check>> = {
  async 'at the start the output is the base’s'(subject, one) {
    const { device, loaded } = subject;
    const { run } = await createRun(setupOf(subject, one)());
    const batch = randomBatch('start');
    const [got, want] = [await logitsOf(device, loaded, run.attachment.adapters, batch), await logitsOf(device, loaded, noAdapters, batch)];
    // With a factor at zero the branch adds exact zeros to what the base layer computed: nothing may round.
    if ((one.start ?? 'bits') === 'bits') expect(got).toEqual(want);
    else if (one.start === 'close') expect(share(got, want)).toBeLessThan(1e-5);
    else expect(share(got, want)).toBeGreaterThan(1e-5);
    run.dispose();
  },

  async 'apply(x) is base(x, weight(), bias())'(subject, one) {
    const { device } = subject;
    const { run } = await createRun(setupOf(subject, one)({ resume: await genericOf(subject, one) }));
    for (const site of run.attachment.sites) {
      const [out, inn] = site.shape;
      const rows = 5;
      const adapter = run.attachment.adapters.get(site.name)!;
      const x = upload(device, tensor('x', [1, rows, inn], 'input'), normals(rows * inn, `x ${site.name}`));
      const graph = new Graph();
      const [fast, effective, offset] = graph.record(() => [adapter.apply?.(x, { training: false }) ?? site.base(x, adapter.weight(), adapter.bias?.()), adapter.weight(), adapter.bias?.() ?? site.bias] as const);
      const step = await compile(device, graph, { keep: [fast, effective, ...(offset ? [offset] : [])] });
      step.run();
      const [got, weight, base, input] = [await step.read(fast), await step.read(effective), await readF32(device, site.weight), await readF32(device, x)];
      const bias = offset ? await step.read(offset) : new Float32Array(out);
      for (let r = 0; r < rows; r++) {
        for (let o = 0; o < out; o++) {
          let [want, size] = [bias[o] as number, 2 * Math.abs(bias[o] as number)];
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
  },

  async 'merged weights, and the exported files attached afresh, give the logits of the run'(subject, one) {
    const { device, loaded, config } = subject;
    const { run } = await createRun(setupOf(subject, one)({ resume: await genericOf(subject, one) }));
    const batch = randomBatch('merge');
    const [base, live] = [await logitsOf(device, loaded, noAdapters, batch), await logitsOf(device, loaded, run.attachment.adapters, batch)];
    expect(share(live, base)).toBeGreaterThan(0.1);

    // The same sums in another order, through two blocks: an ε or so of each of some hundred terms, far below the effect above.
    const bound = 1e-5;
    if (![...run.attachment.adapters.keys()].some((name) => run.attachment.adapters.get(name)?.bias && !loaded.network.weights.has(`${name}.bias`))) {
      const merged = await loadFolder(device, folderOf(config, await mergedWeights(device, loaded, run.attachment.adapters, 'F32')));
      expect(share(await logitsOf(device, merged, noAdapters, batch), live)).toBeLessThan(bound);
      freeWeights(device, merged);
    } else {
      // A bias that the model has no place for cannot be merged, and that is said.
      await expect(mergedWeights(device, loaded, run.attachment.adapters, 'F32')).rejects.toThrow(ConfigError);
    }

    const { folder, receipt } = await run.exportPeft('tiny');
    const files = await attachFolder(device, loaded, new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)])), [one.method]);
    expect(share(await logitsOf(device, loaded, files.attachment.adapters, batch), live)).toBeLessThan(bound);
    detach(device, files.attachment);
    const largest = Math.max(...live.map(Math.abs));
    expect(receipt.maxLogitDifference).toBeLessThan(bound * largest);
    expect(receipt.effect).toBeGreaterThan(0.1 * largest);
    run.dispose();
  },

  async 'the exported files hold what their format wants: names, shapes, ranks and alphas'(subject, one) {
    const { device, loaded } = subject;
    const { run } = await createRun(setupOf(subject, one)({ resume: await genericOf(subject, one) }));
    const { folder, receipt } = await run.exportPeft('tiny');
    const bytesOf = (name: string) => folder.files.find((file) => file.name === name)!.bytes;
    if (one.method.info.exports === 'native') {
      const { metadata, entries } = await openSafetensors(bytesSource('native', bytesOf('lowrank_adapter.safetensors')));
      expect(metadata).toMatchObject({ format: 'lowrank-adapter-1', method: one.method.info.slug, base_model: 'tiny' });
      expect(JSON.parse(metadata.sites!)).toEqual(run.attachment.sites.map(({ name }) => name));
      expect(JSON.parse(metadata.fields!)).toMatchObject(one.fields ?? {});
      expect(new Map(entries.map(({ name, shape }) => [name, [...shape]]))).toEqual(new Map(run.attachment.params.map((p) => [`param.${p.name}`, [...p.tensor.shape]])));
      run.dispose();
      return;
    }
    const config = JSON.parse(new TextDecoder().decode(bytesOf('adapter_config.json'))) as { peft_type: string; r: number; lora_alpha: number; rank_pattern: Record<string, number>; alpha_pattern: Record<string, number>; target_modules: string[]; task_type: string; base_model_name_or_path: string };
    expect(config).toMatchObject({ peft_type: one.method.peft?.type ?? 'LORA', task_type: taskCard(loaded.task.kind).peft, base_model_name_or_path: 'tiny' });
    const file = await openSafetensors(bytesSource('adapter_model.safetensors', bytesOf('adapter_model.safetensors')));
    expect(file.metadata).toEqual({ format: 'pt' });
    const isTarget = (name: string) => config.target_modules.some((target) => name === target || name.endsWith(`.${target}`));
    // Nothing but what is adapted is a target.
    for (const name of loaded.network.sites.keys()) expect(isTarget(name), name).toBe(run.attachment.adapters.has(name));
    if (isLora(one)) {
      // PEFT: re.match(rf"(.*\.)?({key})$", name).
      const lookUp = (pattern: Record<string, number>, name: string, fallback: number) => Object.entries(pattern).find(([key]) => new RegExp(`^(?:.*\\.)?(?:${key})$`).test(name))?.[1] ?? fallback;
      for (const { site, values } of await exportValues(device, run.attachment)) {
        const [out, inn] = site.shape;
        const [a, b] = [file.byName.get(`base_model.model.${site.name}.lora_A.weight`), file.byName.get(`base_model.model.${site.name}.lora_B.weight`)];
        const rank = lookUp(config.rank_pattern, site.name, config.r);
        expect([a?.shape, b?.shape], site.name).toEqual([[rank, inn], [out, rank]]);
        expect(receipt.ranks[site.name]).toBe(rank);
        // What PEFT computes of the files, in double precision, against the method's own factors.
        const own = run.attachment.adapters.get(site.name)!.lora!(values);
        expect(lookUp(config.alpha_pattern, site.name, config.lora_alpha) / rank).toBeCloseTo(own.scale, 12);
      }
      // A bias may come beside B where the layer has one.
      expect(file.entries.filter(({ name }) => !name.endsWith('.lora_B.bias'))).toHaveLength(2 * run.attachment.sites.length);
    }
    run.dispose();
  },

  async 'twenty steps leave the base and everything frozen bit for bit as it was'(subject, one) {
    const { device, loaded } = subject;
    const before = await weightsOf(device, loaded);
    const { run: fresh } = await createRun(setupOf(subject, one)());
    const frozen = await Promise.all(fresh.attachment.params.filter((p) => !p.trainable).map(async (p) => [p.name, new Uint8Array((await device.read(device.slices.get(p.tensor.id)!)).slice(0))] as const));
    fresh.dispose();
    await trained(setupOf(subject, one)({ training: { steps: 20, weightDecay: 0.1 } }), async ({ run, reason }) => {
      expect(reason).toBe('finished');
      expect(await weightsOf(device, loaded)).toEqual(before);
      for (const [name, start] of frozen) {
        const now = run.attachment.params.find((p) => p.name === name)!;
        expect(sameBytes(new Uint8Array(await device.read(device.slices.get(now.tensor.id)!)), start), name).toBe(true);
      }
    });
  },

  async 'trainable parameters are counted as its specification counts them'(subject, one) {
    const { loaded } = subject;
    const { method, fields = {} } = one;
    const bound = bind(method, fields);
    const attachment = attach(loaded.network, bound, '');
    const formula = attachment.sites.reduce((sum, site) => sum + method.trainable(site.shape, bound.config, site.bias !== undefined), 0)
      + attachment.weights.reduce((sum, { shape }) => sum + (method.trainableWeight?.(shape, bound.config) ?? 0), 0) + (method.shared?.(attachment.sites, bound.config) ?? 0);
    const plan = planRun(loaded, bound, configOf(setupOf(subject, one)()), { largestBuffer: 2 ** 30 });
    expect(countTrainable(attachment.params)).toBe(formula);
    expect(plan.trainable).toBe(formula);
    expect(plan.byModule.reduce((sum, { trainable }) => sum + trainable, 0)).toBe(formula);
    expect(plan.byModule.reduce((sum, { sites }) => sum + sites, 0)).toBe(attachment.sites.length + attachment.weights.length);
  },

  async 'the same seed gives the same bytes, another seed others'(subject, one) {
    const bytesWith = (seed: number, with_ = one) => trained(setupOf(subject, with_)({ training: { steps: 3, seed } }), async ({ run }) => (await run.exportPeft('tiny')).folder.files.map((file) => file.bytes));
    const [first, again, other] = [await bytesWith(7), await bytesWith(7), await bytesWith(8)];
    expect(again.every((bytes, i) => sameBytes(bytes, first[i]!))).toBe(true);
    expect(sameBytes(other[0]!, first[0]!)).toBe(one.unseeded ?? false);
    if (!hasDropout(one)) return;
    const [noisy, noisyAgain] = [await bytesWith(7, withDropout(one)), await bytesWith(7, withDropout(one))];
    expect(sameBytes(noisy[0]!, noisyAgain[0]!)).toBe(true);
  },

  async 'loss, gradient norm and every gradient agree with differences of evaluations'(subject, one) {
    const { device, loaded } = subject;
    const start = await genericOf(subject, one);
    const before = await numbersOf(start);
    await trained(setupOf(subject, one)({ resume: start, training: { steps: 1 } }), async ({ run, series }) => {
      const { adamw, attachment } = liveOf(run);
      const params = attachment.params.filter((p) => p.trainable);
      const all = await readF32(device, adamw.gradients);
      const { starts } = layout(params.map((p) => p.tensor));
      const gradients = new Map(params.map((p, i) => [p.name, Float64Array.from(all.subarray(starts[i], starts[i]! + elements(p.tensor)))]));
      // What is frozen in this step has no gradient and is not moved below either.
      const open = new Map(params.map((p) => [p.name, p.mask ? gradients.get(p.name)!.map((g) => Number(g !== 0)) : null]));
      const norm = length([...gradients.values()].flatMap((g) => [...g]));

      // The loss as training computes it, on the batch of step 1, with what the host wrote for that step.
      const inputs = batchTensors(loaded, SHAPE);
      const graph = new Graph();
      const { total, loss } = graph.record(() => recordLoss(loaded, bind(one.method, one.fields ?? {}), attachment, inputs, adamw));
      const step = await compile(device, graph, { keep: [total, loss] });
      const batch = randomBatch('batch 0');
      /** At the start moved by h along a direction. */
      const lossAt = async (h: number, direction: ReadonlyMap<string, ArrayLike<number>>, which = total) => {
        for (const p of params) {
          const d = direction.get(p.name);
          write(device, p.tensor, before.get(`param.${p.name}`)!.map((x, i) => x + h * (d?.[i] ?? 0)));
        }
        step.run(hostInputs(inputs, batch));
        return (await step.read(which))[0]!;
      };
      const slope = async (h: number, direction: ReadonlyMap<string, ArrayLike<number>>) => ((await lossAt(h, direction)) - (await lossAt(-h, direction))) / (2 * h);

      // The same sums in f32, if perhaps by other kernels.
      expect(series.loss![0]! / (await lossAt(0, new Map(), loss))).toBeCloseTo(1, 5);
      // Two f32 sums of the same squares.
      expect(series.grad_norm![0]! / norm).toBeCloseTo(1, 5);

      // Along the gradient the loss rises by its norm. The loss is off by some ε·6 ≈ 4e-7, which over 2h = 0.02 and a norm of about
      // 5 is 1e-5; the h² term is taken out by a second step length. A gradient that is wrong by a per cent is ten times the bound.
      const along = new Map([...gradients].map(([name, g]) => [name, g.map((x) => x / norm)]));
      const steep = (4 * (await slope(0.005, along)) - (await slope(0.01, along))) / 3;
      expect(Math.abs(steep / series.grad_norm![0]! - 1)).toBeLessThan(1e-3);

      // That alone would pass with a part of the gradient left out, so each tensor is also tried in a random direction of its own.
      for (const [name, g] of gradients) {
        const raw = normals(g.length, `direction ${name}`).map((x, i) => x * (open.get(name)?.[i] ?? 1));
        expect(length(g), name).toBeGreaterThan(0);
        const unit = Float64Array.from(raw, (x) => x / length(raw));
        const want = g.reduce((sum, x, i) => sum + x * (unit[i] as number), 0);
        // One step length: h² L‴/6 is up to a few thousandths of a tensor's gradient here; noise 4e-7 / h is less.
        // A key's bias without rotation moves all scores of a row alike: its gradient is 0, and what is measured is the noise of two losses.
        expect(Math.abs((await slope(0.02, new Map([[name, unit]]))) - want), name).toBeLessThan(0.02 * length(g) + 2e-5);
      }
      step.dispose();
      for (const t of Object.values(inputs) as Tensor[]) free(device, t);
    });
  },

  async 'what is made for all layers at once has the loss and the gradients of each layer by itself'(subject, given) {
    if (!given.method.joint) return;
    const one = { ...given, fields: { ...given.fields, ...given.jointly }, method: { ...given.method, penalty: () => undefined } };
    const { device, loaded } = subject;
    const { run } = await createRun(setupOf(subject, one)({ resume: await genericOf(subject, one) }));
    const { adamw, attachment } = liveOf(run);
    const bound = bind(one.method, one.fields);
    const params = attachment.params.filter((p) => p.trainable);
    const inputs = batchTensors(loaded, SHAPE);
    const [graph, plain] = [new Graph(), new Graph()];
    const all = graph.record(() => recordGradients(graph, loaded, bound, attachment, inputs, adamw));
    const each = plain.record(() => {
      const { loss } = taskLoss(loaded, attachment.adapters, callOf(inputs, { training: true, heads: attachment.heads }), inputs.labels, bound);
      return { loss, gradients: plain.grad(loss, params.map((p) => p.tensor)) };
    });
    const jointly = await compile(device, graph, { keep: [all.loss], place: adamw.places(device, all.gradients, [], all.joint) });
    const apart = await compile(device, plain, { keep: [each.loss, ...each.gradients] });
    const batch = hostInputs(inputs, randomBatch('jointly'));
    for (const step of [jointly, apart]) step.run(batch, { step: 1, seed: 7 });
    expect((await jointly.read(all.loss))[0]! / (await apart.read(each.loss))[0]!).toBeCloseTo(1, 6);
    const flat = await readF32(device, adamw.gradients);
    // The same products in another order: a few ε of the largest number.
    for (const [i, p] of params.entries()) {
      const [want, from] = [await apart.read(each.gradients[i]!), adamw.at(p.tensor)];
      const largest = Math.max(...want.map(Math.abs));
      expect(largest, p.name).toBeGreaterThan(0);
      expect(Math.max(...want.map((x, j) => Math.abs(x - flat[from + j]!))), p.name).toBeLessThan(2e-5 * largest);
    }
    for (const step of [jointly, apart]) step.dispose();
    for (const t of Object.values(inputs) as Tensor[]) free(device, t);
    run.dispose();
  },

  async 'learns a planted low-rank change, on tokens it was not trained on'(subject, one) {
    const { data, shape } = await plantedTask(subject);
    const [batch, seq] = shape;
    await trained(setupOf(subject, one)({ data, training: { steps: BATCHES, batch, seq, lr: one.lr ?? 2e-2, schedule: 'linear', warmup: 4, clip: 1 } }), ({ events }) => {
      const losses = events.flatMap((event) => (event.kind === 'eval' ? [event.loss] : []));
      // The frozen base stands at 4 nats and the teacher at 1.6; so few small batches bring an adapter to about 3.
      expect(losses.at(-1)!).toBeLessThan(0.85 * losses[0]!);
    });
  },

  async 'a run paused, saved and resumed elsewhere is the uninterrupted one, bit for bit'(subject, one) {
    await resumes(subject, one);
    if (hasDropout(one)) await resumes(subject, withDropout(one));
  },

  async 'a step asks the GPU for nothing: a submission or a few, no wait, nothing made'(subject, one) {
    const { device } = subject;
    const { run } = await createRun(setupOf(subject, one)());
    const { compiled, adamw, inputs: tensors } = liveOf(run);
    const inputs = hostInputs(tensors, randomBatch('replay'));
    const before = await readF32(device, adamw.params);

    const probe = device.gpu.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST });
    const submits = vi.spyOn(Object.getPrototypeOf(device.gpu.queue) as GPUQueue, 'submit');
    const waits = vi.spyOn(Object.getPrototypeOf(device.gpu.queue) as GPUQueue, 'onSubmittedWorkDone');
    const maps = vi.spyOn(Object.getPrototypeOf(probe) as GPUBuffer, 'mapAsync');
    const made = (['createBuffer', 'createBindGroup', 'createComputePipeline', 'createComputePipelineAsync', 'createShaderModule'] as const).map((name) => vi.spyOn(Object.getPrototypeOf(device.gpu) as GPUDevice, name));
    for (let t = 1; t <= 5; t++) compiled.run(inputs, { step: t, seed: 7, lr: 1e-2, ...adamw.bias(t) });
    // Long steps are handed over in parts, each step in as many.
    expect(submits).toHaveBeenCalledTimes(5 * partsOf(compiled.cost.dispatches).length);
    for (const spy of [waits, maps, ...made]) expect(spy).not.toHaveBeenCalled();

    // The spies see what they are set on, and the steps did their work.
    expect(await readF32(device, adamw.params)).not.toEqual(before);
    expect(maps).toHaveBeenCalledTimes(1);
    await device.idle();
    expect(waits).toHaveBeenCalledTimes(1);
    probe.destroy();
    vi.restoreAllMocks();
    run.dispose();
  },

  async 'stopping keeps the adapter as it stands'(subject, one) {
    const setup = setupOf(subject, one);
    const steps = 1000;
    const short = await trained(setup({ training: { steps, saveEvery: 3 }, save: (_, step, run) => { if (step === 3) run.stop(); } }), async ({ run, reason, events, checkpoint }) => {
      expect(reason).toBe('stopped');
      expect(run.step).toBe(3);
      expect(events.at(-1)).toMatchObject({ kind: 'ended', reason: 'stopped', step: 3 });
      return { checkpoint, bytes: (await run.exportPeft('tiny')).folder.files[0]!.bytes };
    });
    const { run } = await createRun(setup({ training: { steps }, resume: short.checkpoint }));
    expect(sameBytes((await run.exportPeft('tiny')).folder.files[0]!.bytes, short.bytes)).toBe(true);
    run.dispose();
  },

  async 'a rate that blows the run up ends it by name, with the finite state of the step before'(subject, one) {
    const setup = setupOf(subject, one);
    const wild = { lr: 1e30, steps: 50 };
    const saved: { bytes: Uint8Array; step: number }[] = [];
    const last = await trained(setup({ training: wild, save: (bytes, step) => { saved.push({ bytes, step }); } }), async ({ run, reason, events }) => {
      expect(reason).toBe('failed');
      expect(run.error).toBeInstanceOf(NonFiniteError);
      expect(String(run.error)).toContain(`step ${run.step + 1}:`);
      expect(run.step).toBeGreaterThan(0);
      expect(events.at(-1)).toMatchObject({ kind: 'ended', reason: 'failed', step: run.step, error: { name: 'NonFiniteError' } });
      return run.step;
    });
    expect(saved.map(({ step }) => step)).toEqual([last]);
    const kept = await numbersIn(saved[0]!.bytes);
    expect([...kept.values()].every((numbers) => numbers.every(Number.isFinite))).toBe(true);
    // The same run, saved after every step.
    let at: Uint8Array | null = null;
    await trained(setup({ training: { ...wild, saveEvery: 1 }, save: (bytes, step) => { if (step === last) at ??= bytes; } }), () => {});
    expect(kept).toEqual(await numbersIn(at!));
  },

  async 'a base that goes bad in the middle of a run ends it with the very state before'(subject, one) {
    const { device } = subject;
    const spoilt = await subject.fresh();
    const saved: { bytes: Uint8Array; step: number }[] = [];
    const poison = (bytes: Uint8Array, step: number) => {
      saved.push({ bytes, step });
      const [, { tensor: t }] = [...spoilt.network.weights].find(([name]) => /1\.(mlp\.(down_proj|c_proj)|output\.dense)\.weight$/.test(name))!;
      if (saved.length === 1) write(device, t, new Float32Array(elements(t)).fill(Number.NaN));
    };
    await trained(setupOf(subject, one)({ loaded: spoilt, training: { steps: one.standsIn ? 6 : 50, saveEvery: 3 }, save: poison }), ({ run, reason }) => {
      expect(reason).toBe(one.standsIn ? 'finished' : 'failed');
      if (one.standsIn) return;
      expect(String(run.error)).toContain('step 4:');
      expect(run.step).toBe(3);
    });
    expect(saved[0]!.step).toBe(3);
    if (!one.standsIn) {
      expect(saved.at(-1)!.step).toBe(3);
      expect(await numbersIn(saved.at(-1)!.bytes)).toEqual(await numbersIn(saved[0]!.bytes));
    }
    freeWeights(device, spoilt);
  },

  async 'a run gives back every byte it took'(subject, one) {
    const { device } = subject;
    const before = device.bytes;
    await trained(setupOf(subject, one)({ training: { steps: 2 } }), ({ run }) => run.exportPeft('tiny'));
    expect(device.bytes).toBe(before);
  },
};

async function resumes(subject: Subject, one: Case): Promise<void> {
  // Warm-up, decay of the rate, weight decay and clipping: everything that depends on where a run stands.
  const all = setupOf(subject, one)({ training: { steps: 8, schedule: 'cosine', warmup: 3, weightDecay: 0.05, clip: 0.5, saveEvery: 4 } });
  const whole = await trained(all, ({ checkpoint, series }) => ({ checkpoint, series }));

  let paused = () => {};
  const atPause = new Promise<void>((resolve) => { paused = resolve; });
  const { run } = await createRun({ ...all, save: (_, step, on) => { if (step === 4) on.pause(); }, watch: (event) => { if (event.kind === 'status' && event.status === 'paused') paused(); } });
  const end = run.train();
  await Promise.race([atPause, end]);
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

  // The comparison can fail: a step left out, and, where something is drawn, draws of another seed.
  const skipped = await resumed(await edited(half, (_, was) => was, { step: '5' }));
  expect(await parametersOf(skipped.checkpoint) === await parametersOf(whole.checkpoint)).toBe(false);
  const reseeded = await resumed(half, { ...all, training: { ...all.training, seed: 8 } });
  expect(await parametersOf(reseeded.checkpoint) === await parametersOf(whole.checkpoint)).toBe(!one.draws && !(Number(one.fields?.dropout ?? 0) > 0));
}

/** None is seen twice, so that there is nothing to learn by heart. */
const BATCHES = 60;
const planted = new Map<string, Promise<{ data: TestData; shape: readonly [number, number] }>>();

/** Random tokens, labelled with what the base plus a rank-2 change of some layers finds likeliest. Made once a subject. */
function plantedTask(subject: Subject) {
  const { name, device, config, changed } = subject;
  const made = planted.get(name) ?? (async () => {
    const shape = [4, 16] as const;
    const tensors = tinyTensors(config).map((t) => {
      if (!changed.test(t.name)) return t;
      const [out, inn] = t.shape as [number, number];
      const [u, v] = [normals(2 * out, `u ${t.name}`), normals(2 * inn, `v ${t.name}`, 1 / Math.sqrt(inn))];
      const change = (o: number, i: number) => u[2 * o]! * v[2 * i]! + u[2 * o + 1]! * v[2 * i + 1]!;
      return { ...t, dtype: 'F32' as const, data: Float32Array.from(t.data, (x, at) => x + change(Math.floor(at / inn), at % inn)) };
    });
    const teacher = await loadFolder(device, folderOf(config, writeSafetensors(tensors)));
    const evaluator = await Evaluator.create(device, teacher, noAdapters, shape, { logits: true });
    const batches: TokenBatch[] = [];
    for (let i = 0; i < BATCHES + 2; i++) {
      const input_ids = tokens(shape[0] * shape[1], config.vocab_size, `planted ${i}`);
      const logits = await evaluator.logitsOf({ input_ids, labels: new Int32Array(input_ids.length) });
      // The label at t + 1 is what position t is to say; a row's first label predicts nothing.
      batches.push({ input_ids, labels: Int32Array.from(input_ids, (_, at) => (at % shape[1] === 0 ? -100 : likeliest(logits.subarray((at - 1) * config.vocab_size, at * config.vocab_size)))) });
    }
    evaluator.dispose();
    freeWeights(device, teacher);
    return { shape, data: { batch: (step: number) => batches[step % BATCHES]!, validation: () => batches.slice(BATCHES) } };
  })();
  planted.set(name, made);
  return made;
}

const likeliest = (logits: Float32Array) => logits.reduce((best, x, i) => (x > logits[best]! ? i : best), 0);
