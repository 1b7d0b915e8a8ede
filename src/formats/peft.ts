// LoRA adapters in the files of Hugging Face PEFT: adapter_model.safetensors and adapter_config.json, there and back.
// PEFT loads wrong keys with a warning at most, and the adapter then does nothing: so nothing here is passed over in silence.
import { bad, show, showList } from './fail';
import { type Files, folderWith, readJson, seen } from './folder';
import { isObject, type JsonObject } from './json';
import { escapeRegex, fullMatcher } from './python-regex';
import { type NewTensor, openSafetensors, type SafetensorsFile, type TensorEntry, writeSafetensors } from './safetensors';

export const CONFIG = 'adapter_config.json';
export const WEIGHTS = 'adapter_model.safetensors';
export const PREFIX = 'base_model.model.';
const TASKS = ['CAUSAL_LM', 'SEQ_CLS', 'SEQ_2_SEQ_LM', 'TOKEN_CLS', 'QUESTION_ANS', 'FEATURE_EXTRACTION'] as const;
export type PeftTask = (typeof TASKS)[number];

/** One adapted linear layer: y = xWᵀ + scale · ((xAᵀ)Bᵀ + bias). */
export interface LoraModule {
  /** Path of the module in the model, as in its checkpoint, without '.weight'. */
  name: string;
  rank: number;
  scale: number;
  /** [rank, inn] */
  A: Float32Array;
  /** [out, rank] */
  B: Float32Array;
  /** [out] (lora_bias). */
  bias?: Float32Array | undefined;
  inn: number;
  out: number;
  /** The checkpoint keeps this weight as [in, out] (GPT-2's Conv1D). */
  transposed?: boolean;
}

/** A weight of a module that was trained whole. */
export interface SavedWeight {
  /** As in the model: 'classifier.weight'. */
  name: string;
  /** The module it belongs to: 'classifier'. */
  module: string;
  shape: number[];
  data: Float32Array;
}

/** adapter_config.json as PEFT 0.21 writes it for LoRA; only the keys that code here reads are typed. */
export interface PeftConfig {
  [key: string]: unknown;
  peft_type: 'LORA';
  r: number;
  lora_alpha: number;
  /** Names or ends of names; one string is a regular expression over the whole name. */
  target_modules: string[] | string;
  /** By regular expression: the first key that matches counts. */
  rank_pattern: Record<string, number>;
  alpha_pattern: Record<string, number>;
  use_rslora: boolean;
  /** Every module has a bias in lora_B. PEFT then merges only into layers that have a bias themselves. */
  lora_bias: boolean;
  fan_in_fan_out: boolean;
  modules_to_save: string[] | null;
  base_model_name_or_path: string | null;
  task_type: PeftTask | null;
}

/** What PEFT writes for a plain LoRA, `inference_mode` apart. */
export const DEFAULTS = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: null,
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: false,
  inference_mode: true,
  init_lora_weights: true,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 8,
  lora_bias: false,
  lora_dropout: 0,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  monteclora_config: null,
  peft_type: 'LORA',
  peft_version: '0.21.0',
  qalora_group_size: 16,
  r: 8,
  rank_pattern: {},
  revision: null,
  target_modules: [],
  target_parameters: null,
  task_type: null,
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
  velora_config: null,
} satisfies PeftConfig;

/** Keys whose being set changes what the adapter computes, in a way that is not computed here. (VeLoRA changes only its training.) */
const UNSUPPORTED: Readonly<Record<string, string>> = {
  use_dora: 'DoRA',
  layer_replication: 'replicated layers (layer_replication)',
  target_parameters: 'adapted parameters (target_parameters)',
  trainable_token_indices: 'trained tokens (trainable_token_indices)',
  use_qalora: 'QA-LoRA',
  use_bdlora: 'BD-LoRA',
  alora_invocation_tokens: 'activated LoRA (alora_invocation_tokens)',
  arrow_config: 'Arrow routing',
  kasa_config: 'KaSA',
  monteclora_config: 'MonteCLoRA',
  megatron_config: 'Megatron layers',
};

