// The engine behind the page's calls: one device, one model, one data set, any number of runs. Handlers are typed by the protocol.
import { arrange, type FileDataset, prepare, type Prepared } from '../data/dataset';
import type { PreparedPictures } from '../data/pictures/dataset';
import { type EncoderTask, encoderDataset } from '../data/encoder';
import type { DataFile } from '../data/table';
import { Device, type TuneStore } from '../engine/gpu/device';
import type { FileStore } from '../formats/file-store';
import { openHfFolder } from '../formats/hf-folder';
import type { PeftAdapter } from '../formats/peft';
import { methodFor, methods } from '../methods/registry';
import type { Task } from '../models/model';
import { stepOf } from '../training/checkpoint';
import { type BoundMethod, bind } from '../training/contract';
import { VALIDATION_BATCHES, defaultRun, parseRunConfig, type RunConfig } from '../training/config';
import type { RunEvent } from '../training/events';
import type { Attached } from '../training/import';
import { type LoadedModel, describeModel, freeWeights, largestWeight, retasked, uploadWeights } from '../training/loaded';
import { arrangedPictures, picturesFor } from '../training/picture-data';
import { planRun, totalSteps, wantFits } from '../training/plan';
import { type Rate, measureRate } from '../training/rate';
import { Run } from '../training/run';
import { shapeOf } from '../training/task';
import { taskFor } from '../training/task-for';
import { tasks, tasksFor } from '../training/tasks';
import { CheckpointError, ConfigError, DataError, StudioError, toFailure } from '../util/errors';
import type { Watch } from '../util/pace';
import { type WeightKind, weightKind } from '../util/packed';
import { type Catalogue, fetchCatalogue } from './builtin';
import type { DataCard, DataOptions, DeviceCard, EngineApi, EngineEvent, Hello, ModelCard, RunId } from './protocol';
import type { Bench, Explored } from './explore';
import type { RunStates } from './run-states';
import { createSources } from './sources';
import { createWriting, type Writing } from './write';

interface Current {
  loaded: LoadedModel;
  /** As the page asked for it: adapter_config.json names it. */
  baseName: string;
  rate: Rate | null;
  writing: Writing;
}

/** Time between two kept states of a run that trains. */
const SAVE_MS = 20_000;

/** A data file as it was read for the current model, and the set made of it for the settings last asked for. */
interface CurrentData {
  file: DataFile;
  /** What it takes to read them: columns, and the task with its words. */
  readAs: string;
  task: Task;
  prepared: Prepared | null;
  pictures: PreparedPictures | null;
  key: string;
  set: FileDataset;
  shape: readonly [number, number];
}

