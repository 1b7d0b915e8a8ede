// A recorded stream of engine events and a client that plays it, for tests of the store.
import type { EngineClient } from '../worker/client';
import type { DeviceCard, EngineEvent, Hello, MethodCard, ModelCard, Plan, RunConfig } from './contract';

const card = (slug: string): MethodCard => ({
  slug, name: slug.toUpperCase(), summary: '', formula: '', paper: { title: '', authors: '', year: 2024, venue: '', url: '' }, family: 'low-rank', models: ['decoder'], exports: 'lora-exact',
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
  name: 'tale-1m', architecture: 'Llama', parameters: 10, bytes: 10, layers: 2, hidden: 4, heads: 1, kvHeads: 1, vocab: 16, context: 512, dtype: 'f16',
  sites: [0, 1].flatMap((depth) => ['q_proj', 'v_proj', 'up_proj'].map((module) => ({ name: `model.layers.${depth}.${module === 'up_proj' ? 'mlp' : 'self_attn'}.${module}`, depth, module, shape: [4, 4] as [number, number] }))),
};

const plan: Plan = { trainable: 1, total: 10, byModule: [], bytes: [], peakBytes: 1, largestBuffer: 1, flopsPerStep: 1, dispatchesPerStep: 1 };
const data = { name: 'king-james', format: 'text' as const, hash: '', rows: 1, tokens: 1, trainRows: 1, validationRows: 1, cutRows: 0, lengths: { width: 1, counts: [] }, preview: [], warnings: [] };

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
    plan: said('plan', answers.plan ?? (async () => plan), (config: RunConfig) => `lr ${config.training.lr}`),
    start: said('start', answers.start ?? (async (_config, again) => again ?? `run-${++runs}`), (config: RunConfig, again) => (again ? `again ${again}` : (config.name.match(/-s\d+$/) ? config.name : ''))),
    restore: said('restore', answers.restore ?? (async () => {}), (run) => run),
    forget: said('forget', async (_run: string) => {}, (run) => run),
    recover: said('recover', answers.recover ?? (async () => hello.device as DeviceCard)),
    deviceState: async () => ({ bytes: 0, peakBytes: 0, pipelines: 0, kernels: [] }),
    selfTest: async () => [],
    timeStep: async () => ({ ms: 1, msLeast: 1, runs: 1, tokensPerSecond: 1, gflops: 1, dispatches: 1, kernels: null }),
    pause: said('pause', async () => {}),
    resume: said('resume', async () => {}),
    stop: said('stop', async () => {}),
    sample: said('sample', answers.sample ?? (async (_run, prompt) => ({ prompt, off: 'off', on: 'on', step: 3 }))),
    exportPeft: said('exportPeft', answers.exportPeft ?? (async () => {
      throw Object.assign(new Error('no'), { name: 'CheckpointError', hint: 'do this' });
    })),
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