/** What the weights say, or what would make other numbers of them: not for `extra` to change. */
const DERIVED = new Set([
  ...Object.keys(UNSUPPORTED), 'alpha_pattern', 'base_model_name_or_path', 'bias', 'exclude_modules', 'fan_in_fan_out', 'init_lora_weights',
  'layers_pattern', 'layers_to_transform', 'lora_alpha', 'lora_bias', 'modules_to_save', 'peft_type', 'r', 'rank_pattern', 'target_modules', 'task_type', 'use_rslora',
]);

export interface PeftInput {
  modules: readonly LoraModule[];
  /** Weights of modules that were trained whole. */
  saved?: readonly SavedWeight[];
  /** Every module name of the model, adapted or not: lets `target_modules` be short. Without it full paths are written. */
  allModules?: readonly string[];
  baseModel: string;
  /** Class of the model, for a null `taskType`: 'LlamaForCausalLM', or with its library 'my.library.MyModel'. */
  baseClass?: string;
  taskType: PeftTask | null;
  /** How the base's weights were kept in training, where not in f32: stands in the metadata of the weights, which PEFT does not read. */
  baseWeights?: string;
  /** Further keys of adapter_config.json. */
  extra?: Readonly<Record<string, unknown>>;
}

export interface PeftFolder {
  files: { name: string; bytes: Uint8Array<ArrayBuffer> }[];
  /** Modules of rank 0, which PEFT refuses; they are no targets of the written adapter. */
  dropped: string[];
  ranks: Record<string, number>;
}

export function writePeft(adapter: PeftInput): PeftFolder {
  checkModules(adapter.modules);
  const kept = adapter.modules.filter((module) => module.rank > 0);
  const dropped = adapter.modules.filter((module) => module.rank === 0).map((module) => module.name);
  if (kept.length === 0) throw bad('PEFT export', 'no module has a rank above 0', `${dropped.length} modules of rank 0`, 'train with a smaller penalty, so that something is left to export');
  const reserved = Object.keys(adapter.extra ?? {}).find((key) => DERIVED.has(key));
  if (reserved !== undefined) throw bad('PEFT export', 'an extra key may not change what the weights decide', reserved, 'leave it out');

  const withBias = kept.some(({ bias }) => bias);
  const tensors: NewTensor[] = kept.flatMap(({ name, rank, inn, out, A, B, bias }): NewTensor[] => [
    { name: `${PREFIX}${name}.lora_A.weight`, dtype: 'F32', shape: [rank, inn], data: A },
    { name: `${PREFIX}${name}.lora_B.weight`, dtype: 'F32', shape: [out, rank], data: B },
    ...(withBias ? [{ name: `${PREFIX}${name}.lora_B.bias`, dtype: 'F32' as const, shape: [out], data: bias ?? new Float32Array(out) }] : []),
  ]);
  const saved = adapter.saved ?? [];
  for (const { name, shape, data } of saved) {
    checkFinite(data, `PEFT export: ${show(name)}`);
    tensors.push({ name: PREFIX + name, dtype: 'F32', shape: [...shape], data });
  }
  const config: PeftConfig = {
    ...DEFAULTS,
    auto_mapping: adapter.taskType === null ? autoMapping(adapter.baseClass) : null,
    base_model_name_or_path: adapter.baseModel || null,
    // PEFT corrects it for each layer by its class, with a warning where it was wrong.
    fan_in_fan_out: kept.some((module) => module.transposed === true),
    lora_bias: withBias,
    target_modules: targetsFor(kept.map((module) => module.name), adapter.allModules ?? null),
    task_type: adapter.taskType,
    modules_to_save: modulesToSave(saved),
    ...scaling(kept),
    ...adapter.extra,
  };
  const text = JSON.stringify(sortKeys(config), null, 2);
  return {
    files: [
      { name: WEIGHTS, bytes: writeSafetensors(tensors, { format: 'pt', ...(adapter.baseWeights ? { base_weights: adapter.baseWeights } : {}) }, WEIGHTS) },
      { name: CONFIG, bytes: new TextEncoder().encode(text) },
    ],
    dropped,
    ranks: Object.fromEntries(kept.map(({ name, rank }) => [name, rank])),
  };
}

/** The modules that were trained whole, as adapter_config.json lists them. */
export const modulesToSave = (saved: readonly SavedWeight[]): string[] | null => (saved.length > 0 ? [...new Set(saved.map((weight) => weight.module))].sort() : null);

