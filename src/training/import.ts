// An adapter folder attached to a base, whatever its format: PEFT's LoRA, a PEFT type that a method reads, or the studio's own.
import type { Device } from '../engine/gpu/device';
import type { LinearSite, Param } from '../engine/nn/site';
import { elements } from '../engine/tensor/tensor';
import { write } from '../engine/tensor/memory';
import type { Files } from '../formats/folder';
import { type NativeAdapter, readNative } from '../formats/native-adapter';
import { readPeft } from '../formats/peft';
import { fullName, openPeftFolder } from '../formats/peft-form';
import type { SafetensorsFile } from '../formats/safetensors';
import { CheckpointError } from '../util/errors';
import { type Attachment, attach, attachFiles, detach, initialise } from './attach';
import { type BoundMethod, type Method, bind } from './contract';
import type { RunState } from './host';
import type { LoadedModel } from './loaded';

export interface Attached {
  readonly attachment: Attachment;
  /** The method whose hooks a call of the model goes through; absent for a plain LoRA. */
  readonly bound?: BoundMethod;
}

export async function attachFolder(device: Device, loaded: LoadedModel, files: Files, methods: Iterable<Method>): Promise<Attached> {
  const all = [...methods];
  const native = await readNative(files);
  if (native) {
    const method = all.find(({ info }) => info.slug === native.method);
    if (!method) throw new CheckpointError(`${native.weights.name}: there is no method '${native.method}' here`, 'Open it in the version of the studio that wrote it.');
    return attachNumbers(device, loaded, method, native, nativeNumbers(native.weights));
  }
  const folder = await openPeftFolder(files);
  const method = folder && all.find(({ peft }) => peft?.reads(folder.config));
  // What is no adapter at all is refused there, by name.
  if (!folder || !method?.peft) return { attachment: attachFiles(device, loaded.network, [await readPeft(files)]) };
  const { peft } = method;
  const { config, weights, names } = folder;
  const sites = [...loaded.network.sites.values()].filter((site) => names.some((name) => name.startsWith(`${site.name}.`)));
  const stray = names.find((name) => !sites.some((site) => name.startsWith(`${site.name}.`)) && !loaded.network.headOf(name) && !peft.shared?.(name));
  if (stray !== undefined) throw new CheckpointError(`${weights.name}: ${stray} adapts nothing that this model has`, 'Open the base model that the adapter was trained on.');
  const get = (name: string) => weights.f32(fullName(name));
  const about = { fields: { ...peft.fields(config) } as NativeAdapter['fields'], sites: sites.map(({ name }) => name), state: {} };
  return attachNumbers(device, loaded, method, about, async (site, part, full) => (site ? (await peft.values(site, get))[part] : names.includes(full) ? get(full) : undefined));
}

/** Where a parameter's numbers come from: by the full name in the studio's own files, by site and short name from PEFT's; without a site those of a head, or of a weight that is stood in for. */
type Numbers = (site: LinearSite | null, part: string, full: string) => Promise<Float32Array | Uint32Array | undefined>;

const nativeNumbers = (weights: SafetensorsFile): Numbers => async (_, __, full) => {
  const entry = weights.byName.get(`param.${full}`);
  if (!entry) return undefined;
  return entry.dtype === 'U32' ? new Uint32Array(await weights.ints(entry.name)) : weights.f32(entry.name);
};

async function attachNumbers(device: Device, loaded: LoadedModel, method: Method, about: Pick<NativeAdapter, 'fields' | 'sites' | 'state'>, numbers: Numbers): Promise<Attached> {
  const bound = bind(method, about.fields);
  const missing = about.sites.find((name) => !loaded.network.sites.has(name));
  if (missing !== undefined) throw new CheckpointError(`adapter: it adapts ${missing}, which this model does not have`, 'Open the base model that the adapter was trained on.');
  const exactly = `^(${about.sites.map((name) => name.replaceAll('.', '\\.')).join('|')})$`;
  const attachment = attach(loaded.network, bound, exactly, { state: about.state as RunState });
  try {
    const data = new Map<string, Float32Array | Uint32Array>();
    const wanted: [site: LinearSite | null, part: string, p: Param][] = attachment.sites.flatMap((site) => Object.entries(attachment.adapters.get(site.name)?.params ?? {}).map(([part, p]): [LinearSite, string, Param] => [site, part, p]));
    const ofSites = new Set(wanted.map(([, , p]) => p));
    for (const p of attachment.params) if (!ofSites.has(p)) wanted.push([null, p.name, p]);
    for (const [site, part, p] of wanted) {
      if (data.has(p.name)) continue;
      const values = await numbers(site, part, p.name);
      if (!values || values.length !== elements(p.tensor)) throw new CheckpointError(`adapter: ${p.name} ${values ? `has ${values.length} numbers` : 'is missing'}, wanted [${p.tensor.shape.join(', ')}]`, 'The adapter is incomplete, or belongs to another base model.');
      data.set(p.name, values);
    }
    // Inputs take their start; parameters the file's numbers.
    initialise(device, { ...attachment, params: [] }, 0);
    for (const p of attachment.params) write(device, p.tensor, data.get(p.name) as Float32Array);
    return { attachment, bound };
  } catch (error) {
    detach(device, attachment);
    throw error;
  }
}
