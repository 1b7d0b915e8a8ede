// Takes an adapter away in one of several formats, and proves it: what was written is read back, run, and compared with its source.
import type { Device } from '../engine/gpu/device';
import { type Adapters, noAdapters } from '../engine/nn/site';
import { type GgufBase, hasGgufNames, readGgufAdapter, writeGgufAdapter } from '../formats/gguf-adapter';
import { openHfFolder } from '../formats/hf-folder';
import { kohyaName, readKohya, writeKohya } from '../formats/kohya';
import { type LoraModule, readPeft } from '../formats/peft';
import { bytesSource, openSafetensors } from '../formats/safetensors';
import { type Attachment, attachFiles, detach } from './attach';
import type { BoundMethod } from './contract';
import type { TokenBatch } from './evaluate';
import { type Receipt, compareLogits, mergedWeights, peftOf, sha256 } from './export';
import type { ExportDtype, ExportFormat } from './explore-card';
import { type LoadedModel, describeModel, freeWeights, uploadWeights } from './loaded';

export interface DeliveryOptions {
  readonly device: Device;
  readonly loaded: LoadedModel;
  readonly format: ExportFormat;
  /** Of the merged model; adapters are written as f32. */
  readonly dtype: ExportDtype;
  /** What is written as LoRA (a merged model needs none), and the same as it is attached now. */
  readonly modules: readonly LoraModule[];
  readonly adapters: Adapters;
  /** The method that the adapter was trained with. */
  readonly bound?: BoundMethod;
  readonly baseModel: string;
  readonly batch: TokenBatch;
  readonly shape: readonly [number, number];
}

type Written = { name: string; bytes: Uint8Array<ArrayBuffer> };

/** Formats that an adapter of this model can have. */
export function formatsOf({ model, network, task }: LoadedModel): ExportFormat[] {
  // Other tasks train heads whole, which only PEFT's files hold.
  if (task.kind !== 'causal-lm') return ['peft'];
  return ['peft', 'merged', ...(hasGgufNames(model.classes['causal-lm'] ?? '') ? ['gguf' as const] : []), ...([...network.sites.keys()].every((name) => kohyaName(name) !== null) ? ['kohya' as const] : [])];
}

export async function deliver(options: DeliveryOptions): Promise<{ files: Written[]; receipt: Receipt }> {
  const { device, loaded, modules, adapters, bound, batch, shape } = options;
  const files = await written(options);
  const main = files[0] as Written;
  const reloaded = await reload(options, files);
  try {
    const kept = modules.filter((module) => module.rank > 0);
    return {
      files,
      receipt: {
        ...(await compareLogits(device, { loaded, adapters, ...(bound ? { bound } : {}) }, reloaded, batch, shape)),
        bytes: main.bytes.length,
        sha256: await sha256(main.bytes),
        modules: modules.length > 0 ? kept.length : adapters.size,
        droppedModules: modules.filter((module) => module.rank === 0).map((module) => module.name),
        ranks: Object.fromEntries(kept.map(({ name, rank }) => [name, rank])),
      },
    };
  } finally {
    reloaded.release();
  }
}

/** The file with the weights first. */
async function written({ device, loaded, format, dtype, modules, adapters, baseModel }: DeliveryOptions): Promise<Written[]> {
  switch (format) {
    case 'peft': return peftOf(loaded, modules, baseModel).files;
    case 'gguf': return [{ name: 'adapter.gguf', bytes: writeGgufAdapter(modules, ggufBase(loaded)) }];
    case 'kohya': return [{ name: 'adapter.safetensors', bytes: writeKohya(modules) }];
    case 'merged': return [{ name: 'model.safetensors', bytes: new Uint8Array(await mergedWeights(device, loaded, adapters, dtype)) }, ...modelTexts(loaded, dtype)];
  }
}

const ggufBase = ({ model, info }: LoadedModel): GgufBase => ({ architecture: model.classes['causal-lm'] ?? '', heads: info.heads, kvHeads: info.kvHeads });

const DTYPE_NAMES = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/** Configuration and tokenizer of the base, which a merged model needs as they are. */
function modelTexts({ folder }: LoadedModel, dtype: ExportDtype): Written[] {
  const name = DTYPE_NAMES[dtype];
  const json = (value: unknown, spaces = 2) => new TextEncoder().encode(`${JSON.stringify(value, null, spaces)}\n`);
  return [
    { name: 'config.json', bytes: json({ ...(folder.config as object), torch_dtype: name, dtype: name }) },
    ...(folder.tokenizer === null ? [] : [{ name: 'tokenizer.json', bytes: json(folder.tokenizer, 0) }]),
    ...(folder.tokenizerConfig === null ? [] : [{ name: 'tokenizer_config.json', bytes: json(folder.tokenizerConfig) }]),
    ...(folder.chatTemplate === null ? [] : [{ name: 'chat_template.jinja', bytes: new TextEncoder().encode(folder.chatTemplate) }]),
  ];
}

/** The written files as another program would open them: from their bytes alone. */
async function reload({ device, loaded, format }: DeliveryOptions, files: readonly Written[]): Promise<{ loaded: LoadedModel; adapters: Adapters; release: () => void }> {
  const sources = new Map(files.map(({ name, bytes }) => [name, bytesSource(name, bytes)]));
  const attached = (modules: LoraModule[]) => {
    const fresh: Attachment = attachFiles(device, loaded.network, [{ modules, saved: [] }]);
    return { loaded, adapters: fresh.adapters, release: () => detach(device, fresh) };
  };
  const [main] = sources.values();
  const names = [...loaded.network.sites.keys()];
  if (!main) throw new Error('nothing was written');
  switch (format) {
    case 'peft': return attached((await readPeft(sources)).modules);
    case 'gguf': return attached(await readGgufAdapter(main, ggufBase(loaded), names));
    case 'kohya': return attached(await readKohya(await openSafetensors(main), names));
    case 'merged': {
      const merged = describeModel(`${loaded.name}, merged`, await openHfFolder(sources));
      await uploadWeights(device, merged);
      return { loaded: merged, adapters: noAdapters, release: () => freeWeights(device, merged) };
    }
  }
}
