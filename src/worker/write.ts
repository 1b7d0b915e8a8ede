// Writing with the loaded model: base, adapters of runs and of files, alone or blended, one voice after the other.
import type { Device } from '../engine/gpu/device';
import { type PeftAdapter, readPeft } from '../formats/peft';
import { blobSource } from '../formats/safetensors';
import { methods } from '../methods/registry';
import { detach } from '../training/attach';
import { blend } from '../training/blend';
import { Generator, promptIds } from '../training/generate';
import { type Attached, attachFolder } from '../training/import';
import type { LoadedModel } from '../training/loaded';
import { ConfigError } from '../util/errors';
import type { AdapterCard, NamedFile, Voice, WriteRequest, Written } from './protocol';

export interface Writing {
  add(name: string, files: NamedFile[]): Promise<AdapterCard>;
  remove(id: string): Promise<void>;
  /** The adapter as it stands in its file, to be trained on: a plain LoRA. */
  loraOf(id: string): PeftAdapter;
  write(request: WriteRequest, attachedOf: (run: string) => Attached, onText: (voice: number, piece: string) => void): Promise<Written[]>;
  stop(): void;
  /** Ends what is being written, and takes every adapter off. */
  dispose(): Promise<void>;
}

export function createWriting(device: Device, loaded: LoadedModel): Writing {
  const files = new Map<string, { name: string; attached: Attached; lora: PeftAdapter | null }>();
  let ids = 0;
  let [stopped, ended] = [false, false];
  let writing: Promise<unknown> = Promise.resolve();
  const found = (id: string) => {
    const entry = files.get(id);
    if (!entry) throw new ConfigError(`there is no adapter '${id}' on this model`, 'Add it again.');
    return entry;
  };

  async function one(request: WriteRequest, voice: Voice, prompt: readonly number[], attachedOf: (run: string) => Attached, onText: (piece: string) => void): Promise<Written> {
    const chosen = voice.parts.filter(({ weight }) => weight !== 0).map(({ run, adapter, weight }) => ({ weight, ...(run === undefined ? found(adapter ?? '').attached : attachedOf(run)) }));
    // Some methods do more than change layers: there is no half of that.
    const whole = chosen.find(({ bound }) => bound?.method.call);
    if (whole && (chosen.length > 1 || whole.weight !== 1)) throw new ConfigError(`${whole.bound?.method.info.name} changes more than single layers: it cannot be blended`, 'Set its strength to 1, and that of the others to 0.');
    const parts = chosen.map(({ weight, attachment }) => ({ weight, adapters: attachment.adapters }));
    const capacity = 64 * Math.ceil((prompt.length + request.maxTokens + 1) / 64);
    const generator = await Generator.create(device, loaded, blend(loaded.network, parts), capacity, whole?.bound);
    const from = performance.now();
    let text = '';
    try {
      const { maxTokens, temperature, topK, topP, stop, seed } = request;
      const tokens = await generator.generate(prompt, {
        maxTokens, temperature, topK, topP, stop, seed,
        onText: (piece) => {
          text += piece;
          onText(piece);
          return !stopped;
        },
      });
      return { text, tokens: tokens.length, seconds: (performance.now() - from) / 1000, stopped };
    } finally {
      generator.dispose();
    }
  }

  return {
    async add(name, given) {
      const sources = new Map(given.map(({ name: path, file: blob }) => [path, blobSource(path, blob)]));
      const attached = await attachFolder(device, loaded, sources, methods.values());
      const lora = attached.bound ? null : await readPeft(sources);
      const id = `adapter-${++ids}`;
      files.set(id, { name, attached, lora });
      const ranks = lora?.modules.map(({ rank }) => rank) ?? [];
      return { id, name, modules: attached.attachment.sites.length, method: attached.bound?.method.info.name ?? 'LoRA', ...(ranks.length === 0 ? {} : { ranks: [Math.min(...ranks), Math.max(...ranks)] as [number, number] }), base: lora?.baseModel ?? null, notes: [...(lora?.notes ?? [])] };
    },
    async remove(id) {
      const { attached } = found(id);
      files.delete(id);
      // A voice may be writing with it.
      await writing;
      detach(device, attached.attachment);
    },
    loraOf(id) {
      const { name, lora } = found(id);
      if (!lora) throw new ConfigError(`${name} is no plain LoRA, and cannot be trained on`, 'Start afresh, or choose another adapter.');
      return lora;
    },
    write(request, attachedOf, onText) {
      const result = writing.then(async () => {
        if (ended) throw new ConfigError('another model was loaded', 'Write again.');
        stopped = false;
        const prompt = await promptIds(loaded, request.prompt, request.chat);
        const written: Written[] = [];
        for (const [i, voice] of request.voices.entries()) if (!stopped) written.push(await one(request, voice, prompt, attachedOf, (piece) => onText(i, piece)));
        return written;
      });
      writing = result.catch(() => {});
      return result;
    },
    stop() {
      stopped = true;
    },
    async dispose() {
      stopped = ended = true;
      await writing;
      for (const { attached } of files.values()) detach(device, attached.attachment);
      files.clear();
    },
  };
}
