// One run: a method trained on a model and data by replaying one recorded step. The loop hands steps to the GPU and never waits
// for a loss; numbers come back through the metric ring a few times a second.
import type { Dataset } from '../data/dataset';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { scheduleShare } from '../engine/optim/schedule';
import { RING_COLUMNS } from '../engine/optim/ring';
import { readF32, write } from '../engine/tensor/memory';
import type { Tensor } from '../engine/tensor/tensor';
import type { PeftAdapter, PeftFolder } from '../formats/peft';
import { type ByteSource, bytesSource, openSafetensors } from '../formats/safetensors';
import { NonFiniteError, StudioError, toFailure } from '../util/errors';
import { type Attachment, selectSites, writeInput } from './attach';
import { openCheckpoint, writeCheckpoint } from './checkpoint';
import type { HeatmapData } from './card';
import type { RunConfig } from './config';
import type { BoundMethod, Phase, SiteValues } from './contract';
import type { RunEvent, SampleResult } from './events';
import { type Receipt, exportAdapter, readSites, receiptOf } from './export';
import { Generator, promptIds } from './generate';
import { insightsOf } from './insights';
import type { AfterStep, RunState, Trainer } from './host';
import { type LiveRun, goLive, releaseNumbers, releaseStep } from './live';
import type { LoadedModel } from './loaded';
import { checkRun, phasesOf } from './plan';
import { prepare, randomOf } from './prepare';
import { fineTune } from './recipes/fine-tune';
import { afterEvaluation, reasonToStop, unseen } from './stopping';
import { hostInputs, shapeOf, unitsOf } from './task';
import { taskCard } from './tasks';

/** Steps handed to the GPU but not done. Enough to keep it busy, few enough that pausing feels immediate. */
const IN_FLIGHT = 3;
/** Time between two looks at the metric ring, and between two looks at a method's views. */
const METRICS_MS = 100;
const VIEWS_MS = 700;

export interface RunOptions {
  readonly device: Device;
  readonly loaded: LoadedModel;
  readonly data: Dataset;
  readonly bound: BoundMethod;
  readonly config: RunConfig;
  readonly listener: (event: RunEvent) => void;
  readonly resume?: ByteSource;
  /** An adapter to go on from, in place of the random start. */
  readonly from?: PeftAdapter;
  /** Called where a checkpoint is due; the run waits for it. */
  readonly save?: (bytes: Uint8Array, step: number) => Promise<void>;
  /** Milliseconds after which a checkpoint is due whatever `saveEvery` says; left out, only that counts. */
  readonly saveMs?: number;
  /** Kernels compiled, and measured where there is a choice, out of all. */
  readonly progress?: (done: number, total: number) => void;
  /** How far the method's own preparation is. */
  readonly preparing?: (done: number, total: number) => void;
  /** Stops the preparation: `create` then rejects with a StoppedError. */
  readonly signal?: AbortSignal;
  /** Whether samples are written at all; the command line does without. */
  readonly samples: boolean;
}

type Wish = 'run' | 'pause' | 'stop';

export class Run {
  /** Steps done. */
  step = 0;
  private wish = 'run' as Wish;
  private wake: (() => void) | null = null;
  private readonly started = performance.now();
  private lastMetrics = { step: 0, time: performance.now(), pending: false, tokens: 0 };
  private lastViews = { time: 0, sites: [] as SiteValues[], pending: Promise.resolve() };
  private failure: unknown = null;
  private settling: Promise<void> | null = null;
  private lastSave = performance.now();
  private stopping = unseen;
  private sampling: Promise<unknown> = Promise.resolve();
  private released = false;
  private readonly generators = new Map<string, Generator>();

  /** Stretches trained so far, the present one included: the learning rate of any step follows from them. */
  private readonly stretches: Phase[] = [];

  private constructor(private readonly options: RunOptions, private live: LiveRun, private readonly state: RunState, readonly phases: readonly Phase[], readonly prepareSeconds: number | null) {}

