// The explorer's and the export's part of the recorded engine: spectra and losses by a formula, files of the right shape.
import type { Cut, ExploreCard, ExploreSource, ExportRequest, ExportResult, EngineApi, EngineEvent, ExploredModule, ModelCard } from '../../src/worker/protocol';

const wait = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));
const failure = (name: string, message: string, hint: string) => Object.assign(new Error(message), { name, hint });
const encode = (text: string) => new TextEncoder().encode(text);
/** A repeatable number in [0, 1) for a name. */
function chance(text: string): number {
  let hash = 2_166_136_261;
  for (const c of text) hash = Math.imul(hash ^ c.charCodeAt(0), 16_777_619) >>> 0;
  return hash / 2 ** 32;
}

export interface Recorded {
  tell(event: EngineEvent): void;
  model(): ModelCard;
  /** The rank that a run trained, and its gates by site where it has them. */
  adapter(run: string): { rank: number; gates: Float32Array | null };
}

type Calls = Pick<EngineApi, 'exploreOpen' | 'exploreEvaluate' | 'exploreTexts' | 'exploreDetail' | 'exploreWeights' | 'exploreImportance' | 'exploreOverlap' | 'exploreCancel' | 'exportAs'>;

const OFF = ' there| was| a| little| girl| named| Lily|.| She| liked| to| play| with| her| red| ball|.'.split('|');
const ON = ' there| was| a| certain| man| of| the| children| of| Israel|,| and| the| word| of| the| LORD| came| unto| him|.'.split('|');
const BASE = 5.1;
const WHOLE = 3.42;

export function recordedExplore({ tell, model, adapter }: Recorded): Calls {
  let card: ExploreCard | null = null;
  let newest = 0;
  let survey = 0;
  const weightOf = ({ site }: ExploredModule) => 0.3 + chance(site);
  const shareOf = (keep: readonly number[], { modules }: ExploreCard) => {
    let [kept, all] = [0, 0];
    modules.forEach((module, m) => module.sigma.forEach((s, k) => {
      const worth = s * s * weightOf(module);
      all += worth;
      if (k < (keep[m] as number)) kept += worth;
    }));
    return kept / all;
  };
  const lossOf = ({ keep, strength }: Cut, of: ExploreCard) => {
    const share = shareOf(keep, of);
    return BASE - (BASE - WHOLE) * (1 - (1 - strength) ** 2) * share ** 0.5 - 0.004 * Math.sin(9 * share) * share * (1 - share);
  };
  const wanted = () => {
    if (!card) throw failure('ConfigError', 'no adapter is open', 'Open it again in Explore.');
    return card;
  };
  const modulesFor = (source: ExploreSource): ExploredModule[] => {
    if (source.kind === 'files' && !source.files.some((file) => file.name.endsWith('adapter_config.json'))) {
      throw failure('CheckpointError', `adapter folder: adapter_config.json is missing: files seen: ${source.files.map((file) => file.name).join(', ')}`, 'choose the whole folder that PEFT saved');
    }
    const { rank, gates } = source.kind === 'run' ? adapter(source.run) : { rank: 4, gates: null };
    return model().sites.flatMap(({ name, depth, module, shape }, i): ExploredModule[] => {
      const open = gates ? [...gates.subarray(i * rank, (i + 1) * rank)].filter((gate) => gate > 0).sort((a, b) => b - a) : null;
      const n = open ? open.length : rank;
      if (n === 0) return [];
      const first = (0.4 + 1.6 * chance(name)) * (module === 'down_proj' ? 1.5 : 1);
      const sigma = Float64Array.from({ length: n }, (_, k) => first * Math.exp(-k * (0.25 + 0.5 * chance(name + k))));
      return [{ site: name, depth, module, shape, sigma: sigma.sort().reverse(), sizes: sigma.map((s, k) => s * (0.9 + 0.1 * chance(`${k}`))).sort().reverse(), ...(open ? { gates: Float64Array.from(open) } : {}) }];
    });
  };
  return {
    exploreOpen: async (source) => {
      const modules = modulesFor(source);
      for (let done = 1; done <= 3; done++) {
        tell({ kind: 'progress', task: 'Singular values of ΔW', done, total: 3 });
        await wait(20);
      }
      card = { modules, rows: Array.from({ length: 32 }, (_, i) => `And it came to pass in the days of row ${i + 1}, that the word`), tokens: 2016, bytes: 4_000_000 };
      return card;
    },
    exploreEvaluate: async (cut) => {
      const ticket = ++newest;
      await wait(25);
      if (ticket !== newest) return null;
      const loss = lossOf(cut, wanted());
      return { loss, rows: Float32Array.from({ length: 32 }, (_, i) => loss * (0.8 + 0.4 * chance(`row ${i}`)) + (loss - WHOLE) * chance(`hurt ${i}`)), seconds: 0.025 };
    },
    exploreTexts: async (cut, prompt) => {
      const ticket = newest;
      await wait(40);
      if (ticket !== newest) return null;
      const share = shareOf(cut.keep, wanted()) * Math.max(0, Math.min(1, cut.strength));
      return { prompt, off: OFF, whole: ON, cut: share > 0.97 ? ON : share < 0.1 ? OFF : [...ON.slice(0, Math.round(ON.length * share)), ' And', ' she', ' said', ',', ' I', ' will', ' build', ' a', ' house', '.'] };
    },
    exploreDetail: async (index) => {
      const { sigma, shape, site } = wanted().modules[index] as ExploredModule;
      const [rows, columns, r] = [Math.min(64, shape[0]), Math.min(64, shape[1]), sigma.length];
      const wave = (length: number, at: number, k: number, side: string) => Math.sin(((at + 1) * (k + 1) * (1 + 3 * chance(site + side))) / 5 + 6 * chance(`${site}${side}${k}`)) * Math.sqrt(2 / length);
      return {
        left: Float32Array.from({ length: rows * r }, (_, at) => wave(rows, Math.floor(at / r), at % r, 'left')), right: Float32Array.from({ length: r * columns }, (_, at) => wave(columns, at % columns, Math.floor(at / columns), 'right')),
        rows, columns, weightNorm: 30 + 10 * chance(site),
      };
    },
    exploreWeights: async (index) => {
      const { shape, site } = wanted().modules[index] as ExploredModule;
      await wait(60);
      return Float64Array.from({ length: Math.min(...shape) }, (_, i) => (4 + chance(site)) * Math.exp(-i / 30));
    },
    exploreImportance: async () => {
      const ticket = ++survey;
      const { modules } = wanted();
      for (let done = 1; done <= modules.length; done++) {
        if (ticket !== survey) return null;
        tell({ kind: 'progress', task: 'Loss without each module', done, total: modules.length });
        await wait(4);
      }
      return Float64Array.from(modules, (module) => 0.06 * weightOf(module) * (module.sigma[0] as number) ** 2);
    },
    exploreOverlap: async (other) => {
      await wait(60);
      const [mine, theirs] = [wanted().modules, new Map(modulesFor(other).map((module) => [module.site, module.sigma.length]))];
      const matched = mine.filter(({ site }) => theirs.has(site));
      return {
        name: other.kind === 'run' ? other.run : other.name,
        sites: matched.map(({ site, sigma, shape: [out, inn] }) => {
          const [a, b] = [sigma.length, theirs.get(site) as number];
          const shares = (side: string) => Float32Array.from({ length: a * b }, (_, at) => 0.2 + 0.5 * chance(site + side) * Math.exp(-Math.abs(Math.floor(at / b) - (at % b)) / 4));
          return { site, ranks: [a, b] as [number, number], left: shares('l'), right: shares('r'), leftDistance: 2.1, rightDistance: 2.4, leftChance: Math.max(a, b) / out, rightChance: Math.max(a, b) / inn };
        }),
        unmatched: mine.filter(({ site }) => !theirs.has(site)).map(({ site }) => site),
      };
    },
    exploreCancel: async () => {
      survey++;
    },
    exportAs: async (request) => {
      await wait(150);
      const modules = request.source.kind === 'run' ? modulesFor({ kind: 'run', run: request.source.run }) : wanted().modules;
      const keep = request.source.kind === 'cut' ? request.source.cut.keep : modules.map(({ sigma }) => sigma.length);
      if (request.source.kind === 'cut' && keep.every((k) => k === 0)) throw failure('ConfigError', 'nothing is left of the adapter at this cut', 'Keep at least one component, at a strength other than 0.');
      return written(request, model().sites.map(({ name }) => ({ name, rank: keep[modules.findIndex(({ site }) => site === name)] ?? 0 })));
    },
  };
}

