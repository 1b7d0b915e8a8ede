// The engine behind the page's calls: one device, one model, one data set, any number of runs. Handlers are typed by the protocol.
import { datasetFromFile, type Dataset, type DatasetOptions } from '../data/dataset';
import { Device, type TuneStore } from '../engine/gpu/device';
import { type ByteSource, blobSource } from '../formats/safetensors';
import { openHfFolder } from '../formats/hf-folder';
import { methodFor, methods } from '../methods/registry';
import { checkKernels, timeStep } from '../training/bench';
import { bind } from '../training/contract';
import { VALIDATION_BATCHES, parseRunConfig, type RunConfig } from '../training/config';
import type { RunEvent } from '../training/events';
import { type LoadedModel, describeModel, freeWeights, uploadWeights } from '../training/loaded';
import { planRun, totalSteps, wantFits } from '../training/plan';
import { type Rate, measureRate } from '../training/rate';
import { Run } from '../training/run';
import { CheckpointError, ConfigError, DataError, StudioError, toFailure } from '../util/errors';
import { builtinText, type Catalogue, fetchCatalogue, fetchModel } from './builtin';
import type { DataCard, DeviceCard, EngineApi, EngineEvent, Hello, ModelCard, RunId } from './protocol';
import type { RunStates } from './run-states';

interface Current {
  loaded: LoadedModel;
  /** As the page asked for it: adapter_config.json names it. */
  baseName: string;
  rate: Rate | null;
}

/** Time between two kept states of a run that trains. */
const SAVE_MS = 20_000;