  /** Checks, prepares, attaches, compiles and initialises; on failure nothing stays allocated. */
  static async create(options: RunOptions): Promise<Run> {
    const { device, loaded, bound, config, data, signal, preparing } = options;
    checkRun(loaded, bound, config);
    const checkpoint = options.resume ? await openCheckpoint(options.resume, data.summary.hash, loaded.network.kind) : null;
    const { shared, state, seconds } = checkpoint
      ? { shared: null, state: checkpoint.state, seconds: null }
      : await prepare(bound, selectSites(loaded.network, config.targets), { device, loaded, data, training: config.training, ...(signal ? { signal } : {}), ...(preparing ? { progress: preparing } : {}) });
    const live = await goLive(options, { shared, state, ...(checkpoint ? { from: { checkpoint, carry: false } } : options.from ? { adapter: options.from } : {}) });
    const run = new Run(options, live, state, phasesOf(bound, config.training), seconds);
    run.step = run.lastMetrics.step = checkpoint?.step ?? 0;
    run.stopping = checkpoint?.stopping ?? unseen;
    return run;
  }

  get attachment(): Attachment {
    return this.live.attachment;
  }

  get totalSteps(): number {
    return this.phases.reduce((sum, phase) => sum + phase.steps, 0);
  }

  pause(): void {
    if (this.wish === 'run') this.wish = 'pause';
  }
  resume(): void {
    if (this.wish === 'pause') this.wish = 'run';
    this.wake?.();
  }
  /** Stops at the next step boundary. */
  stop(): void {
    this.wish = 'stop';
    this.wake?.();
  }

  /** Trains to the end, to a stop or to a failure; every way ends in one 'ended' event. Rejects only where the loop itself failed. */
  async train(): Promise<'finished' | 'stopped' | 'failed'> {
    const { listener } = this.options;
    let reason: 'finished' | 'stopped' | 'failed' = 'finished';
    try {
      listener({ kind: 'status', status: 'running', step: this.step });
      if (this.prepareSeconds !== null && this.step === 0) listener({ kind: 'note', step: 0, text: `Initialised in ${this.prepareSeconds.toFixed(2)} s` });
      if (this.step === 0) await this.lookAround(true);
      await (this.options.bound.method.recipe ?? fineTune)(this.trainer(), this.options.bound.config);
      if (this.step < this.totalSteps) reason = 'stopped';
      await this.flush();
      await this.lookAround(true);
      await this.options.save?.(await this.checkpoint(), this.step);
    } catch (error) {
      this.failure ??= error;
    }
    const seconds = (performance.now() - this.started) / 1000;
    if (this.failure !== null) {
      reason = 'failed';
      if (this.failure instanceof NonFiniteError) await this.options.save?.(await this.checkpoint(), this.step);
    }
    this.releaseStep();
    if (reason === 'failed') {
      listener({ kind: 'status', status: 'failed', step: this.step });
      listener({ kind: 'ended', reason, step: this.step, seconds, error: toFailure(this.failure) });
      return reason;
    }
    listener({ kind: 'status', status: reason, step: this.step });
    listener({ kind: 'ended', reason, step: this.step, seconds });
    return reason;
  }

  /** Gives up training: what is left serves samples, evaluation and export. For a run that is only looked at again. */
  standStill(): void {
    this.releaseStep();
  }

  /** Whether its parameters may change at any moment: not while it is paused, and not after its end. */
  get moving(): boolean {
    return !this.released && this.wake === null;
  }

  /** What the rate counts: tokens of a batch, padding included, or its pictures. */
  private get unitsPerStep(): number {
    const { loaded, config: { training } } = this.options;
    return unitsOf(loaded, training);
  }

  /** Floating-point operations of one step. */
  get flopsPerStep(): number {
    return this.live.compiled.cost.flops;
  }

  /** What made the run fail. */
  get error(): unknown {
    return this.failure;
  }

