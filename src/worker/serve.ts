// The engine behind the page's calls: one device, one model, one data set, any number of runs. Handlers are typed by the protocol.
import { datasetFromFile, type Dataset, type DatasetOptions } from '../data/dataset';
import { Device, type TuneStore } from '../engine/gpu/device';
import { type ByteSource, blobSource } from '../formats/safetensors';
import { openHfFolder } from '../formats/hf-folder';
import { methodFor, methods } from '../methods/registry';
import { type BoundMethod, bind } from '../training/contract';
import { formatsOf } from '../training/deliver';
import { VALIDATION_BATCHES, defaultRun, parseRunConfig, type RunConfig } from '../training/config';
import type { RunEvent } from '../training/events';
import { type LoadedModel, describeModel, freeWeights, uploadWeights } from '../training/loaded';
import { planRun, totalSteps, wantFits } from '../training/plan';
import { type Rate, measureRate } from '../training/rate';
import { Run } from '../training/run';
import { ConfigError, DataError, StudioError, toFailure } from '../util/errors';
import { builtinText, type Catalogue, fetchCatalogue, fetchModel } from './builtin';
import { type Bench, exploreCalls } from './explore';
import type { DataCard, DeviceCard, EngineApi, EngineEvent, Hello, ModelCard, RunId } from './protocol';

interface Current {
  loaded: LoadedModel;
  /** As the page asked for it: adapter_config.json names it. */
  baseName: string;
  rate: Rate | null;
}

export function createEngine(gpu: GPU | undefined, tuneStore: () => Promise<TuneStore>): EngineApi {
  let tell: (event: EngineEvent) => void = () => {};
  let device: Device | null = null;
  let catalogue: Catalogue = { models: [], data: [] };
  let current: Current | null = null;
  let text: { name: string; content: string } | null = null;
  let dataset: { key: string; data: Dataset; shape: readonly [number, number] } | null = null;
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
  const datasetFor = async (options: Omit<DatasetOptions, 'context'>): Promise<Dataset> => {
    const { loaded } = wantModel();
    if (!text) throw new DataError('no data are loaded', 'Choose data first.');
    if (!loaded.tokenizer) throw new ConfigError(`${loaded.name}: the model has no tokenizer.json`, 'Add tokenizer.json to its folder.');
    const key = JSON.stringify([loaded.name, text.name, text.content.length, options]);
    if (dataset?.key !== key) dataset = { key, shape: [options.batch, options.seq], data: await datasetFromFile(text, loaded.tokenizer, { ...options, context: loaded.info.context, validationBatches: VALIDATION_BATCHES }) };
    return dataset.data;
  };
  const boundOf = (config: RunConfig) => bind(methodFor(config.method.slug), config.method.fields);

  const explored = exploreCalls({
    device: wantDevice,
    run: runOf,
    current: () => {
      const { loaded, baseName } = wantModel();
      if (!dataset) throw new DataError('no data are loaded', 'Choose data first: the loss is measured on what is held out of them.');
      return { loaded, baseName, data: dataset.data, shape: dataset.shape, sample: { ...defaultRun.sample, seed: defaultRun.training.seed } };
    },
    tell: (event) => tell(event),
  });

  const api: EngineApi = {
    async hello(listener): Promise<Hello> {
      tell = listener;
      const cards = [...methods.values()].map((method) => method.info);
      catalogue = await fetchCatalogue();
      try {
        device = await Device.open(gpu);
        device.tuneStore = await tuneStore();
        const { gpu: opened } = device;
        void opened.lost.then((lost) => {
          if (lost.reason !== 'destroyed') tell({ kind: 'lost', message: lost.message || String(lost.reason) });
        });
        return { device: deviceCard(device), methods: cards, ...catalogue };
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
      const before = current?.loaded;
      if (before && ![...runs.values()].some((r) => r.bench.loaded === before)) {
        await explored.closeFor(before);
        freeWeights(on, before);
      }
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

    async start(json) {
      const config = parseRunConfig(json);
      const on = wantDevice();
      const model = wantModel();
      const bound = boundOf(config);
      wantFits(planRun(model.loaded, bound, config, on));
      const { batch, seq, seed } = config.training;
      const data = await datasetFor({ batch, seq, seed, holdout: config.holdout });
      const id = crypto.randomUUID();
      const listener = (event: RunEvent) => tell({ run: id, ...event });
      tell({ run: id, kind: 'status', status: 'preparing', step: 0 });
      const abort = new AbortController();
      preparing.set(id, abort);
      const progress = (task: string) => (done: number, total: number) => tell({ kind: 'progress', task, done, total });
      const run = await Run.create({
        device: on, loaded: model.loaded, data, bound, config, samples: true, listener, signal: abort.signal,
        preparing: progress(`Preparing ${bound.method.info.name}`), progress: progress('Preparing kernels'),
      }).finally(() => preparing.delete(id));
      runs.set(id, { run, bound, bench: { loaded: model.loaded, baseName: model.baseName, data, shape: [batch, seq], sample: { ...config.sample, seed } } });
      const from = performance.now();
      void run.train().then(() => {
        // A whole run is the best measurement there is.
        const seconds = (performance.now() - from) / 1000;
        if (run.step > 20) model.rate = { flopsPerSecond: (run.step * run.flopsPerStep) / seconds, source: `the last run of ${run.step} steps on this device, evaluations and samples included` };
      });
      return id;
    },

    async pause(id) { runOf(id).run.pause(); },
    async resume(id) { runOf(id).run.resume(); },
    async stop(id) {
      const abort = preparing.get(id);
      if (abort) abort.abort();
      else runOf(id).run.stop();
    },
    async sample(id, prompt, maxTokens, temperature) { return runOf(id).run.sample(prompt, maxTokens, temperature); },
    ...explored.api,
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

function modelCard(loaded: LoadedModel): ModelCard {
  const { name, model, task, info, network, fileBytes, dtype } = loaded;
  const sites = [...network.sites.values()].filter((site) => site.depth >= 0).map(({ name: site, depth, module, shape }) => ({ name: site, depth, module, shape: [...shape] as [number, number] }));
  return { name, formats: formatsOf(loaded), architecture: model.classes[task.kind] as string, parameters: network.parameters, bytes: fileBytes, dtype, ...info, sites };
}