function checkModules(modules: readonly LoraModule[]): void {
  const names = new Set<string>();
  const todo = 'export the adapter as it was trained';
  for (const { name, rank, scale, A, B, bias, inn, out } of modules) {
    const at = `PEFT export: ${show(name)}`;
    if (name === '' || names.has(name)) throw bad(at, 'a module needs a name of its own', show(name), todo);
    if (name.startsWith(PREFIX)) throw bad(at, `the name must be that in the model, without ${PREFIX}`, show(name), todo);
    names.add(name);
    if (!Number.isSafeInteger(rank) || rank < 0) throw bad(at, 'the rank must be a whole number from 0 on', show(rank), todo);
    if (!Number.isFinite(scale)) throw bad(at, 'the scale must be finite', String(scale), todo);
    if (!isCount(inn) || !isCount(out)) throw bad(at, 'in and out must be whole numbers from 1 on', `in ${inn}, out ${out}`, todo);
    if (A.length !== rank * inn) throw bad(at, `A [${rank}, ${inn}] has ${rank * inn} numbers`, `${A.length}`, todo);
    if (B.length !== out * rank) throw bad(at, `B [${out}, ${rank}] has ${out * rank} numbers`, `${B.length}`, todo);
    if (bias && (rank === 0 || bias.length !== out)) throw bad(at, `a bias has ${out} numbers, beside a rank from 1 on`, `${bias.length} numbers, rank ${rank}`, todo);
    checkFinite(A, `${at}: A`);
    checkFinite(B, `${at}: B`);
    if (bias) checkFinite(bias, `${at}: bias`);
  }
}

function checkFinite(values: Float32Array, where: string): void {
  const i = values.findIndex((x) => !Number.isFinite(x));
  if (i >= 0) throw bad(where, 'the adapter holds a number that is not finite', `${values[i]} at index ${i}`, 'go back to a checkpoint from before the loss diverged');
}

/** transformers exports its model classes at the top, which is where PEFT's AutoPeftModel then finds them. */
function autoMapping(baseClass: string | undefined): JsonObject | null {
  if (!baseClass) return null;
  const dot = baseClass.lastIndexOf('.');
  return { base_model_class: baseClass.slice(dot + 1), parent_library: dot < 0 ? 'transformers' : baseClass.slice(0, dot) };
}

/** The commonest rank and alpha become the adapter's; every module that differs is listed. */
function scaling(modules: readonly LoraModule[]): Pick<PeftConfig, 'r' | 'lora_alpha' | 'rank_pattern' | 'alpha_pattern'> {
  const r = commonest(modules.map((module) => module.rank));
  const lora_alpha = commonest(modules.filter((module) => module.rank === r).map(alphaOf));
  const names = modules.map((module) => module.name);
  const differing = (value: (module: LoraModule) => number, common: number) =>
    Object.fromEntries(modules.filter((module) => value(module) !== common).map((module) => [patternFor(module.name, names), value(module)]));
  return { r, lora_alpha, rank_pattern: differing((module) => module.rank, r), alpha_pattern: differing(alphaOf, lora_alpha) };
}

/** PEFT divides alpha by the rank: take the whole number where it gives the very same scale. */
function alphaOf({ scale, rank }: LoraModule): number {
  const alpha = scale * rank;
  return Math.round(alpha) / rank === scale ? Math.round(alpha) : alpha;
}

/** Of equally common numbers the larger. */
function commonest(values: readonly number[]): number {
  const counts = new Map<number, number>();
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1);
  const [best] = [...counts].sort((a, b) => b[1] - a[1] || b[0] - a[0]);
  return best![0];
}

/** PEFT matches a key against the end of a name after a dot, so a name that ends another's must be tied to the start. */
function patternFor(name: string, names: readonly string[]): string {
  const tie = names.some((other) => other.endsWith(`.${name}`)) ? '^' : '';
  return tie + escapeRegex(name);
}