  private trainer(): Trainer {
    const { data } = this.options;
    return {
      ...this.host(this.step, { number: 0, step: 0, steps: 0, lrShare: 0 }),
      phases: this.phases,
      train: (phase) => this.stretch(phase),
      reattach: () => this.reattach(),
      snapshot: () => this.live.vectors.snapshot(),
      load: (vector) => this.live.vectors.load(vector),
      gradient: (batch, split = 'train') => this.live.vectors.gradient(split === 'train' ? data.batch(batch) : heldOut(data, batch), this.step + 1),
      axpy: (y, a, x) => this.live.vectors.axpy(y, a, x),
      dot: (x, y) => this.live.vectors.dot(x, y),
      free: (vector) => this.live.vectors.free(vector),
    };
  }

  /** Trains a phase to its end, from where the run stands; one that was done before is passed over. False when the run is to end. */
  private async stretch(phase: Phase): Promise<boolean> {
    const { device, data, bound, config, listener } = this.options;
    const { training } = config;
    const { method } = bound;
    const number = this.stretches.length;
    const phaseStart = this.stretches.reduce((sum, { steps }) => sum + steps, 0);
    const phaseEnd = phaseStart + phase.steps;
    this.stretches.push(phase);
    if (this.step >= phaseEnd) return true;
    listener({ kind: 'phase', name: phase.name, steps: phase.steps, from: phaseStart });
    const inFlight: Promise<void>[] = [];
    while (this.step < phaseEnd) {
      // A failure may come in while this waits; the step that it set back must not be counted up again.
      if (!(await this.mayGoOn()) || this.failure !== null) return false;
      const step = this.step + 1;
      const phaseStep = step - phaseStart;
      const lrShare = scheduleShare(training.schedule, phaseStep, phase.steps, Math.min(training.warmup, phase.steps));
      const host = this.host(step, { number, step: phaseStep, steps: phase.steps, lrShare });
      method.beforeStep?.(host, bound.config, training);
      const { adamw, ring, compiled } = this.live;
      const inputs = hostInputs(this.live.inputs, data.batch(step - 1));
      const due = !this.lastMetrics.pending && (performance.now() - this.lastMetrics.time > METRICS_MS || step - this.lastMetrics.step >= ring.length / 2);
      let copied: (() => Promise<Float32Array>) | null = null;
      compiled.run(inputs, { step, seed: training.seed, lr: training.lr * lrShare, ...adamw.bias(step) }, due ? (encoder) => { copied = ring.copy(device, encoder); } : undefined);
      this.step = step;
      if (copied) void this.collect(copied, step);
      inFlight.push(device.gpu.queue.onSubmittedWorkDone());
      if (inFlight.length > IN_FLIGHT) await inFlight.shift();
      if ((await method.afterStep?.(host, bound.config, training)) === 'reattach') await this.reattach();
      await this.lookAround(false);
    }
    // After the last phase the run is looked at anyway.
    if (this.step < this.totalSteps) {
      await this.evaluate();
      await this.look();
    }
    return true;
  }

  /** What the method's host hooks may do, at one step. */
  private host(step: number, phase: { number: number; step: number; steps: number; lrShare: number }): AfterStep {
    const { device, config, data, listener } = this.options;
    return {
      step, phase: phase.number, phaseStep: phase.step, phaseSteps: phase.steps, lrShare: phase.lrShare, state: this.state,
      sites: this.attachment.sites.map(({ name }) => name),
      adapted: this.attachment.sites.map((site) => ({ site, params: this.attachment.adapters.get(site.name)?.params ?? {} })),
      random: randomOf(config.training.seed),
      set: (name, values) => writeInput(device, this.input(name), values),
      setMask: (name, open) => this.live.adamw.setMask(device, name, open),
      values: async () => {
        await this.settle();
        return readSites(device, this.attachment);
      },
      read: async (param) => {
        await this.settle();
        return readF32(device, param.tensor);
      },
      write: (param, values) => write(device, param.tensor, values),
      evaluate: async () => (data.validation().length === 0 ? null : (await this.live.evaluator.mean(data.validation())).loss),
      note: (text) => listener({ kind: 'note', step, text }),
    };
  }