export function createEngine(gpu: GPU | undefined, tuneStore: () => Promise<TuneStore>, fileStore: () => Promise<FileStore>, states: RunStates): EngineApi {
  let tell: (event: EngineEvent) => void = () => {};
  let device: Device | null = null;
  let catalogue: Catalogue = { models: [], data: [] };
  let current: Current | null = null;
  let data: CurrentData | null = null;
  let loading: AbortController | null = null;
  const sources = createSources(fileStore);
  const runs = new Map<RunId, { run: Run; bench: Bench; bound: BoundMethod }>();
  /** Runs that are being prepared, to be stopped. */
  const preparing = new Map<RunId, AbortController>();

  const wantDevice = () => {
    if (!device) throw new StudioError('there is no WebGPU device', 'Reload the page once WebGPU is turned on.');
    device.check();
    return device;
  };
  const wantModel = () => {
    if (!current) throw new ConfigError('no model is loaded', 'Choose a model first.');
    return current;
  };
  const runOf = (id: RunId) => {
    const found = runs.get(id);
    if (!found) throw new StudioError(`there is no run '${id}'`, 'It may belong to an earlier visit.');
    return found;
  };
  /** A model to be tried out: that of a run with its adapter or, for null, the current one without any. */
  const triedOf = (id: RunId | null): [LoadedModel, Attached | null] => {
    if (id === null) return [wantModel().loaded, null];
    const { run, bound, bench } = runOf(id);
    return [bench.loaded, { attachment: run.attachment, bound }];
  };
  const tokenizerOf = ({ name, tokenizer }: LoadedModel) => {
    if (!tokenizer) throw new ConfigError(`${name}: the model has no tokenizer.json`, 'Add tokenizer.json to its folder.');
    return tokenizer;
  };
  /** What a file holds stays as long as model, file, columns and task do; what depends on the settings is made anew. */
  const dataFor = async (file: DataFile, { columns = {}, task: name, template, scale, symmetric, ...options }: DataOptions, watch: Watch): Promise<CurrentData> => {
    const { folder, model } = wantModel().loaded;
    const same = data?.file === file || (data?.file.name === file.name && sameContent(data.file, file));
    const readAs = JSON.stringify([columns, name, template, scale, symmetric]);
    const known = data && same && data.readAs === readAs ? data : null;
    const key = JSON.stringify(options);
    if (known?.key === key) return known;
    // A setup may still name the task of the model before.
    const wanted = name && tasksFor(model.kind).includes(name) ? name : undefined;
    const task = known?.task ?? (await taskFor(folder.config, [file], { name: wanted, columns, template, scale, symmetric }));
    await putOn(task);
    const { loaded } = wantModel();
    const { holdout, seq, seed, batch = 1, test = 0, pack = false } = options;
    const all = { holdout, seq, seed, batch, test, pack, context: loaded.info.context, validationBatches: VALIDATION_BATCHES };
    const prepared = task.kind === 'causal-lm' ? (known?.prepared ?? (await prepare(file, tokenizerOf(loaded), columns, watch))) : null;
    const pictures = loaded.info.image ? (known?.pictures ?? (await picturesFor(loaded, file, columns, watch))) : null;
    const set = pictures ? await arrangedPictures(loaded, pictures, null, all)
      : prepared ? await arrange(prepared, tokenizerOf(loaded), all)
      : await encoderDataset(task as EncoderTask, file, null, tokenizerOf(loaded), all, columns);
    watch.signal?.throwIfAborted();
    return { file, readAs, task, prepared, pictures, key, set, shape: shapeOf(loaded, { batch, seq }) };
  };
  /** Puts the model on a task: its weights stay, heads of the task are made or read. Runs keep the model that they were started on. */
  const putOn = async (task: Task): Promise<void> => {
    const model = wantModel();
    if (JSON.stringify(model.loaded.task) === JSON.stringify(task)) return;
    const loaded = await retasked(wantDevice(), model.loaded, task);
    // What was arranged for other classes must not meet the new head.
    data = null;
    await takeOn({ ...model, rate: null, loaded });
  };
  /** The model before goes, unless runs still use it. */
  const takeOn = async ({ loaded, baseName, rate }: Omit<Current, 'writing'>): Promise<void> => {
    const on = wantDevice();
    await current?.writing.dispose();
    const before = current?.loaded;
    if (before && ![...runs.values()].some((r) => r.bench.loaded === before)) {
      await (await opened)?.closeFor(before);
      freeWeights(on, before);
    }
    current = { loaded, baseName, rate, writing: createWriting(on, loaded) };
  };
  /** One load at a time: a new one ends the one before. */
  const whileLoading = async <T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
    const mine = new AbortController();
    loading?.abort(new StudioError('loading was ended by a newer choice'));
    loading = mine;
    try {
      return await work(mine.signal);
    } finally {
      if (loading === mine) loading = null;
    }
  };
  const boundOf = (config: RunConfig) => bind(methodFor(config.method.slug), config.method.fields);
  const openDevice = async (): Promise<DeviceCard> => {
    device = await Device.open(gpu);
    device.tuneStore = await tuneStore();
    void device.gpu.lost.then((lost) => {
      if (lost.reason !== 'destroyed') tell({ kind: 'lost', message: lost.message || String(lost.reason) });
    });
    return deviceCard(device);
  };
  /** The current data, arranged as a setup wants them. */
  const arrangedFor = async ({ training: { batch, seq, seed }, holdout, test, columns, pack, task, template, scale, symmetric }: RunConfig): Promise<CurrentData> => {
    if (!data) throw new DataError('no data are loaded', 'Choose data first.');
    data = await dataFor(data.file, { batch, seq, seed, holdout, test, columns, pack, task, template, scale, symmetric }, {});
    return data;
  };
  /** A run on the current model and data, under an id; from its kept state where `again`, or on from an adapter. */
  const createRun = async (id: RunId, json: RunConfig, { again, from }: { again: boolean; from?: PeftAdapter }): Promise<Run> => {
    const asked = parseRunConfig(json);
    const on = wantDevice();
    const { set, shape } = await arrangedFor(asked);
    const model = wantModel();
    const config = { ...asked, task: tasks[asked.task].kind === model.loaded.task.kind ? asked.task : model.loaded.task.kind };
    const bound = boundOf(config);
    wantFits(planRun(model.loaded, bound, config, on));
    const state = again ? await states.read(id) : null;
    // A run that cannot be kept is still worth training: it is said, and the run goes on.
    const save = (bytes: Uint8Array, step: number) =>
      states.write(id, bytes).then(
        () => tell({ kind: 'saved', run: id, step, bytes: bytes.length }),
        (error: unknown) => tell({ kind: 'saved', run: id, step, bytes: bytes.length, problem: toFailure(error).message }),
      );
    // A run that was given up, its device lost or itself begun anew, must not speak for the one that took its place.
    const speaks = (event: RunEvent) => { if (!run || runs.get(id)?.run === run) tell({ run: id, ...event }); };
    let run: Run | null = null;
    const abort = new AbortController();
    preparing.set(id, abort);
    const progress = (task: string) => (done: number, total: number) => tell({ kind: 'progress', task, done, total });
    run = await Run.create({
      device: on, loaded: model.loaded, data: set, bound, config, samples: true, save, saveMs: SAVE_MS, listener: speaks, signal: abort.signal,
      preparing: progress(`Preparing ${bound.method.info.name}`), progress: progress('Preparing kernels'),
      ...(state ? { resume: state } : {}), ...(from ? { from } : {}),
    }).finally(() => preparing.delete(id));
    runs.get(id)?.run.dispose();
    runs.set(id, { run, bound, bench: { loaded: model.loaded, baseName: model.baseName, data: set, shape, sample: { ...config.sample, seed: config.training.seed } } });
    return run;
  };

  // Cutting and exporting come after training: their code is fetched when it is first wanted.
  let opened: Promise<Explored> | null = null;
  const explored = () => (opened ??= import('./explore').then(({ exploreCalls }) => exploreCalls({
    device: wantDevice,
    run: runOf,
    current: () => {
      const { loaded, baseName } = wantModel();
      if (!data) throw new DataError('no data are loaded', 'Choose data first: the loss is measured on what is held out of them.');
      return { loaded, baseName, data: data.set, shape: data.shape, sample: { ...defaultRun.sample, seed: defaultRun.training.seed } };
    },
    tell: (event) => tell(event),
  })));

  const api: EngineApi = {
    async hello(listener): Promise<Hello> {
      tell = listener;
      const cards = [...methods.values()].map((method) => method.info);
      catalogue = await fetchCatalogue();
      try {
        return { device: await openDevice(), methods: cards, ...catalogue };
      } catch (error) {
        return { device: null, failure: toFailure(error), methods: cards, ...catalogue };
      }
    },

    loadModel: (source, files, weights) => whileLoading(async (signal): Promise<ModelCard> => {
      const on = wantDevice();
      const progress = (task: string) => (done: number, total: number) => {
        signal.throwIfAborted();
        tell({ kind: 'progress', task, done, total });
      };
      const label = source.kind === 'builtin' ? source.id : source.name;
      const { name, baseName, files: found } = await sources.model(source, files, catalogue, { progress: progress(`Downloading ${label}`), signal });
      const folder = await openHfFolder(found);
      const as = (kind: WeightKind) => describeModel(name, folder, undefined, kind);
      const loaded = as(weightKind(weights, (kind) => largestWeight(as(kind)) <= on.largestBuffer));
      await uploadWeights(on, loaded, progress(`Loading ${label}`));
      // The model before goes only now, so that a bad folder loses nothing.
      await takeOn({ loaded, baseName, rate: null });
      data = null;
      return modelCard(loaded);
    }),

    loadData: (source, options, file) => whileLoading(async (signal): Promise<DataCard> => {
      const name = source.kind === 'builtin' ? source.id : source.name;
      const progress = (task: string) => (done: number, total: number) => tell({ kind: 'progress', task, done, total });
      const found = await sources.data(source, file, catalogue, { progress: progress(`Downloading ${name}`), signal });
      data = await dataFor(found, options, { progress: progress(`Reading ${name}`), signal });
      return { ...data.set.summary, name };
    }),

    async cancelLoad() {
      loading?.abort(new StudioError('loading was stopped', 'What was loaded before is still there.'));
    },
    async setHub(settings) {
      sources.setHub(settings);
    },
    async lookUp(kind, name, json) {
      const on = wantDevice();
      const config = parseRunConfig(json);
      // The setup's layers may not be the model's: the plan is asked for all of them.
      return sources.lookUp(kind, name, (loaded) => planRun(loaded, boundOf(config), { ...config, targets: '' }, on));
    },
    async addAdapter(name, files) {
      return wantModel().writing.add(name, files);
    },
    async removeAdapter(id) {
      await wantModel().writing.remove(id);
    },
    async write(request, onText) {
      const { writing, loaded } = wantModel();
      return writing.write(request, (id) => {
        const found = runOf(id);
        if (found.bench.loaded !== loaded) throw new ConfigError(`the run was trained on ${found.bench.loaded.name}, and ${loaded.name} is loaded`, 'Load its model again.');
        return { attachment: found.run.attachment, bound: found.bound };
      }, onText);
    },
    async stopWriting() {
      current?.writing.stop();
    },

    async look(picture, texts, run) {
      const { lookAt } = await import('../training/look');
      return lookAt(wantDevice(), ...triedOf(run), picture, texts, data?.set ?? null);
    },

    async find(text, run) {
      const { findPictures } = await import('../training/look');
      if (!data) throw new DataError('no data are loaded', 'Choose data first: the text is held against pictures that are held out of them.');
      return findPictures(wantDevice(), ...triedOf(run), text, data.set);
    },

    async judge(text, run) {
      const { judge } = await import('../training/judge');
      return judge(wantDevice(), ...triedOf(run), text);
    },

    async plan(json) {
      const config = parseRunConfig(json);
      const on = wantDevice();
      const model = wantModel();
      const bound = boundOf(config);
      const plan = planRun(model.loaded, bound, config, on);
      if (plan.problem) return plan;
      model.rate ??= await measureRate(on, model.loaded);
      return { ...plan, seconds: (totalSteps(bound, config) * plan.flopsPerStep) / model.rate.flopsPerSecond, secondsSource: model.rate.source };
    },

    async start(json, { from: trainedOn, again } = {}) {
      const id = again ?? crypto.randomUUID();
      const model = wantModel();
      tell({ run: id, kind: 'status', status: 'preparing', step: 0 });
      const run = await createRun(id, json, { again: again !== undefined, ...(trainedOn === undefined ? {} : { from: model.writing.loraOf(trainedOn) }) });
      const [from, first] = [performance.now(), run.step];
      void run.train().then(() => {
        // A whole run is the best measurement there is.
        const seconds = (performance.now() - from) / 1000;
        const steps = run.step - first;
        if (steps > 20) model.rate = { flopsPerSecond: (steps * run.flopsPerStep) / seconds, source: `the last run of ${steps} steps on this device, evaluations and samples included` };
      });
      return id;
    },
    async restore(id, json) {
      if (runs.has(id)) return;
      if (!(await states.read(id))) throw new CheckpointError(`the state of run ${id} is not in this browser's storage`, 'It was never kept, or the browser cleared it. Its curves and settings are still here: train it again.');
      (await createRun(id, json, { again: true })).standStill();
    },
    async kept(id) {
      const state = await states.read(id).catch(() => null);
      const step = state && (await stepOf(state).catch(() => null));
      return state && step !== null ? { step, bytes: state.size } : null;
    },
    async forget(id) {
      runs.get(id)?.run.dispose();
      runs.delete(id);
      await states.remove(id);
    },
    async recover() {
      // What stood on the lost device is gone with it; nothing of it can be freed.
      current = null;
      data = null;
      (await opened)?.drop();
      runs.clear();
      return openDevice();
    },
    async deviceState() {
      const on = wantDevice();
      return { bytes: on.bytes, peakBytes: on.peakBytes, pipelines: on.pipelineCount, kernels: [...on.choices.values()].map((choice) => ({ ...choice })), off: [...on.switchedOff].map(([kernel, reason]) => ({ kernel, reason })) };
    },
    async selfTest() {
      return (await import('../training/bench')).checkKernels(wantDevice());
    },
    async timeStep(json) {
      const config = parseRunConfig(json);
      const { set } = await arrangedFor(config);
      const { loaded } = wantModel();
      const [on, bound] = [wantDevice(), boundOf(config)];
      wantFits(planRun(loaded, bound, config, on));
      const { timeStep } = await import('../training/bench');
      return timeStep({ device: on, loaded, data: set, bound, config, progress: (done, total) => tell({ kind: 'progress', task: 'Timing steps', done, total }) });
    },

    async pause(id) { runOf(id).run.pause(); },
    async resume(id) { runOf(id).run.resume(); },
    async stop(id) {
      const abort = preparing.get(id);
      if (abort) abort.abort();
      else runOf(id).run.stop();
    },
    async sample(id, prompt, maxTokens, temperature) { return runOf(id).run.sample(prompt, maxTokens, temperature); },
    async exploreOpen(source) { return (await explored()).api.exploreOpen(source); },
    async exploreEvaluate(cut) { return (await explored()).api.exploreEvaluate(cut); },
    async exploreTexts(cut, prompt) { return (await explored()).api.exploreTexts(cut, prompt); },
    async exploreDetail(module) { return (await explored()).api.exploreDetail(module); },
    async exploreWeights(module) { return (await explored()).api.exploreWeights(module); },
    async exploreImportance() { return (await explored()).api.exploreImportance(); },
    async exploreOverlap(other) { return (await explored()).api.exploreOverlap(other); },
    async exploreCancel() { await (await opened)?.api.exploreCancel(); },
    async exportAs(request) { return (await explored()).api.exportAs(request); },
  };
  return withFailures(api);
}