/** The shortest list that selects exactly `adapted` among `all`: ends of names such as 'q_proj', full names where an end would say too much. */
export function targetsFor(adapted: readonly string[], all: readonly string[] | null): string[] | string {
  const wanted = new Set(adapted);
  const counts = new Map<string, { all: number; wanted: number }>();
  for (const name of new Set([...adapted, ...(all ?? [])])) {
    for (const end of endsOf(name)) {
      const count = counts.get(end) ?? { all: 0, wanted: 0 };
      count.all++;
      if (wanted.has(name)) count.wanted++;
      counts.set(end, count);
    }
  }
  const isHonest = (end: string) => counts.get(end)?.all === counts.get(end)?.wanted;
  const targets = new Set<string>();
  for (const name of adapted) {
    // An end that holds a layer number ('0.self_attn.q_proj') is no shorter to understand than the full name.
    const short = all === null ? [] : endsOf(name).filter((end) => !/(^|\.)\d+(\.|$)/.test(end));
    const target = [...short, name].find(isHonest);
    // Where even the full name is the end of another module's, only a regular expression tells them apart.
    if (target === undefined) return [...adapted].sort().map(escapeRegex).join('|');
    targets.add(target);
  }
  return [...targets].sort();
}

/** 'a.b.c' → 'c', 'b.c', 'a.b.c' */
function endsOf(name: string): string[] {
  const parts = name.split('.');
  return parts.map((_, i) => parts.slice(parts.length - 1 - i).join('.'));
}

/** As Python's json.dumps(sort_keys=True), all the way down. */
export function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sortKeys(value[key])]));
}

export interface PeftAdapter {
  modules: LoraModule[];
  /** Weights of modules_to_save. */
  saved: SavedWeight[];
  baseModel: string;
  taskType: PeftTask | null;
  /** Everything the file says, with PEFT's defaults for what it leaves out. */
  config: PeftConfig;
  /** Things worth knowing that change nothing here, whole sentences. */
  notes: string[];
}

/** `files` by name, with or without the name of a folder before it. */
export async function readPeft(files: Files): Promise<PeftAdapter> {
  const folder = folderWith(files, CONFIG);
  if (folder === null) throw bad('adapter folder', `${CONFIG} is missing`, seen(files), 'choose the whole folder that PEFT saved');
  const source = files.get(folder + WEIGHTS);
  if (!source) {
    const isPickle = files.has(`${folder}adapter_model.bin`);
    throw bad('adapter folder', `${WEIGHTS} is missing`, seen(files),
      isPickle ? 'pickled adapters are not read: save it with save_pretrained(folder, safe_serialization=True)' : 'choose the whole folder that PEFT saved');
  }
  const configSource = files.get(folder + CONFIG)!;
  const notes: string[] = [];
  const config = parsePeftConfig(await readJson(configSource), configSource.name, notes);
  const weights = await openSafetensors(source);
  const { halves, whole } = pairUp(weights, config.modules_to_save ?? []);

  const where = configSource.name;
  const isTarget = targetTest(config, where);
  const rankOf = patternLookup(config.rank_pattern, config.r, `${where}: rank_pattern`);
  const alphaOf = patternLookup(config.alpha_pattern, config.lora_alpha, `${where}: alpha_pattern`);
  const modules: LoraModule[] = [];
  for (const [name, { a, b, bias: offset }] of halves) {
    const at = `${weights.name}: ${show(name)}`;
    if (!a || !b) throw bad(at, `lora_${a ? 'B' : 'A'}.weight is missing`, `only ${show((a ?? b ?? offset)!.name)}`, 'the adapter is incomplete; save or download it again');
    const rank = rankOf.of(name);
    const [inn, out] = checkPair(a, b, rank, at);
    if (!isTarget(name)) throw bad(at, 'the module is not one of target_modules, so PEFT would ignore its tensors', show(config.target_modules), `add it to target_modules in ${CONFIG}`);
    const A = await weights.f32(a.name);
    const B = await weights.f32(b.name);
    checkFinite(A, `${weights.name}: ${show(a.name)}`);
    checkFinite(B, `${weights.name}: ${show(b.name)}`);
    const bias = await biasOf(weights, offset, config.lora_bias, out, at);
    const scale = alphaOf.of(name) / (config.use_rslora ? Math.sqrt(rank) : rank);
    modules.push({ name, rank, scale, A, B, ...(bias ? { bias } : {}), inn, out, transposed: config.fan_in_fan_out });
  }
  const saved = await Promise.all(whole.map(async ({ name, shape }) => {
    const data = await weights.f32(name);
    checkFinite(data, `${weights.name}: ${show(name)}`);
    const own = name.slice(PREFIX.length);
    return { name: own, module: savedModule(own, config.modules_to_save ?? []) as string, shape: [...shape], data };
  }));
  // PEFT lists heads of other models too (classifier, score); that none is there means that something is missing.
  if (isSet(config.modules_to_save) && saved.length === 0) throw bad(weights.name, 'the file holds none of modules_to_save', show(config.modules_to_save), 'save or download the adapter again');
  if (modules.length === 0) throw bad(weights.name, 'the adapter holds no tensor', '0 tensors', 'save or download it again');
  notes.push(...idleTargets(config.target_modules, modules), ...rankOf.idle(), ...alphaOf.idle());
  return { modules, saved, baseModel: config.base_model_name_or_path ?? '', taskType: config.task_type, config, notes };
}