  private input(name: string): Tensor {
    const { inputs } = this.attachment;
    const found = inputs.get(name);
    if (!found) throw new StudioError(`the method has no input '${name}'`, `Its inputs are: ${[...inputs.keys()].join(', ') || 'none'}.`);
    return found.tensor;
  }

  /** Attaches and records anew by what the method's state says now; what keeps its name and shape keeps its numbers. */
  private async reattach(): Promise<void> {
    // The ring goes with the rest: its numbers first, and whoever still reads parameters. Samples asked for meanwhile wait.
    await this.flush();
    await this.lastViews.pending;
    const result = this.sampling.then(() => this.rebuild());
    this.sampling = result.catch(() => {});
    await result;
  }

  private async rebuild(): Promise<void> {
    const kept = await openSafetensors(bytesSource('the run itself', await this.checkpoint()));
    const before = this.live;
    for (const generator of this.generators.values()) generator.dispose();
    this.generators.clear();
    releaseStep(before);
    releaseNumbers(this.options.device, before, before.attachment);
    this.released = true;
    this.live = await goLive(this.options, { shared: null, state: this.state, from: { checkpoint: { file: kept, where: kept.name }, carry: true } });
    this.released = false;
    this.lastViews.sites = [];
  }

  /** Waits while paused; false when the run is to end. */
  private async mayGoOn(): Promise<boolean> {
    this.options.device.check();
    if (this.failure !== null) return false;
    if (this.wish === 'pause') await this.waitPaused();
    return this.wish !== 'stop' && this.failure === null;
  }

  private async waitPaused(): Promise<void> {
    const { listener } = this.options;
    await this.flush();
    // Resumed or stopped while the numbers came in: nobody would wake it again.
    if (this.wish !== 'pause') return;
    listener({ kind: 'status', status: 'paused', step: this.step });
    await new Promise<void>((resolve) => { this.wake = resolve; });
    this.wake = null;
    if ((this.wish as Wish) === 'run') listener({ kind: 'status', status: 'running', step: this.step });
    this.lastMetrics.time = performance.now();
  }

  /** Evaluations, samples, views and checkpoints that are due after this step. */
  private async lookAround(always: boolean): Promise<void> {
    const { config, samples } = this.options;
    const every = (n: number) => n > 0 && this.step > 0 && this.step % n === 0 && this.step < this.totalSteps;
    if (always || every(config.training.evalEvery)) this.judge(await this.evaluate(always));
    if (samples && taskCard(this.options.loaded.task.kind).writes && (always || every(config.sample.every))) await this.sampleNow();
    if (always) await this.look();
    else this.lookSoon();
    const overdue = this.step > 0 && performance.now() - this.lastSave > (this.options.saveMs ?? Number.POSITIVE_INFINITY);
    if (this.options.save && (every(config.training.saveEvery) || overdue)) {
      // Numbers come in late: a step that went bad must not be saved as one that was done.
      await this.flush();
      await this.options.save(await this.checkpoint(), this.step);
      this.lastSave = performance.now();
    }
  }

  /** Ends the run where a stopping rule says so; what comes after the last step, or after a stop, is not judged. */
  private judge(loss: number | null): void {
    const { options: { config: { training }, listener }, step } = this;
    if (this.wish === 'stop' || step >= this.totalSteps) return;
    if (loss === null) {
      if (step === 0 && (training.stopAt || training.patience)) listener({ kind: 'note', step, text: 'Nothing is held out for validation: the stopping rules have nothing to look at.' });
      return;
    }
    this.stopping = afterEvaluation(this.stopping, loss);
    const reason = reasonToStop(training, this.stopping, loss);
    if (reason === null) return;
    listener({ kind: 'note', step, text: reason });
    this.stop();
  }

