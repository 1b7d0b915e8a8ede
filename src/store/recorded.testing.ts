// A recorded stream of engine events and a client that plays it, for tests of the store.
import type { EngineClient } from '../worker/client';
import type { DataCard, DeviceCard, EngineEvent, ExploreCard, Hello, MethodCard, ModelCard, Plan, RunConfig } from './contract';

const card = (slug: string): MethodCard => ({
  slug, name: slug.toUpperCase(), summary: '', goodFor: '', formula: '', paper: { title: '', authors: '', year: 2024, venue: '', url: '' }, family: 'low-rank', models: ['decoder'], exports: 'lora-exact',
  fields: {
    rank: { kind: 'int', label: 'Rank', help: '', default: 8, min: 1, max: slug === 'tiny' ? 4 : 64 },
    alpha: { kind: 'float', label: 'Alpha', help: '', default: 16, min: 1, max: 64 },
  },
  series: [], views: [],
});

export const hello: Hello = {
  device: { vendor: 'test', architecture: '', description: '', software: true, features: [], limits: {}, kernels: [] },
  methods: [card('lora'), card('tiny')],
  models: [{ id: 'tale-1m', title: 'tale-1m', kind: 'text', parameters: 10, bytes: 10, summary: '', licence: '' }, { id: 'tale-16m', title: 'tale-16m', kind: 'text', parameters: 10, bytes: 10, summary: '', licence: '' }],
  data: [
    { id: 'king-james', title: 'King James', format: 'text', bytes: 1, rows: 1, summary: '', licence: '', prompt: 'In the beginning' },
    { id: 'wordnet', title: 'WordNet', format: 'rows', bytes: 1, rows: 1, summary: '', licence: '', prompt: 'Define heron.' },
  ],
};

export const model: ModelCard = {
  kind: 'decoder',
  name: 'tale-1m', task: 'causal-lm', architecture: 'Llama', parameters: 10, bytes: 10, layers: 2, hidden: 4, heads: 1, kvHeads: 1, vocab: 16, context: 512, dtype: 'f16', weights: 'f32', formats: ['peft', 'merged', 'gguf'],
  sites: [0, 1].flatMap((depth) => ['q_proj', 'v_proj', 'up_proj'].map((module) => ({ name: `model.layers.${depth}.${module === 'up_proj' ? 'mlp' : 'self_attn'}.${module}`, depth, module, shape: [4, 4] as [number, number] }))),
};

/** Two modules with four and three components. */
export const explored: ExploreCard = {
  modules: [
    { site: 'model.layers.0.self_attn.q_proj', depth: 0, module: 'q_proj', shape: [4, 4], sigma: Float64Array.of(4, 3, 2, 1), sizes: Float64Array.of(4, 3, 2, 1) },
    { site: 'model.layers.1.self_attn.v_proj', depth: 1, module: 'v_proj', shape: [4, 4], sigma: Float64Array.of(2.5, 1.5, 0.5), sizes: Float64Array.of(2, 1, 1), gates: Float64Array.of(0.9, 0.5, 0.1) },
  ],
  rows: ['a row'], tokens: 63, bytes: 100,
};

const plan: Plan = { trainable: 1, total: 10, byModule: [], bytes: [], peakBytes: 1, largestBuffer: 1, flopsPerStep: 1, dispatchesPerStep: 1 };
export const data: DataCard = {
  name: 'king-james', format: 'text', form: 'text', hash: '', tokensHash: '', columns: [], used: {}, cells: [], rows: 1, tokens: 1, trainRows: 1, validationRows: 1, testRows: 0, cutRows: 0, cutTokens: 0,
  packing: { on: false, rows: 1, packedRows: 1, padding: 0, packedPadding: 0 }, classes: null, near: { count: 0, examples: [] }, lengths: { width: 1, counts: [] }, preview: [], warnings: [],
};