export function createEngine(gpu: GPU | undefined, tuneStore: () => Promise<TuneStore>, states: RunStates): EngineApi {
  let tell: (event: EngineEvent) => void = () => {};
  let device: Device | null = null;
  let catalogue: Catalogue = { models: [], data: [] };
  let current: Current | null = null;
  let text: { name: string; content: string } | null = null;
  let dataset: { key: string; data: Dataset } | null = null;
  const runs = new Map<RunId, { run: Run; baseName: string; loaded: LoadedModel }>();
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
  const datasetFor = async (options: Omit<DatasetOptions, 'context'>): Promise<Dataset> => {
    const { loaded } = wantModel();
    if (!text) throw new DataError('no data are loaded', 'Choose data first.');
    if (!loaded.tokenizer) throw new ConfigError(`${loaded.name}: the model has no tokenizer.json`, 'Add tokenizer.json to its folder.');
    const key = JSON.stringify([loaded.name, text.name, text.content.length, options]);
    if (dataset?.key !== key) dataset = { key, data: await datasetFromFile(text, loaded.tokenizer, { ...options, context: loaded.info.context, validationBatches: VALIDATION_BATCHES }) };
    return dataset.data;
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
  /** A run on the current model and data, under an id; from its kept state where `again`. */
  const createRun = async (id: RunId, json: RunConfig, again: boolean): Promise<Run> => {
    const config = parseRunConfig(json);
    const on = wantDevice();
    const model = wantModel();
    const bound = boundOf(config);
    wantFits(planRun(model.loaded, bound, config, on));
    const { batch, seq, seed } = config.training;
    const data = await datasetFor({ batch, seq, seed, holdout: config.holdout });
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
      device: on, loaded: model.loaded, data, bound, config, samples: true, save, saveMs: SAVE_MS, listener: speaks, signal: abort.signal,
      preparing: progress(`Preparing ${bound.method.info.name}`), progress: progress('Preparing kernels'), ...(state ? { resume: state } : {}),
    }).finally(() => preparing.delete(id));
    runs.get(id)?.run.dispose();
    runs.set(id, { run, baseName: model.baseName, loaded: model.loaded });
    return run;
  };

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

    async loadModel(source, files): Promise<ModelCard> {
      const on = wantDevice();
      const progress = (task: string) => (done: number, total: number) => tell({ kind: 'progress', task, done, total });
      const name = source.kind === 'builtin' ? source.id : source.name;
      const folder = source.kind === 'builtin' ? await fetchModel(source.id, progress(`Downloading ${name}`)) : new Map<string, ByteSource>((files ?? []).map(({ name: path, file }) => [path, blobSource(path, file)]));
      const loaded = describeModel(name, await openHfFolder(folder));
      await uploadWeights(on, loaded, progress(`Loading ${name}`));
      // The model before goes only now, so that a bad folder loses nothing; runs that still use it keep it.
      if (current && ![...runs.values()].some((r) => r.loaded === current?.loaded)) freeWeights(on, current.loaded);
      current = { loaded, baseName: name, rate: null };
      dataset = null;
      return modelCard(loaded);
    },

    async loadData(source, options, given): Promise<DataCard> {
      const before = text;
      const name = source.kind === 'builtin' ? source.id : source.name;
      if (source.kind === 'file' && given === undefined) throw new DataError(`${name}: its text is not here any more`, 'Choose the file again.');
      text = source.kind === 'builtin' ? await builtinText(catalogue, name) : { name, content: given as string };
      try {
        const { summary } = await datasetFor({ batch: options.batch ?? 1, seq: options.seq, seed: options.seed, holdout: options.holdout });
        return { ...summary, name };
      } catch (error) {
        text = before;
        throw error;
      }
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

    async start(json, again) {
      const id = again ?? crypto.randomUUID();
      const model = wantModel();
      tell({ run: id, kind: 'status', status: 'preparing', step: 0 });
      const run = await createRun(id, json, again !== undefined);
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
      (await createRun(id, json, true)).standStill();
    },
    async forget(id) {
      runs.get(id)?.run.dispose();
      runs.delete(id);
      await states.remove(id);
    },
    async recover() {
      // What stood on the lost device is gone with it; nothing of it can be freed.
      current = null;
      dataset = null;
      runs.clear();
      return openDevice();
    },
    async deviceState() {
      const on = wantDevice();
      return { bytes: on.bytes, peakBytes: on.peakBytes, pipelines: on.pipelineCount, kernels: [...on.choices.values()].map((choice) => ({ ...choice })) };
    },
    async selfTest() { return checkKernels(wantDevice()); },
    async timeStep(json) {
      const config = parseRunConfig(json);
      const { loaded } = wantModel();
      const [on, bound] = [wantDevice(), boundOf(config)];
      wantFits(planRun(loaded, bound, config, on));
      const { batch, seq, seed } = config.training;
      const data = await datasetFor({ batch, seq, seed, holdout: config.holdout });
      return timeStep({ device: on, loaded, data, bound, config, progress: (done, total) => tell({ kind: 'progress', task: 'Timing steps', done, total }) });
    },

    async pause(id) { runOf(id).run.pause(); },
    async resume(id) { runOf(id).run.resume(); },
    async stop(id) {
      const abort = preparing.get(id);
      if (abort) abort.abort();
      else runOf(id).run.stop();
    },
    async sample(id, prompt, maxTokens, temperature) { return runOf(id).run.sample(prompt, maxTokens, temperature); },
    async exportPeft(id) {
      const { run, baseName } = runOf(id);
      if (run.moving) throw new ConfigError('the run is still training: its numbers move while they are written', 'Pause or stop the run, then export.');
      const { folder, receipt } = await run.exportPeft(baseName);
      return { files: folder.files, receipt };
    },
  };
  return withFailures(api);
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

function modelCard({ name, model, task, info, network, fileBytes, dtype }: LoadedModel): ModelCard {
  const sites = [...network.sites.values()].filter((site) => site.depth >= 0).map(({ name: site, depth, module, shape }) => ({ name: site, depth, module, shape: [...shape] as [number, number] }));
  return { name, architecture: model.classes[task.kind] as string, parameters: network.parameters, bytes: fileBytes, dtype, ...info, sites };
}