  /** Mean loss on the held-out batches; null where there are none. `insights`: tells of each row too. */
  async evaluate(insights = false): Promise<number | null> {
    const batches = this.options.data.validation();
    if (batches.length === 0) return null;
    const { loss, metrics, rows } = await this.live.evaluator.mean(batches);
    this.options.listener({ kind: 'eval', step: this.step, loss, metrics });
    if (insights && rows.length > 0) this.options.listener({ kind: 'insights', step: this.step, ...insightsOf(rows, this.options.data) });
    return loss;
  }

  private async sampleNow(): Promise<void> {
    const { prompt, maxTokens, temperature } = this.options.config.sample;
    if (prompt.trim() === '') return;
    this.options.listener({ kind: 'sample', sample: await this.sample(prompt, maxTokens, temperature) });
  }

  /** The same prompt with adapters off and on, drawn with the same seed. Calls wait for one another: they share a cache. */
  sample(prompt: string, maxTokens: number, temperature: number): Promise<SampleResult> {
    const result = this.sampling.then(() => this.write(prompt, maxTokens, temperature));
    this.sampling = result.catch(() => {});
    return result;
  }

  private async write(prompt: string, maxTokens: number, temperature: number): Promise<SampleResult> {
    const { loaded, config, data } = this.options;
    const ids = await promptIds(loaded, prompt, data.summary.format === 'rows');
    const settings = { maxTokens, temperature, topP: 0.9, seed: config.training.seed };
    const step = this.step;
    const one = async (which: 'off' | 'on') => {
      const generator = await this.generator(which, ids.length + maxTokens);
      return loaded.tokenizer?.decode(await generator.generate(ids, settings), { skipSpecial: true }) ?? '';
    };
    return { prompt, off: await one('off'), on: await one('on'), step };
  }

  private async generator(which: 'off' | 'on', tokens: number): Promise<Generator> {
    const capacity = 64 * Math.ceil(tokens / 64);
    const key = `${which} ${capacity}`;
    let found = this.generators.get(key);
    if (!found) {
      const { device, loaded, bound } = this.options;
      found = which === 'on' ? await Generator.create(device, loaded, this.attachment.adapters, capacity, bound) : await Generator.create(device, loaded, noAdapters, capacity);
      this.generators.set(key, found);
    }
    return found;
  }

  async checkpoint(): Promise<Uint8Array> {
    const { device, config, data, loaded } = this.options;
    return writeCheckpoint(device, this.live, { step: this.step, config, dataHash: data.summary.hash, weights: loaded.network.kind, state: this.state, stopping: this.stopping });
  }

  /** The adapter's files and what was found on reading them back. */
  async exportPeft(baseModel: string): Promise<{ folder: PeftFolder; receipt: Receipt }> {
    const { device, loaded, data, config } = this.options;
    const exported = { attachment: this.attachment, bound: this.options.bound, state: this.state };
    const folder = await exportAdapter(device, loaded, exported, baseModel);
    const batch = data.validation()[0] ?? data.batch(0);
    return { folder, receipt: await receiptOf(device, loaded, exported, folder, batch, shapeOf(loaded, config.training)) };
  }

  dispose(): void {
    for (const generator of this.generators.values()) generator.dispose();
    this.releaseStep();
    releaseNumbers(this.options.device, this.live, this.attachment);
  }

  /** Frees the activations: an ended run keeps its parameters, for export and samples, and nothing else. */
  private releaseStep(): void {
    if (this.released) return;
    this.released = true;
    releaseStep(this.live);
  }

  /** Hands on the rows of the ring up to `step`, and notices a loss that is not finite. */
  private async collect(copied: () => Promise<Float32Array>, step: number): Promise<void> {
    this.lastMetrics.pending = true;
    try {
      const rows = await copied();
      this.emit(rows, step);
    } catch (error) {
      this.failure ??= error;
    } finally {
      this.lastMetrics.pending = false;
    }
  }

