// Takes an adapter out of a run: the PEFT folder with its receipt, and the merged model.
import type { Device } from '../engine/gpu/device';
import { type Adapters, noAdapters } from '../engine/nn/site';
import { Graph } from '../engine/tensor/graph';
import { readBytes, readF32 } from '../engine/tensor/memory';
import { compile } from '../engine/tensor/step';
import { type Tensor, rootOf } from '../engine/tensor/tensor';
import { writeNative } from '../formats/native-adapter';
import { type LoraModule, type PeftFolder, type SavedWeight, writePeft } from '../formats/peft';
import { writePeftForm } from '../formats/peft-form';
import { type NewTensor, bytesSource, writeSafetensors } from '../formats/safetensors';
import { ConfigError, StudioError } from '../util/errors';
import { type Attachment, detach } from './attach';
import { entryOf } from './checkpoint';
import type { BoundMethod, SiteValues } from './contract';
import { Evaluator, type TokenBatch } from './evaluate';
import type { RunState } from './host';
import { attachFolder } from './import';
import { type LoadedModel, transpose } from './loaded';
import { taskCard } from './tasks';

export interface Receipt {
  /** Largest |logit difference| between the trained adapter and the written file attached afresh, over `tokens` tokens. */
  maxLogitDifference: number;
  /** Largest |logit difference| between adapter on and off on the same tokens: what the adapter does at all. */
  effect: number;
  tokens: number;
  /** Of adapter_model.safetensors. */
  bytes: number;
  sha256: string;
  modules: number;
  droppedModules: string[];
  ranks: Record<string, number>;
}

/** The numbers of all parameters, by site. */
export async function readSites(device: Device, { adapters, sites }: Attachment): Promise<SiteValues[]> {
  return Promise.all(sites.map(async (site) => {
    const params = adapters.get(site.name)?.params ?? {};
    const read = await Promise.all(Object.entries(params).map(async ([name, p]) => [name, await numbersOf(device, p.tensor)] as const));
    return { site, params, values: Object.fromEntries(read) };
  }));
}

/** The numbers that `lora` works on, by site: of the parameters and of what is derived from them. */
export async function exportValues(device: Device, attachment: Attachment): Promise<SiteValues[]> {
  const sites = await readSites(device, attachment);
  const graph = new Graph();
  const derived = graph.record(() => sites.map(({ site }) => Object.entries(attachment.adapters.get(site.name)?.derived?.() ?? {})));
  const keep = derived.flat().map(([, t]) => t);
  if (keep.length === 0) return sites;
  const step = await compile(device, graph, { keep });
  step.run();
  const read = await Promise.all(derived.map((own) => Promise.all(own.map(async ([name, t]) => [name, await step.read(t)] as const))));
  step.dispose();
  return sites.map((found, i) => ({ ...found, values: { ...found.values, ...Object.fromEntries(read[i] ?? []) } }));
}

async function numbersOf(device: Device, t: Tensor): Promise<Float32Array> {
  if (t.dtype === 'f32') return readF32(device, t);
  const bytes = await readBytes(device, t);
  return Float32Array.from(t.dtype === 'u32' ? new Uint32Array(bytes) : new Int32Array(bytes));
}

/** What an adapter is exported of, beside its numbers. */
export interface Exported {
  readonly attachment: Attachment;
  readonly bound: BoundMethod;
  readonly state: RunState;
}