function sameContent(a: DataFile, b: DataFile): boolean {
  // The files of a folder may have changed under their names.
  if (a.files || b.files) return false;
  if (typeof a.content === 'string' || typeof b.content === 'string') return a.content === b.content;
  const other = b.content;
  return a.content.length === other.length && a.content.every((byte, i) => byte === other[i]);
}

/** Comlink drops an Error's hint; a plain Failure crosses whole. */
function withFailures(api: EngineApi): EngineApi {
  const entries = Object.entries(api) as [string, (...args: unknown[]) => Promise<unknown>][];
  return Object.fromEntries(entries.map(([name, handler]) => [name, (...args: unknown[]) => handler(...args).catch((error: unknown) => { throw toFailure(error); })])) as unknown as EngineApi;
}

function deviceCard(device: Device): DeviceCard {
  const { vendor, architecture, description, device: product } = device.info;
  const limits: Record<string, number> = {};
  for (const name of ['maxBufferSize', 'maxStorageBufferBindingSize', 'maxComputeWorkgroupStorageSize', 'maxComputeInvocationsPerWorkgroup', 'maxStorageBuffersPerShaderStage'] as const) limits[name] = device.gpu.limits[name];
  return { vendor, architecture, description: description || product, software: device.profile.software, features: [...device.gpu.features].sort(), limits, kernels: [] };
}

async function modelCard(loaded: LoadedModel): Promise<ModelCard> {
  const { formatsOf } = await import('../training/deliver');
  const { name, model, task, info, network, fileBytes, dtype } = loaded;
  const sites = [...network.sites.values()].filter((site) => site.depth >= 0).map(({ name: site, depth, module, shape }) => ({ name: site, depth, module, shape: [...shape] as [number, number] }));
  return { name, kind: model.kind, task: task.kind, formats: formatsOf(loaded), architecture: model.classes[task.kind] as string, parameters: network.parameters, bytes: fileBytes, dtype, weights: network.kind, ...info, sites };
}
