// One run: a method trained on a model and data by replaying one recorded step. The loop hands steps to the GPU and never waits
// for a loss; numbers come back through the metric ring a few times a second.
import type { Dataset } from '../data/dataset';
import type { Device } from '../engine/gpu/device';
import { noAdapters } from '../engine/nn/site';
import { scheduleShare } from '../engine/optim/schedule';
import { RING_COLUMNS } from '../engine/optim/ring';
import { free, write } from '../engine/tensor/memory';
import { type Step, compile } from '../engine/tensor/step';
import type { HostData, Tensor } from '../engine/tensor/tensor';
import type { PeftFolder } from '../formats/peft';
import type { ByteSource } from '../formats/safetensors';
import { NonFiniteError, toFailure } from '../util/errors';
import { type Attachment, attach, detach, initialise } from './attach';
import { readCheckpoint, writeCheckpoint } from './checkpoint';
import type { HeatmapData } from './card';
import type { RunConfig } from './config';
import type { BoundMethod, Phase, SiteValues } from './contract';
import { Evaluator } from './evaluate';
import type { RunEvent, SampleResult } from './events';
import { type Receipt, exportPeft, readSites, receiptOf } from './export';
import { Generator, promptIds } from './generate';
import type { LoadedModel } from './loaded';
import { type TrainingStep, groupSettings, recordTraining } from './step';

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
  /** Called where a checkpoint is due; the run waits for it. */
  readonly save?: (bytes: Uint8Array, step: number) => Promise<void>;
  /** Kernels compiled, and measured where there is a choice, out of all. */
  readonly progress?: (done: number, total: number) => void;
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
  private sampling: Promise<unknown> = Promise.resolve();
  private released = false;
  private readonly generators = new Map<string, Generator>();

  private constructor(
    private readonly options: RunOptions, readonly attachment: Attachment, private readonly recorded: TrainingStep, private readonly compiled: Step,
    private readonly evaluator: Evaluator, readonly phases: readonly Phase[],
  ) {}

  /** Attaches, compiles and initialises; on failure nothing stays allocated. */
  static async create(options: RunOptions): Promise<Run> {
    const { device, loaded, bound, config, data } = options;
    const { training } = config;
    const attachment = attach(loaded.network, bound, config.targets);
    const recorded = recordTraining(loaded, bound, attachment, training);
    const { adamw, ring } = recorded;
    try {
      adamw.allocate(device, groupSettings(bound, training));
      ring.allocate(device);
      initialise(device, attachment.params, training.seed);
      const done = options.resume ? await readCheckpoint(device, attachment, adamw, options.resume, data.summary.hash) : 0;
      const compiled = await compile(device, recorded.graph, { place: adamw.places(device, recorded.gradients), ...(options.progress ? { progress: options.progress } : {}) });
      const evaluator = await Evaluator.create(device, loaded, attachment.adapters, [training.batch, training.seq]);
      const phases = bound.method.phases?.(bound.config, training) ?? [{ name: 'training', steps: training.steps }];
      const run = new Run(options, attachment, recorded, compiled, evaluator, phases);
      run.step = run.lastMetrics.step = done;
      return run;
    } catch (error) {
      adamw.dispose(device);
      ring.dispose(device);
      detach(device, attachment);
      throw error;
    }
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
      if (this.step === 0) await this.lookAround(true);
      await this.loop();
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

  /** Whether its parameters may change at any moment: not while it is paused, and not after its end. */
  get moving(): boolean {
    return !this.released && this.wake === null;
  }

  /** Floating-point operations of one step. */
  get flopsPerStep(): number {
    return this.compiled.cost.flops;
  }

  /** What made the run fail. */
  get error(): unknown {
    return this.failure;
  }

  private async loop(): Promise<void> {
    const { device, data, bound, config, listener } = this.options;
    const { training } = config;
    const { ids, labels, adamw, ring, scalars } = this.recorded;
    const inFlight: Promise<void>[] = [];
    let phaseEnd = 0;
    for (const [number, phase] of this.phases.entries()) {
      const phaseStart = phaseEnd;
      phaseEnd += phase.steps;
      if (this.step >= phaseEnd) continue;
      listener({ kind: 'phase', name: phase.name, steps: phase.steps, from: phaseStart });
      while (this.step < phaseEnd) {
        // A failure may come in while this waits; the step that it set back must not be counted up again.
        if (!(await this.mayGoOn()) || this.failure !== null) return;
        const step = this.step + 1;
        const phaseStep = step - phaseStart;
        const lrShare = scheduleShare(training.schedule, phaseStep, phase.steps, Math.min(training.warmup, phase.steps));
        bound.method.beforeStep?.({ phase: number, phaseStep, lrShare, setScalar: (name, value) => write(device, scalars.get(name) as Tensor, Float32Array.of(value)) }, bound.config, training);
        const batch = data.batch(step - 1);
        const inputs = new Map<Tensor, HostData>([[ids, batch.input_ids], [labels, batch.labels]]);
        const due = !this.lastMetrics.pending && (performance.now() - this.lastMetrics.time > METRICS_MS || step - this.lastMetrics.step >= ring.length / 2);
        let copied: (() => Promise<Float32Array>) | null = null;
        this.compiled.run(inputs, { step, seed: training.seed, lr: training.lr * lrShare, ...adamw.bias(step) }, due ? (encoder) => { copied = ring.copy(device, encoder); } : undefined);
        this.step = step;
        if (copied) void this.collect(copied, step);
        inFlight.push(device.gpu.queue.onSubmittedWorkDone());
        if (inFlight.length > IN_FLIGHT) await inFlight.shift();
        await this.lookAround(false);
      }
      // After the last phase the run is looked at anyway.
      if (this.step < this.totalSteps) {
        await this.evaluate();
        await this.look();
      }
    }
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
    if (always || every(config.training.evalEvery)) await this.evaluate();
    if (samples && (always || every(config.sample.every))) await this.sampleNow();
    if (always) await this.look();
    else this.lookSoon();
    if (this.options.save && every(config.training.saveEvery)) {
      // Numbers come in late: a step that went bad must not be saved as one that was done.
      await this.flush();
      await this.options.save(await this.checkpoint(), this.step);
    }
  }

  /** Mean loss on the held-out batches; null where there are none. */
  async evaluate(): Promise<number | null> {
    const batches = this.options.data.validation();
    if (batches.length === 0) return null;
    const { loss } = await this.evaluator.mean(batches);
    this.options.listener({ kind: 'eval', step: this.step, loss });
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
    const ids = promptIds(loaded, prompt, data.summary.format === 'rows');
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
      found = await Generator.create(this.options.device, this.options.loaded, which === 'on' ? this.attachment.adapters : noAdapters, capacity);
      this.generators.set(key, found);
    }
    return found;
  }

  async checkpoint(): Promise<Uint8Array> {
    const { device, config, data } = this.options;
    return writeCheckpoint(device, this.attachment, this.recorded.adamw, { step: this.step, config, dataHash: data.summary.hash });
  }

  /** The PEFT folder and what was found on reading it back. */
  async exportPeft(baseModel: string): Promise<{ folder: PeftFolder; receipt: Receipt }> {
    const { device, loaded, data, config } = this.options;
    const folder = await exportPeft(device, loaded, this.attachment, baseModel);
    const batch = data.validation()[0] ?? data.batch(0);
    return { folder, receipt: await receiptOf(device, loaded, this.attachment, folder, batch, [config.training.batch, config.training.seq]) };
  }

  dispose(): void {
    const { device } = this.options;
    const { adamw, ring, ids, labels, scalars } = this.recorded;
    for (const generator of this.generators.values()) generator.dispose();
    this.releaseStep();
    adamw.dispose(device);
    ring.dispose(device);
    detach(device, this.attachment);
    for (const t of [ids, labels, ...scalars.values()]) free(device, t);
  }

  /** Frees the activations: an ended run keeps its parameters, for export and samples, and nothing else. */
  private releaseStep(): void {
    if (this.released) return;
    this.released = true;
    this.evaluator.dispose();
    this.compiled.dispose();
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
    const { series, length } = this.recorded.ring;
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
      tokens += this.options.config.training.batch * this.options.config.training.seq;
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
    for (const phase of this.phases) {
      if (step <= start + phase.steps) return training.lr * scheduleShare(training.schedule, step - start, phase.steps, Math.min(training.warmup, phase.steps));
      start += phase.steps;
    }
    return 0;
  }

  /** Waits for everything submitted, and hands on all numbers up to now. */
  private async flush(): Promise<void> {
    const { device } = this.options;
    const { ring } = this.recorded;
    while (this.lastMetrics.pending) await new Promise((resolve) => setTimeout(resolve, 1));
    const encoder = device.gpu.createCommandEncoder();
    const copied = ring.copy(device, encoder);
    device.gpu.queue.submit([encoder.finish()]);
    await this.collect(copied, this.step);
    if (this.failure !== null) throw this.failure;
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
    for (const [id, data] of Object.entries(method.views(sites, config))) listener({ kind: 'view', id, step, data: data as HeatmapData });
    if (this.lastViews.sites.length > 0) for (const text of method.events?.(this.lastViews.sites, sites, config) ?? []) listener({ kind: 'note', step, text });
    this.lastViews.sites = sites;
  }
}