/** Initialisations that leave the base as it is; the others need a changed base unless PEFT converted them on saving. */
const PLAIN_INITS = ['true', 'false', 'gaussian', 'eva', 'orthogonal', 'mica'];

function parsePeftConfig(json: unknown, where: string, notes: string[]): PeftConfig {
  const fix = `correct ${CONFIG}, or save the adapter again with PEFT`;
  if (!isObject(json)) throw bad(where, 'must be one JSON object', show(json), fix);
  if (json.peft_type !== 'LORA') throw bad(where, 'peft_type must be LORA', show(json.peft_type), 'convert the adapter to LoRA with PEFT (convert_to_lora) and open that');
  for (const [key, name] of Object.entries(UNSUPPORTED)) {
    if (isSet(json[key])) throw bad(where, `${name} is not supported`, `${key} ${show(json[key])}`, 'open an adapter that was trained as plain LoRA');
  }
  const config: JsonObject = { ...DEFAULTS, ...json };
  const need = (key: string, wanted: string, ok: boolean) => {
    if (!ok) throw bad(where, `${key} must be ${wanted}`, show(json[key]), fix);
  };
  need('bias', "'none'", config.bias === 'none');
  need('modules_to_save', 'null or a list of module names', config.modules_to_save === null || (Array.isArray(config.modules_to_save) && isNames(config.modules_to_save)));
  if (!PLAIN_INITS.includes(String(config.init_lora_weights).toLowerCase())) {
    throw bad(where, 'the adapter belongs to a base that its initialisation changed', `init_lora_weights ${show(config.init_lora_weights)}`,
      'save it with save_pretrained(folder, path_initial_model_for_weight_conversion=...), which makes a plain LoRA of it');
  }
  need('r', 'a whole number from 1 on', isCount(json.r));
  need('lora_alpha', 'a number', isNumber(json.lora_alpha));
  need('rank_pattern', 'whole numbers from 1 on by module', isObject(config.rank_pattern) && Object.values(config.rank_pattern).every(isCount));
  need('alpha_pattern', 'numbers by module', isObject(config.alpha_pattern) && Object.values(config.alpha_pattern).every(isNumber));
  for (const key of ['use_rslora', 'lora_bias', 'fan_in_fan_out']) need(key, 'true or false', typeof config[key] === 'boolean');
  const targets = json.target_modules;
  need('target_modules', 'a list of module names or one regular expression', isNames(targets) && targets.length > 0);
  need('exclude_modules', 'a list of module names or one regular expression', config.exclude_modules === null || isNames(config.exclude_modules));
  const layers = config.layers_to_transform;
  need('layers_to_transform', 'layer numbers', layers === null || [layers].flat().every((n) => Number.isSafeInteger(n)));
  const pattern = config.layers_pattern;
  need('layers_pattern', 'names of lists of layers', pattern === null || isNames(pattern));
  const base = config.base_model_name_or_path;
  need('base_model_name_or_path', 'a string', base === null || typeof base === 'string');
  const task = config.task_type;
  need('task_type', `null or one of ${TASKS.join(', ')}`, task === null || (TASKS as readonly unknown[]).includes(task));

  const strange = Object.keys(json).filter((key) => !Object.hasOwn(DEFAULTS, key) && isSet(json[key]));
  if (strange.length > 0) notes.push(`${CONFIG} has keys that PEFT 0.21 does not know and that were ignored: ${showList(strange)}.`);
  return config as PeftConfig;
}

function isSet(value: unknown): boolean {
  if (value === undefined || value === null || value === false) return false;
  return typeof value !== 'object' || Object.keys(value).length > 0;
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}

function isNames(value: unknown): value is string[] | string {
  return typeof value === 'string' || (Array.isArray(value) && value.every((name) => typeof name === 'string'));
}