  private emit(rows: Float32Array, step: number): void {
    const { series, length } = this.live.ring;
    const from = this.lastMetrics.step + 1;
    const now = performance.now();
    if (step < from) return;
    const names = [...series, 'lr'];
    const values = new Float32Array((step - from + 1) * names.length);
    let tokens = 0;
    let bad = 0;
    for (let s = from; s <= step; s++) {
      const row = rows.subarray(((s - 1) % length) * RING_COLUMNS, ((s - 1) % length) * RING_COLUMNS + series.length);
      values.set(row, (s - from) * names.length);
      values[(s - from) * names.length + series.length] = this.lrAt(s);
      tokens += this.unitsPerStep;
      if (bad === 0 && !(Number.isFinite(row[0]) && Number.isFinite(row[1]))) bad = s;
    }
    const seconds = (now - this.started) / 1000;
    const tokensPerSecond = tokens / Math.max((now - this.lastMetrics.time) / 1000, 1e-6);
    this.lastMetrics = { ...this.lastMetrics, step, time: now };
    this.options.listener({ kind: 'metrics', from, series: names, values, seconds, tokensPerSecond });
    if (bad > 0) {
      // The update of that step and of all after it was skipped on the GPU: what stands there is the state before it.
      this.step = bad - 1;
      this.failure ??= new NonFiniteError(`step ${bad}: the loss or the gradient norm is not finite`, 'The adapter of the step before is kept. Lower the learning rate or turn on gradient clipping.');
    }
  }

  private lrAt(step: number): number {
    const { training } = this.options.config;
    let start = 0;
    for (const phase of this.stretches) {
      if (step <= start + phase.steps) return training.lr * scheduleShare(training.schedule, step - start, phase.steps, Math.min(training.warmup, phase.steps));
      start += phase.steps;
    }
    return 0;
  }

  /** Waits for everything submitted, and hands on all numbers up to now. */
  private async flush(): Promise<void> {
    const { device } = this.options;
    const { ring } = this.live;
    while (this.lastMetrics.pending) await new Promise((resolve) => setTimeout(resolve, 1));
    const encoder = device.gpu.createCommandEncoder();
    const copied = ring.copy(device, encoder);
    device.gpu.queue.submit([encoder.finish()]);
    await this.collect(copied, this.step);
    if (this.failure !== null) throw this.failure;
  }

  /** Ends the run here where a step up to now went bad: a method must not go by numbers that a bad step left, nor write over them. */
  private async settle(): Promise<void> {
    if (this.lastMetrics.step >= this.step) return;
    this.settling ??= this.flush().finally(() => { this.settling = null; });
    await this.settling;
  }

  private lookSoon(): void {
    if (!this.options.bound.method.views || performance.now() - this.lastViews.time < VIEWS_MS) return;
    this.lastViews.time = Number.POSITIVE_INFINITY;
    this.lastViews.pending = this.look().catch((error: unknown) => { this.failure ??= error; }).finally(() => { this.lastViews.time = performance.now(); });
  }

  /** Reads the parameters and reports what the method shows of them. */
  private async look(): Promise<void> {
    const { device, bound, listener } = this.options;
    const { method, config } = bound;
    if (!method.views) return;
    const step = this.step;
    const sites = await readSites(device, this.attachment);
    for (const [id, data] of Object.entries(method.views(sites, config, this.state))) listener({ kind: 'view', id, step, data: data as HeatmapData });
    if (this.lastViews.sites.length > 0) for (const text of method.events?.(this.lastViews.sites, sites, config) ?? []) listener({ kind: 'note', step, text });
    this.lastViews.sites = sites;
  }
}

/** Held-out batches in turn. */
function heldOut(data: Dataset, number: number) {
  const batches = data.validation();
  const batch = batches[number % Math.max(1, batches.length)];
  if (!batch) throw new StudioError('there are no held-out batches', 'Hold out a share of the data.');
  return batch;
}