/** The files of an adapter, in the form that its method names. */
export async function exportAdapter(device: Device, loaded: LoadedModel, exported: Exported, baseModel: string): Promise<PeftFolder> {
  const { attachment, bound: { method, config }, state } = exported;
  const names = attachment.sites.map(({ name }) => name);
  switch (method.info.exports) {
    case 'none': throw new ConfigError(`${method.info.name} has no adapter to export`, 'Save the merged model instead.');
    case 'native': {
      const tensors = await Promise.all(attachment.params.map(async ({ name, tensor: t }) => entryOf(`param.${name}`, t, await readBytes(device, t))));
      const file = writeNative({ method: method.info.slug, fields: { ...config }, sites: names, state: { ...state }, baseModel }, tensors);
      return { files: [file], dropped: [], ranks: {} };
    }
    case 'peft': {
      if (!method.peft) throw new StudioError(`${method.info.name}: exports as a PEFT type but does not say how`);
      const sites = await readSites(device, attachment);
      const { type } = method.peft;
      const saved = await headsOf(device, loaded, attachment);
      const form = { type, config: method.peft.config(sites, config), tensors: method.peft.tensors(sites, config), saved, adapted: names };
      const transposed = names.some((name) => loaded.network.weights.get(`${name}.weight`)?.transposed);
      return { files: writePeftForm({ ...form, ...trainedOver(loaded), transposed, allModules: modulesOf(loaded), baseModel, taskType: taskCard(loaded.task.kind).peft }), dropped: [], ranks: {} };
    }
    default: return exportLora(device, loaded, attachment, baseModel);
  }
}

/** adapter_model.safetensors and adapter_config.json of a plain LoRA. */
async function exportLora(device: Device, loaded: LoadedModel, attachment: Attachment, baseModel: string): Promise<PeftFolder> {
  return peftOf(loaded, (await trainedModules(device, loaded, attachment)).map(({ module }) => module), baseModel, await headsOf(device, loaded, attachment));
}

/** The PEFT folder of a plain LoRA, with the heads that were trained whole. */
export function peftOf(loaded: LoadedModel, modules: readonly LoraModule[], baseModel: string, saved: readonly SavedWeight[] = []): PeftFolder {
  const baseClass = loaded.model.classes[loaded.task.kind];
  return writePeft({ modules, saved: [...saved], allModules: modulesOf(loaded), baseModel, ...trainedOver(loaded), ...(baseClass ? { baseClass } : {}), taskType: taskCard(loaded.task.kind).peft });
}

/** How the base was kept, for the adapter's file to say. */
const trainedOver = ({ network: { kind } }: LoadedModel) => (kind === 'f32' ? {} : { baseWeights: kind });

/** The weights of heads as they were trained. */
const headsOf = (device: Device, { network }: LoadedModel, { heads }: Attachment): Promise<SavedWeight[]> =>
  Promise.all([...heads].map(async ([name, t]) => ({ name, module: network.headOf(name)?.module as string, shape: [...t.shape], data: await readF32(device, t) })));

/** Every linear layer. Those of heads are no sites, but PEFT must not take them for targets. */
function modulesOf({ network }: LoadedModel): string[] {
  const ofHeads = [...network.weights.keys()].filter((name) => network.headOf(name) && name.endsWith('.weight'));
  return [...network.sites.keys(), ...ofHeads.map((name) => name.slice(0, -'.weight'.length))];
}

/** A module as it was trained, and its gates, one a rank of the factors, where the method has them. */
export interface TrainedModule {
  readonly module: LoraModule;
  readonly gates?: Float32Array | undefined;
}

/** Every module as plain LoRA. Gates are the parameters of the group of that name; those at 0 have left the factors. */
export async function trainedModules(device: Device, loaded: LoadedModel, attachment: Attachment): Promise<TrainedModule[]> {
  return (await exportValues(device, attachment)).map(({ site, params, values }) => {
    const factors = attachment.adapters.get(site.name)?.lora?.(values);
    if (!factors) throw new ConfigError(`${site.name}: this method’s adapter is no LoRA, so it has no ranks to cut or to rename`, 'Export it as the method writes it, or merged.');
    const { rank, scale, A, B, bias } = factors;
    const gates = Object.entries(params).find(([, param]) => param.group === 'gate');
    const open = gates && values[gates[0]]?.filter((gate) => gate !== 0);
    return {
      module: { name: site.name, rank, scale, A, B, ...(bias ? { bias } : {}), out: site.shape[0], inn: site.shape[1], transposed: loaded.network.weights.get(`${site.name}.weight`)?.transposed ?? false },
      ...(open && open.length === rank ? { gates: open } : {}),
    };
  });
}