/** Every call with its arguments, in order; and what a test wants a call to do instead. */
export function recordedClient(answers: Partial<EngineClient> = {}) {
  const calls: string[] = [];
  let listener: (event: EngineEvent) => void = () => {};
  let crash: (failure: { name: string; message: string; hint: string }) => void = () => {};
  let runs = 0;
  const said = <A extends unknown[], R>(name: string, answer: (...args: A) => R, describe: (...args: A) => string = () => '') => async (...args: A): Promise<Awaited<R>> => {
    calls.push(`${name} ${describe(...args)}`.trim());
    return await answer(...args);
  };
  const client: EngineClient = {
    onCrash: (tell) => {
      crash = tell;
    },
    hello: said('hello', answers.hello ?? (async (tell) => {
      listener = tell;
      return hello;
    })),
    loadModel: said('loadModel', answers.loadModel ?? (async () => model), (source) => (source.kind === 'builtin' ? source.id : source.name)),
    loadData: said('loadData', answers.loadData ?? (async () => data), (source, { seq }) => `${source.kind === 'builtin' ? source.id : source.name} seq ${seq}`),
    cancelLoad: said('cancelLoad', async () => {}),
    setHub: said('setHub', async () => {}),
    lookUp: said('lookUp', answers.lookUp ?? (async (kind, name) => ({ kind, name, commit: 'c', gated: false, files: [], here: 0 })), (kind, name) => `${kind} ${name}`),
    addAdapter: said('addAdapter', answers.addAdapter ?? (async (name) => ({ id: 'adapter-1', name, method: 'LoRA', modules: 1, ranks: [4, 4], base: null, notes: [] }))),
    removeAdapter: said('removeAdapter', async () => {}),
    write: said('write', answers.write ?? (async () => [])),
    stopWriting: said('stopWriting', async () => {}),
    find: said('find', async () => ({ labels: [], shares: [], pictures: [] })),
    judge: said('judge', async () => ({ labels: [], shares: [] })),
    look: said('look', async () => ({ labels: [], shares: [], picture: { width: 0, height: 0, rgba: new Uint8ClampedArray() } })),
    plan: said('plan', answers.plan ?? (async () => plan), (config: RunConfig) => `lr ${config.training.lr}`),
    start: said('start', answers.start ?? (async (_config, { again } = {}) => again ?? `run-${++runs}`), (config: RunConfig, { from, again } = {}) => (again ? `again ${again}` : from ? `from ${from}` : (config.name.match(/-s\d+$/) ? config.name : ''))),
    restore: said('restore', answers.restore ?? (async () => {}), (run) => run),
    kept: said('kept', answers.kept ?? (async () => ({ step: 20, bytes: 1234 })), (run) => run),
    forget: said('forget', async (_run: string) => {}, (run) => run),
    recover: said('recover', answers.recover ?? (async () => hello.device as DeviceCard)),
    deviceState: async () => ({ bytes: 0, peakBytes: 0, pipelines: 0, kernels: [], off: [] }),
    selfTest: async () => ({ products: [], gates: [] }),
    timeStep: async () => ({ ms: 1, msLeast: 1, runs: 1, tokensPerSecond: 1, gflops: 1, dispatches: 1, kernels: [], timed: 'wall clock', limits: { gbps: 1, gflops: 1 } }),
    pause: said('pause', async () => {}),
    resume: said('resume', async () => {}),
    stop: said('stop', async () => {}),
    sample: said('sample', answers.sample ?? (async (_run, prompt) => ({ prompt, off: 'off', on: 'on', step: 3 }))),
    exportAs: said('exportAs', answers.exportAs ?? (async () => {
      throw Object.assign(new Error('no'), { name: 'CheckpointError', hint: 'do this' });
    })),
    exploreOpen: said('exploreOpen', answers.exploreOpen ?? (async () => explored), (source) => (source.kind === 'run' ? source.run : source.name)),
    exploreEvaluate: said('exploreEvaluate', answers.exploreEvaluate ?? (async (cut) => ({ loss: 4 - cut.keep.reduce((a, b) => a + b) / 8, rows: new Float32Array(1), seconds: 0.1 })), (cut) => `${cut.basis} ${cut.keep.join()} at ${cut.strength}`),
    exploreTexts: said('exploreTexts', answers.exploreTexts ?? (async (_cut, prompt) => ({ prompt, off: ['a'], whole: ['b'], cut: ['b'] })), (_cut, prompt) => prompt),
    exploreDetail: said('exploreDetail', async (_module: number) => ({ left: new Float32Array(4), right: new Float32Array(4), rows: 1, columns: 1, weightNorm: 1 }), (module) => String(module)),
    exploreWeights: said('exploreWeights', answers.exploreWeights ?? (async () => Float64Array.of(2, 1)), (module) => String(module)),
    exploreImportance: said('exploreImportance', answers.exploreImportance ?? (async () => Float64Array.of(0.1, 0.3))),
    exploreOverlap: said('exploreOverlap', answers.exploreOverlap ?? (async () => ({ name: 'other', sites: [], unmatched: [] }))),
    exploreCancel: said('exploreCancel', async () => {}),
  };
  return { client, calls, send: (event: EngineEvent) => listener(event), crash: (message: string) => crash({ name: 'WorkerError', message, hint: '' }) };
}

/** A clock whose frames come when a test says so. */
export function handClock() {
  const waiting: (() => void)[] = [];
  let time = 0;
  return {
    clock: { frame: (callback: () => void) => void waiting.push(callback), now: () => time },
    pending: () => waiting.length,
    tick: (ms = 16) => {
      time += ms;
      for (const callback of waiting.splice(0)) callback();
    },
  };
}