function written({ format, dtype }: ExportRequest, modules: readonly { name: string; rank: number }[]): ExportResult {
  const kept = modules.filter(({ rank }) => rank > 0);
  const ranks = Object.fromEntries(kept.map(({ name, rank }) => [name, rank]));
  const droppedModules = modules.filter(({ rank }) => rank === 0).map(({ name }) => name);
  const header = encode(JSON.stringify(Object.fromEntries(kept.map(({ name, rank }, i) => [`base_model.model.${name}.lora_A.weight`, { dtype: 'F32', shape: [rank, 128], data_offsets: [i * 4096, (i + 1) * 4096] }]))));
  const weights = new Uint8Array(8 + header.length + 4096 * kept.length);
  new DataView(weights.buffer).setBigUint64(0, BigInt(header.length), true);
  weights.set(header, 8);
  const config = encode(JSON.stringify({ alpha_pattern: {}, base_model_name_or_path: 'tale-1m', bias: 'none', inference_mode: true, lora_alpha: 16, peft_type: 'LORA', r: 8, rank_pattern: ranks, target_modules: Object.keys(ranks), task_type: 'CAUSAL_LM' }, null, 2));
  const files = {
    peft: [{ name: 'adapter_model.safetensors', bytes: weights }, { name: 'adapter_config.json', bytes: config }],
    merged: [{ name: 'model.safetensors', bytes: weights }, { name: 'config.json', bytes: encode('{\n  "model_type": "llama"\n}\n') }],
    gguf: [{ name: 'adapter.gguf', bytes: new Uint8Array([...encode('GGUF'), ...new Uint8Array(60)]) }],
    kohya: [{ name: 'adapter.safetensors', bytes: weights }],
  }[format];
  return {
    files,
    receipt: { maxLogitDifference: format === 'merged' && dtype !== 'F32' ? 0.021 : 1.9e-6, effect: 8.41, tokens: 512, bytes: files[0]?.bytes.length ?? 0, sha256: '9f2c41d077ab5e196b42ee710d94a5f832c61b7e90d348fa2c65d17b03e8c0ff', modules: kept.length, droppedModules, ranks },
  };
}