/** A module's lora_B.bias [out]; there must be one just where lora_bias says so. */
async function biasOf(weights: SafetensorsFile, entry: TensorEntry | undefined, wanted: boolean, out: number, at: string): Promise<Float32Array | undefined> {
  if (wanted !== (entry !== undefined)) throw bad(at, `lora_bias in ${CONFIG} is ${wanted}`, `${entry ? 'a' : 'no'} lora_B.bias`, 'correct lora_bias, or save the adapter again with PEFT');
  if (!entry) return undefined;
  if (entry.shape.length !== 1 || entry.shape[0] !== out) throw bad(at, `lora_B.bias must be [${out}]`, show(entry.shape), 'save the adapter again with PEFT');
  const bias = await weights.f32(entry.name);
  checkFinite(bias, `${weights.name}: ${show(entry.name)}`);
  return bias;
}

interface Halves { a?: TensorEntry; b?: TensorEntry; bias?: TensorEntry }

/** The tensors by module, and those of whole modules; one that is neither part of a LoRA pair nor of a whole module is refused by name. */
function pairUp(weights: SafetensorsFile, toSave: readonly string[]): { halves: Map<string, Halves>; whole: TensorEntry[] } {
  const whole: TensorEntry[] = [];
  const modules = new Map<string, Halves>();
  for (const entry of weights.entries) {
    const at = `${weights.name}: ${show(entry.name)}`;
    if (!entry.name.startsWith(PREFIX)) {
      throw bad(at, `the name must begin with ${PREFIX}, otherwise PEFT loads the adapter without any effect`, show(entry.name), 'rename the tensors, or save the adapter again with PEFT');
    }
    const match = /^(.+)\.lora_(?:(A|B)(?:\.default)?\.weight|B(?:\.default)?\.(bias))$/s.exec(entry.name.slice(PREFIX.length));
    if (!match && savedModule(entry.name.slice(PREFIX.length), toSave) !== null) {
      whole.push(entry);
      continue;
    }
    if (!match) throw bad(at, `${kindOf(entry.name)} is not supported`, `${entry.dtype} ${show(entry.shape)}`, 'open an adapter that was trained as plain LoRA on linear layers');
    const name = match[1]!;
    const half = match[3] === 'bias' ? 'bias' : match[2] === 'A' ? 'a' : 'b';
    const module = modules.get(name) ?? {};
    const other = module[half];
    if (other) throw bad(at, 'the module has this half twice', show(other.name), 'keep one of the two');
    module[half] = entry;
    modules.set(name, module);
  }
  return { halves: modules, whole };
}

/** PEFT saves every module whose name ends in one of the list: the outermost such module around a weight, null where there is none. */
function savedModule(weight: string, toSave: readonly string[]): string | null {
  const parts = weight.split('.');
  const around = parts.slice(1).map((_, i) => parts.slice(0, i + 1).join('.'));
  return around.find((module) => toSave.some((end) => module.endsWith(end))) ?? null;
}

function kindOf(name: string): string {
  if (name.includes('.lora_magnitude_vector')) return 'a DoRA magnitude';
  if (name.includes('.lora_embedding_')) return 'an adapted embedding';
  if (/\.lora_A\.(default\.)?bias$/.test(name)) return 'a bias in lora_A';
  if (/\.lora_[AB]\.[^.]+\.weight$/.test(name)) return "an adapter that is not named 'default'";
  if (name.includes('.token_adapter.')) return 'an adapter of trained tokens';
  if (name.includes('.base_layer.')) return 'a saved base layer';
  return 'a tensor that is not lora_A or lora_B';
}

function checkPair(a: TensorEntry, b: TensorEntry, rank: number, at: string): [inn: number, out: number] {
  const got = `lora_A ${show(a.shape)}, lora_B ${show(b.shape)}`;
  const [aRank = 0, inn = 0] = a.shape;
  const [out = 0, bRank = 0] = b.shape;
  if (a.shape.length === 4 || b.shape.length === 4) throw bad(at, 'adapted convolutions are not supported', got, 'open an adapter of linear layers');
  if (a.shape.length !== 2 || b.shape.length !== 2 || inn === 0 || out === 0) throw bad(at, 'lora_A must be [r, in] and lora_B [out, r]', got, 'save the adapter again with PEFT');
  if (aRank !== rank || bRank !== rank) throw bad(at, `r and rank_pattern in ${CONFIG} say rank ${rank}`, got, `correct r or rank_pattern in ${CONFIG}`);
  return [inn, out];
}