/** Reads the written files back, attaches them afresh to the same base, and compares logits with the adapter they came from. */
export async function receiptOf(device: Device, loaded: LoadedModel, { attachment, bound }: Exported, folder: PeftFolder, batch: TokenBatch, shape: readonly [number, number]): Promise<Receipt> {
  const files = new Map(folder.files.map(({ name, bytes }) => [name, bytesSource(name, bytes)]));
  const fresh = await attachFolder(device, loaded, files, [bound.method]);
  try {
    const weights = folder.files.find((f) => f.name.endsWith('.safetensors'))?.bytes ?? new Uint8Array();
    const reloaded = { loaded, ...fresh.attachment, ...(fresh.bound ? { bound: fresh.bound } : {}) };
    return {
      ...(await compareLogits(device, { loaded, ...attachment, bound }, reloaded, batch, shape)),
      bytes: weights.length,
      sha256: await sha256(weights),
      modules: attachment.sites.length - folder.dropped.length,
      droppedModules: folder.dropped,
      ranks: folder.ranks,
    };
  } finally {
    detach(device, fresh.attachment);
  }
}

/** A model with adapters, and the method through whose hooks its calls go. */
export interface Adapted {
  readonly loaded: LoadedModel;
  readonly adapters: Adapters;
  /** What stands in for the weights of heads. */
  readonly heads?: ReadonlyMap<string, Tensor>;
  readonly bound?: BoundMethod;
}

/** The trained adapter against what was read back, and against the bare base model. */
export async function compareLogits(device: Device, trained: Adapted, reloaded: Adapted, batch: TokenBatch, shape: readonly [number, number]): Promise<Pick<Receipt, 'maxLogitDifference' | 'effect' | 'tokens'>> {
  const logits = async ({ loaded, adapters, heads, bound }: Adapted) => {
    const evaluator = await Evaluator.create(device, loaded, adapters, shape, { logits: true, ...(heads ? { heads } : {}), ...(bound ? { bound } : {}) });
    const values = await evaluator.logitsOf(batch);
    evaluator.dispose();
    return values;
  };
  const [want, got] = [await logits(trained), await logits(reloaded)];
  const base = await logits({ loaded: trained.loaded, adapters: noAdapters });
  return { maxLogitDifference: largestDifference(want, got), effect: largestDifference(want, base), tokens: shape[0] * shape[1] };
}

export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
  return [...digest].map((b) => b.toString(16).padStart(2, '0')).join('');
}

/** NaN when any pair is. */
export function largestDifference(a: Float32Array, b: Float32Array): number {
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    const d = Math.abs((a[i] as number) - (b[i] as number));
    if (!(d <= largest)) largest = d;
    if (Number.isNaN(largest)) return largest;
  }
  return largest;
}

/** model.safetensors with every adapter folded into its weight and trained heads in place, in the checkpoint's names and layout. */
export async function mergedWeights(device: Device, loaded: LoadedModel, adapters: Adapters, dtype: 'F32' | 'F16' | 'BF16', heads: ReadonlyMap<string, Tensor> = new Map()): Promise<Uint8Array> {
  const graph = new Graph();
  const merged = new Map<string, Tensor>();
  graph.record(() => {
    for (const [name, adapter] of adapters) {
      merged.set(loaded.network.weights.has(name) ? name : `${name}.weight`, adapter.weight());
      if (!adapter.bias) continue;
      if (!loaded.network.weights.has(`${name}.bias`)) throw new ConfigError(`${name}: the adapter has a bias, the model's layer does not`, 'Export the adapter by itself instead.');
      merged.set(`${name}.bias`, adapter.bias());
    }
  });
  const step = await compile(device, graph, { keep: [...merged.values()].filter((t) => rootOf(t).life === 'step') });
  step.run();
  const tensors: NewTensor[] = [];
  for (const [name, { tensor: t, transposed }] of loaded.network.weights) {
    const other = merged.get(name);
    const values = other ? await step.read(other) : await readF32(device, heads.get(name) ?? t);
    const [out, inn] = t.shape as [number, number];
    tensors.push({ name, dtype, shape: transposed ? [inn, out] : [...t.shape], data: transposed ? transpose(values, out, inn) : values });
  }
  step.dispose();
  return writeSafetensors(tensors, { format: 'pt' });
}
