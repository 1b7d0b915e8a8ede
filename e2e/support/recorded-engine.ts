// An engine that answers from a script, for tests of the page alone: catalogues, cards and a run whose numbers are made up
// by a formula. It trains nothing and never ships; the journeys that matter run against the real engine.
import type {
  DataCard, DeviceCard, EngineApi, EngineEvent, Hello, MethodCard, ModelCard, Plan, RunConfig, SampleResult, SiteCard,
} from '../../src/worker/protocol';
import type { RunStates } from '../../src/worker/run-states';
import { recordedExplore } from './recorded-explore';

const MODULES: [string, number, number][] = [
  ['self_attn.q_proj', 128, 128], ['self_attn.k_proj', 64, 128], ['self_attn.v_proj', 64, 128], ['self_attn.o_proj', 128, 128],
  ['mlp.gate_proj', 344, 128], ['mlp.up_proj', 344, 128], ['mlp.down_proj', 128, 344],
];
const sitesOf = (layers: number): SiteCard[] =>
  Array.from({ length: layers }, (_, depth) =>
    MODULES.map(([path, out, inn]): SiteCard => ({ name: `model.layers.${depth}.${path}`, depth, module: path.split('.')[1] as string, shape: [out, inn] })),
  ).flat();

const rank = { kind: 'int', label: 'Rank', help: 'Columns of B and rows of A: how much the adapter can express at one layer.', default: 8, min: 1, max: 128, log: true } as const;
const alpha = { kind: 'float', label: 'Alpha', help: 'The adapter is scaled by alpha ÷ rank.', default: 16, min: 0.5, max: 256, log: true } as const;
const METHODS: MethodCard[] = [
  {
    slug: 'lora', name: 'LoRA', summary: 'Two thin matrices beside every chosen layer; the layer itself stays frozen.', goodFor: 'a first run.', formula: 'y = W x + (α/r) B A x',
    paper: { title: 'LoRA: Low-Rank Adaptation of Large Language Models', authors: 'Hu et al.', year: 2022, venue: 'ICLR', url: 'https://arxiv.org/abs/2106.09685' },
    family: 'baseline', models: ['decoder'], exports: 'lora-exact', series: [], views: [],
    fields: {
      rank, alpha,
      dropout: { kind: 'float', label: 'Dropout', help: 'Share of the input that is dropped before A, while training.', default: 0, min: 0, max: 0.5 },
      rslora: { kind: 'bool', label: 'Scale by α ÷ √r', help: 'Keeps the step size the same at any rank.', default: false },
      init: { kind: 'choice', label: 'Start of A', help: 'How A is drawn before training; B starts at zero.', default: 'kaiming', options: [{ value: 'kaiming', label: 'Kaiming uniform' }, { value: 'gaussian', label: 'Gaussian' }] },
    },
  },
  {
    slug: 'sora', name: 'SoRA', summary: 'LoRA with a gate on every rank. A proximal step closes gates while training, so each layer finds its own rank.', goodFor: 'finding out how much rank each layer needs.',
    formula: 'y = W x + (α/r) B (g ⊙ A x)\ng ← sign(g) max(|g| − ξ, 0)',
    paper: { title: 'Sparse Low-rank Adaptation of Pre-trained Language Models', authors: 'Ding et al.', year: 2023, venue: 'EMNLP', url: 'https://arxiv.org/abs/2311.11696' },
    family: 'sparse', models: ['decoder'], exports: 'lora-exact', series: [{ id: 'kept_ranks', label: 'Ranks kept' }],
    views: [{ id: 'gates', kind: 'heatmap', title: 'Gates', rows: 'modules', columns: 'ranks', help: '|g| by module and rank; a closed gate is zero' }],
    fields: {
      rank: { ...rank, label: 'Rank at the start' }, alpha,
      xi: { kind: 'float', label: 'Gate threshold ξ', help: 'After each step every gate moves towards 0 by ξ, and stays there if it arrives. Larger closes more ranks.', source: 'Ding et al. 2023, section 4', default: 1e-3, min: 1e-6, max: 0.1, log: true },
      gateLr: { kind: 'float', label: 'Gate learning rate', help: 'Step size of the gates’ own optimiser.', default: 2e-3, min: 1e-5, max: 0.1, log: true },
    },
  },
];

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
/** A small repeatable stream of numbers in [0, 1). */
function stream(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}
/** A stream of its own for a seed and a step. */
function mixed(seed: number, step: number): () => number {
  let x = Math.imul(seed ^ Math.imul(step, 0x9e3779b1), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return stream(x ^ (x >>> 16));
}
const failure = (name: string, message: string, hint: string) => Object.assign(new Error(message), { name, hint });

const OFF = ' there was a little girl named Lily. She liked to play with her red ball in the garden. One day she saw a big bird on the gate, and the bird was sad because it had no home.';
const ON = [
  OFF,
  ' there was a little girl named Lily, and she went out into the field. And she said, I will build an house for the bird.',
  ' there was a man in the land of Uz, and the LORD said unto him, Arise, and go thou into the field of thy father.',
  ' there was a certain man of the children of Israel, and the word of the LORD came unto him, saying, Go forth out of thine house, and take with thee the bread of thy fathers.',
];

/** Where the loss of a method ends, so that comparisons have something to compare. */
const floorOf = ({ method, training }: RunConfig) => 3.42 - 0.02 * Math.log2(Number(method.fields.rank ?? 8)) + (method.slug === 'sora' ? -0.05 : 0) + 0.1 * Math.abs(Math.log10(training.lr / 3e-3));

export interface Script {
  /** Milliseconds a step. */
  pace: number;
  device(): Promise<Hello['device']>;
  /** Where states of runs are kept over a reload. */
  states?: Pick<RunStates, 'write' | 'read' | 'remove'>;
}

export function recordedEngine({ pace, device, states }: Script): EngineApi {
  let tell: (event: EngineEvent) => void = () => {};
  let model: ModelCard | null = null;
  let state: 'running' | 'paused' | 'stopping' = 'running';
  let runs = 0;
  /** Raised when the device is lost: what ran on it says no more. */
  let life = 0;
  let goneForGood = false;
  const configs = new Map<string, RunConfig>();
  const steps = new Map<string, number>();
  const gatesAt = new Map<string, Float32Array>();

  const sampleAt = (config: RunConfig, step: number): SampleResult => ({
    prompt: config.sample.prompt, off: OFF, on: ON[step === 0 ? 0 : Math.min(3, 1 + Math.floor((3 * step) / config.training.steps))] as string, step,
  });

  async function train(run: string, config: RunConfig, from0: number): Promise<void> {
    const born = life;
    const tellLiving = (event: EngineEvent) => { if (born === life) tell(event); };
    // Numbers are functions of seed and step alone, as the real engine's are.
    let random = stream(config.training.seed);
    const { steps: total, lr, warmup, evalEvery, seq, batch } = config.training;
    const sites = (model as ModelCard).sites;
    const sora = config.method.slug === 'sora';
    const r = Number(config.method.fields.rank ?? 8);
    const gates = new Float32Array(sites.length * r).map((_, i) => 0.3 + random() * (1 + (i % 7) * 0.2));
    const began = Date.now();
    const evaluate = (step: number) => {
      const noise = mixed(config.training.seed, -step)();
      tellLiving({ kind: 'eval', run, step, loss: floorOf(config) + 1.9 * Math.exp(-step / (total * 0.22)) + noise * 0.03, metrics: {} });
    };
    const view = (step: number) => sora && tellLiving({ kind: 'view', run, id: 'gates', step, data: { rows: sites.map((site) => site.name), columns: r, values: gates.slice() } });
    tell({ kind: 'status', run, status: 'preparing', step: 0 });
    await wait(120);
    tellLiving({ kind: 'status', run, status: 'running', step: from0 });
    if (from0 === 0) {
      evaluate(0);
      tellLiving({ kind: 'sample', run, sample: sampleAt(config, 0) });
      view(0);
    }
    let step = from0;
    while (step < total && state !== 'stopping' && born === life) {
      if (state === 'paused') {
        await wait(20);
        continue;
      }
      const from = step + 1;
      const chunk = Math.min(Math.max(1, Math.round(100 / pace)), total - step, (evalEvery || total) - (step % (evalEvery || total)));
      const series = ['loss', 'lr', 'grad_norm', ...(sora ? ['kept_ranks'] : [])];
      const values = new Float32Array(chunk * series.length);
      for (let i = 0; i < chunk; i++) {
        step++;
        random = mixed(config.training.seed, step);
        for (let g = 0; sora && g < gates.length; g++) gates[g] = Math.max(0, (gates[g] as number) - (0.9 / total) * (0.3 + random() + (g % r) * 0.12));
        const kept = gates.reduce((n, gate) => n + (gate > 0 ? 1 : 0), 0);
        const rate = step <= warmup ? (lr * step) / warmup : lr * (1 - (step - warmup) / (total - warmup));
        values.set([floorOf(config) - 0.07 + 2 * Math.exp(-step / (total * 0.2)) + (random() - 0.5) * 0.5, rate, 0.45 + 1.6 * Math.exp(-step / 30) + random() * 0.25, kept].slice(0, series.length), i * series.length);
      }
      await wait(pace * chunk);
      const seconds = (Date.now() - began) / 1000;
      tellLiving({ kind: 'metrics', run, from, series, values, seconds, tokensPerSecond: (step * seq * batch) / seconds });
      steps.set(run, step);
      view(step);
      if (evalEvery && step % evalEvery === 0) evaluate(step);
      if (config.sample.every && step % config.sample.every === 0) tellLiving({ kind: 'sample', run, sample: sampleAt(config, step) });
      if (from <= total >> 1 && step >= total >> 1) tellLiving({ kind: 'note', run, step, text: 'Half of the steps are done' });
      if (born === life && step % 20 < chunk) await keep(run, step);
    }
    if (born !== life) return;
    const stopped = state === 'stopping';
    await keep(run, step);
    evaluate(step);
    tellLiving({ kind: 'sample', run, sample: sampleAt(config, step) });
    gatesAt.set(run, gates);
    tellLiving({ kind: 'ended', run, reason: stopped ? 'stopped' : 'finished', step, seconds: (Date.now() - began) / 1000 });
  }

  async function keep(run: string, step: number): Promise<void> {
    const bytes = new TextEncoder().encode(JSON.stringify({ step }));
    await states?.write(run, bytes);
    tell({ kind: 'saved', run, step, bytes: bytes.length });
  }
  async function kept(run: string): Promise<number> {
    const source = await states?.read(run);
    if (!source) throw failure('CheckpointError', `the state of run ${run} is not in this browser's storage`, 'Train it again.');
    return (JSON.parse(new TextDecoder().decode(await source.read(0, source.size))) as { step: number }).step;
  }

  return {
    hello: async (listener) => {
      tell = listener;
      const found = await device();
      const hello: Hello = {
        device: found, methods: METHODS,
        models: [
          { id: 'tale-1m', title: 'tale-1m', kind: 'text', parameters: 1_613_440, bytes: 3_230_000, summary: 'A small storyteller: 6 layers, trained on stories, chats and definitions.', licence: 'Apache-2.0' },
          { id: 'tale-16m', title: 'tale-16m', kind: 'text', parameters: 17_309_568, bytes: 34_629_128, summary: 'The same at ten times the size.', licence: 'Apache-2.0' },
        ],
        data: [
          { id: 'king-james', title: 'King James text', format: 'text', bytes: 412_000, rows: 1820, summary: 'Genesis to Ruth in the words of 1611. The model learns the voice.', licence: 'public domain', prompt: 'Once upon a time' },
          { id: 'wordnet-json', title: 'Definitions as JSON', format: 'rows', bytes: 690_000, rows: 4000, summary: 'A word in, a small JSON record out. Loss on the answer only.', licence: 'WordNet', prompt: 'Define heron as JSON.' },
        ],
      };
      if (!found) hello.failure = { name: 'NoDeviceError', message: 'device: requestAdapter() returned nothing, for high-performance and for low-power', hint: 'Turn on WebGPU in this browser, or start it with software WebGPU.' };
      return hello;
    },
    loadModel: async (source, files, weights = 'f32') => {
      for (let done = 0; done <= 4; done++) {
        tell({ kind: 'progress', task: 'Reading model.safetensors', done, total: 4 });
        await wait(15);
      }
      if (source.kind === 'files' && !files?.some((file) => file.name === 'config.json')) {
        throw failure('CheckpointError', `${source.name}: config.json is not among the ${files?.length ?? 0} files`, 'Give the whole folder: config.json, tokenizer.json and the .safetensors files.');
      }
      const large = source.kind === 'builtin' && source.id === 'tale-16m';
      const layers = large ? 10 : 6;
      model = {
        name: source.kind === 'builtin' ? source.id : source.name, kind: 'decoder', task: 'causal-lm', architecture: 'Llama', parameters: large ? 17_309_568 : 1_613_440, bytes: large ? 34_629_128 : 3_230_000, layers,
        hidden: large ? 384 : 128, heads: large ? 6 : 4, kvHeads: 2, vocab: 4096, context: 512, dtype: 'f16', weights: weights === 'auto' ? 'f32' : weights, formats: ['peft', 'merged', 'gguf'], sites: sitesOf(layers),
      };
      return model;
    },
    loadData: async (source, { holdout, seq }, file) => {
      await wait(40);
      const text = file instanceof Blob ? await file.text() : undefined;
      if (text?.includes('BROKEN')) throw failure('DataError', 'notes.jsonl, line 3, column 24: this is not JSON: a comma is missing between two fields', 'Repair line 3, or leave it out. The 2 rows before it are fine.');
      const rows = text === undefined ? 1820 : text.trim().split('\n').length;
      const pair = source.kind === 'builtin' && source.id === 'wordnet-json';
      const line = pair
        ? [['<|bos|>', '<|user|>', 'Def', 'ine', ' heron', ' as', ' JSON', '.', '<|assistant|>'], ['{"', 'word', '":"', 'heron', '","', 'kind', '":"', 'bird', '","', 'legs', '":"', 'long', '"}', '<|eos|>']]
        : [[], ['<|bos|>', 'And', ' it', ' came', ' to', ' pass', ' in', ' those', ' days', ',', ' that', ' there', ' went', ' out', ' a', ' decree', ' from', ' C', 'aes', 'ar', ',', ' that', ' all', ' the', ' world', ' should', ' be', ' tax', 'ed', '.', '\n']];
      const tokens = line.flat();
      const random = stream(5);
      const card: DataCard = {
        name: source.kind === 'builtin' ? source.id : source.name, format: pair ? 'rows' : 'text', form: pair ? 'pair' : 'text', hash: 'c0ffee', tokensHash: 'beef', columns: [], used: {}, cells: [], testRows: 0, cutTokens: 0, classes: null, near: { count: 0, examples: [] },
        packing: { on: false, rows, packedRows: rows, padding: 0, packedPadding: 0 }, rows, tokens: rows * 58, trainRows: Math.round(rows * (1 - holdout)), validationRows: Math.round(rows * holdout),
        cutRows: pair && seq < 64 ? 41 : 0, lengths: { width: 8, counts: Array.from({ length: 14 }, (_, i) => Math.round((pair ? 900 : 300) * Math.exp(-((i - 5) ** 2) / 7) * (0.8 + random() * 0.4))) },
        preview: Array.from({ length: 6 }, (_, i) => ({ tokens: i % 2 ? [...tokens].slice(0, -4) : tokens, loss: tokens.map((_t, j) => j >= (line[0] as string[]).length), total: tokens.length + i * 7, cut: 0 })),
        warnings: rows < 20 ? [`${rows} rows are very few: the model will learn them by heart.`] : [],
      };
      return card;
    },
    cancelLoad: async () => {},
    setHub: async () => {},
    lookUp: async (_kind, name) => {
      throw failure('HubError', `${name}: the recorded engine has no network`, '');
    },
    addAdapter: async (name) => {
      throw failure('CheckpointError', `${name}: the recorded engine reads no adapters`, '');
    },
    removeAdapter: async () => {},
    write: async ({ prompt, voices }, onText) => {
      for (const [voice] of voices.entries()) onText(voice, `${prompt} …`);
      return voices.map(() => ({ text: `${prompt} …`, tokens: 1, seconds: 0.1, stopped: false }));
    },
    stopWriting: async () => {},
    judge: async () => { throw failure('ConfigError', 'the recorded model neither sorts texts nor fills in words', ''); },
    find: async () => { throw failure('ConfigError', 'the recorded model reads no texts beside pictures', ''); },
    look: async () => { throw failure('ConfigError', 'the recorded model reads no pictures', ''); },
    plan: async (config) => {
      const { batch, seq, steps: total } = config.training;
      const { sites, parameters, bytes } = model as ModelCard;
      const pattern = new RegExp(config.targets);
      const chosen = sites.filter((site) => pattern.test(site.name));
      const r = Number(config.method.fields.rank ?? 8);
      const byModule = new Map<string, { module: string; trainable: number; sites: number }>();
      for (const site of chosen) {
        const entry = byModule.get(site.module) ?? { module: site.module, trainable: 0, sites: 0 };
        entry.trainable += r * (site.shape[0] + site.shape[1]);
        entry.sites++;
        byModule.set(site.module, entry);
      }
      const trainable = [...byModule.values()].reduce((sum, entry) => sum + entry.trainable, 0);
      const activations = batch * seq * 128 * 4 * 60;
      const logits = batch * seq * 4096 * 4;
      const plan: Plan = {
        trainable, total: parameters, byModule: [...byModule.values()],
        bytes: [
          { part: 'Base weights', bytes: bytes * 2, kind: 'base' }, { part: 'Activations', bytes: activations, kind: 'base' }, { part: 'Logits', bytes: logits, kind: 'base' }, { part: 'Staging', bytes: 65_536, kind: 'base' },
          { part: 'Adapter', bytes: trainable * 4, kind: 'adapter' }, { part: 'Gradients', bytes: trainable * 4, kind: 'adapter' }, { part: 'AdamW moments', bytes: trainable * 8, kind: 'adapter' },
        ],
        peakBytes: bytes * 2 + activations + logits + 65_536 + trainable * 16, largestBuffer: Math.max(logits, 2_097_152), flopsPerStep: 6 * parameters * batch * seq, dispatchesPerStep: 214,
      };
      if (runs > 0) Object.assign(plan, { seconds: (total * pace) / 1000, secondsSource: 'From the last run on this device.' });
      if (logits > 134_217_728) plan.problem = { message: `The logits need ${(logits / 1e6).toFixed(0)} MB in one buffer; this device allows 134 MB.`, hint: `Lower the batch from ${batch} to ${Math.floor((batch * 134_217_728) / logits)}, or the row length.` };
      return plan;
    },
    start: async (config, { again } = {}) => {
      const run = again ?? crypto.randomUUID();
      runs++;
      state = 'running';
      configs.set(run, config);
      const from = again ? await kept(run).catch(() => 0) : 0;
      steps.set(run, from);
      void train(run, config, from);
      await wait(30);
      return run;
    },
    restore: async (run, config) => {
      await wait(30);
      configs.set(run, config);
      steps.set(run, await kept(run));
    },
    kept: async (run) => {
      const step = await kept(run).catch(() => null);
      return step === null ? null : { step, bytes: 0 };
    },
    forget: async (run) => {
      configs.delete(run);
      await states?.remove(run);
    },
    recover: async () => {
      await wait(120);
      if (goneForGood) throw failure('NoDeviceError', 'WebGPU is there, but no adapter: requestAdapter gave null', 'Restart the browser.');
      model = null;
      return (await device()) as DeviceCard;
    },
    deviceState: async () => ({
      bytes: model ? 41_200_000 : 0, peakBytes: model ? 58_700_000 : 0, pipelines: model ? 41 : 0,
      kernels: model ? [{ family: 'matmul', sizes: 'm 256 n 128 k 128', kernel: 'matmul direct 8×4', reason: 'measured', times: [{ kernel: 'matmul direct 8×4', ms: 2.4 }, { kernel: 'matmul tiled 32', ms: 3.1 }] }, { family: 'rms_norm', sizes: 'rows 256 n 128', kernel: 'rms_norm', reason: 'only', times: [] }] : [],
      off: model ? [{ kernel: 'matmul/thin LANES=64', reason: 'y is off by 2.1e-1 of its largest number, allowed are 0.0001' }] : [],
    }),
    selfTest: async () => {
      await wait(60);
      return {
        products: ['direct 4×4', 'direct 8×4', 'tiled 32'].map((kernel, i) => ({ kernel: `matmul ${kernel}`, shape: '96×80×128', passed: true, error: 0.1 + i / 20, ms: 1.2, gflops: 1.6 })),
        gates: [
          { family: 'matmul', kernel: 'matmul/direct TM=4 TN=4', outcome: 'plain' }, { family: 'matmul', kernel: 'matmul/direct TM=8 TN=4', outcome: 'passed' },
          { family: 'matmul', kernel: 'matmul/thin LANES=64', outcome: 'failed', reason: 'y is off by 2.1e-1 of its largest number, allowed are 0.0001' }, { family: 'attention', kernel: 'attention/rows', outcome: 'passed' },
        ],
      };
    },
    timeStep: async (config) => {
      await wait(90);
      return {
        ms: 84.2, msLeast: 79.9, runs: 7, tokensPerSecond: (1000 * config.training.batch * config.training.seq) / 84.2, gflops: 3.1, dispatches: 214,
        kernels: [
          { kernel: 'matmul/direct', count: 126, ms: 61.2, gflops: 3.9, roofline: { share: 0.61, bound: 'compute' } }, { kernel: 'attention/rows', count: 18, ms: 9.4, gflops: 2.2, roofline: { share: 0.34, bound: 'compute' } },
          { kernel: 'embedding/lookup', count: 1, ms: 0.9, gflops: 0 }, { kernel: 'optim/adamw', count: 1, ms: 0.8, gflops: 0.2, roofline: { share: 0.72, bound: 'memory' } },
        ],
        timed: 'wall clock', limits: { gbps: 11.8, gflops: 6.4 },
      };
    },
    pause: async (run) => {
      state = 'paused';
      tell({ kind: 'status', run, status: 'paused', step: steps.get(run) ?? 0 });
    },
    resume: async (run) => {
      state = 'running';
      tell({ kind: 'status', run, status: 'running', step: steps.get(run) ?? 0 });
    },
    stop: async () => {
      state = 'stopping';
    },
    sample: async (run, prompt) => {
      await wait(60);
      if (prompt === 'run out of memory') {
        life++;
        tell({ kind: 'ended', run, reason: 'failed', step: steps.get(run) ?? 0, seconds: 1, error: { name: 'StudioError', message: 'WebGPU: Out of memory', hint: '' } });
        throw failure('StudioError', 'WebGPU: Out of memory', '');
      }
      if (prompt.startsWith('lose the device')) {
        life++;
        goneForGood = prompt.endsWith('for good');
        tell({ kind: 'lost', message: 'unknown: the GPU process exited' });
        throw failure('DeviceLostError', 'The graphics device was lost.', '');
      }
      return { ...sampleAt(configs.get(run) as RunConfig, steps.get(run) ?? 0), prompt };
    },
    ...recordedExplore({
      tell: (event) => tell(event),
      model: () => model as ModelCard,
      adapter: (run) => ({ rank: Number(configs.get(run)?.method.fields.rank ?? 8), gates: configs.get(run)?.method.slug === 'sora' ? (gatesAt.get(run) ?? null) : null }),
    }),
  };
}