/** PEFT's rule for which modules an adapter applies to. */
function targetTest(config: PeftConfig, where: string): (name: string) => boolean {
  const { target_modules: targets } = config;
  // 'all-linear' cannot be judged without the model: every module with tensors is taken at its word.
  const isNamed = targets === 'all-linear' ? () => true : nameTest(targets, `${where}: target_modules`);
  const exclude = config.exclude_modules as string[] | string | null;
  const isExcluded = exclude === null || exclude.length === 0 ? () => false : nameTest(exclude, `${where}: exclude_modules`);
  const layerTest = layersTest(config, where);
  if (!layerTest) return (name) => isNamed(name) && !isExcluded(name);
  if (typeof targets === 'string') throw bad(`${where}: layers_to_transform`, 'wants target_modules to be a list', show(targets), 'write target_modules as a list of module names');
  // A name given in full counts whatever its layer.
  return (name) => isNamed(name) && !isExcluded(name) && (targets.includes(name) || layerTest(name));
}

/** PEFT's rule for a list of names or a regular expression. */
function nameTest(names: string[] | string, where: string): (name: string) => boolean {
  if (typeof names === 'string') return fullMatcher(names, where);
  const listed = new Set(names);
  return (name) => endsOf(name).some((end) => listed.has(end));
}

/** PEFT's rule for layers_to_transform; null where it is not used. */
function layersTest(config: PeftConfig, where: string): ((name: string) => boolean) | null {
  const layers = config.layers_to_transform as number[] | number | null;
  if (layers === null || (Array.isArray(layers) && layers.length === 0)) return null;
  const wanted = new Set([layers].flat());
  const lists = [(config.layers_pattern as string[] | string | null) ?? []].flat().filter((list) => list !== '');
  if (lists.some((list) => !/^\w+$/.test(list))) throw bad(`${where}: layers_pattern`, 'only plain names are supported', show(lists), 'write target_modules as a list of full names');
  // Lazy, for the first number counts: in 'layers.1.experts.0' that of the layer.
  const patterns = lists.length > 0 ? lists.map((list) => new RegExp(`^(?:|.*?\\.)${list}\\.(\\d+)\\.`)) : [/^.*?\.[^.]*\.(\d+)\./];
  return (name) => {
    const layer = patterns.map((pattern) => pattern.exec(name)?.[1]).find((number) => number !== undefined);
    return layer !== undefined && wanted.has(Number(layer));
  };
}

/** PEFT's rule for rank_pattern and alpha_pattern: the first key that matches after the start or a dot, else the default. */
function patternLookup(pattern: Record<string, number>, fallback: number, where: string): { of: (name: string) => number; idle: () => string[] } {
  const tests = Object.entries(pattern).map(([key, value]) => ({ key, value, test: patternTest(key, where) }));
  const used = new Set<string>();
  return {
    of(name) {
      const hit = tests.find(({ test }) => test(name));
      if (hit) used.add(hit.key);
      return hit?.value ?? fallback;
    },
    idle: () => tests.filter(({ key }) => !used.has(key)).map(({ key }) => `${where}: ${show(key)} matches no module of the adapter.`),
  };
}

function patternTest(key: string, where: string): (name: string) => boolean {
  // Names with dots, escaped or not, are what nearly every file holds, often one for each module: no need for the slow matcher.
  if (!/^\^?(?:[\w.-]|\\\.)+$/.test(key)) return fullMatcher(`(.*\\.)?(${key})`, where);
  const plain = new RegExp(key.startsWith('^') ? `^(?:${key.slice(1)})$` : `(?:^|\\.)(?:${key})$`);
  return (name) => plain.test(name);
}

function idleTargets(targets: string[] | string, modules: readonly LoraModule[]): string[] {
  if (typeof targets === 'string') return [];
  const present = new Set(modules.flatMap((module) => endsOf(module.name)));
  const idle = targets.filter((target) => !present.has(target));
  return idle.length > 0 ? [`The adapter holds no tensors for these of its target_modules: ${showList(idle)}.`] : [];
}
