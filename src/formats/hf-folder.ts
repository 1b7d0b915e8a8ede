// A model as Hugging Face lays it out in a folder: configuration, tokenizer, weights in one file or in shards; or one GGUF file.
import { asCheckpointError, bad, show, showList } from './fail';
import { type Files, folderWith, readJson, readText, seen } from './folder';
import { isObject } from './json';
import { type ByteSource, openSafetensors, openSharded, type Weights } from './safetensors';

export interface HfFolder {
  config: unknown;
  /** tokenizer.json; null where the folder has none, as with models of images. */
  tokenizer: unknown;
  /** tokenizer_config.json; null where the folder has none. */
  tokenizerConfig: unknown;
  /** preprocessor_config.json, which says how pictures are prepared; nothing or null where the folder has none. */
  preprocessor?: unknown;
  /** A Jinja template, from chat_template.jinja or from tokenizer_config.json. */
  chatTemplate: string | null;
  weights: Weights;
}

/** `files` by name, with or without the name of a folder before it. Reads headers and texts, no tensor. */
export async function openHfFolder(files: Files): Promise<HfFolder> {
  const folder = folderWith(files, 'config.json');
  const gguf = [...files].filter(([name]) => name.endsWith('.gguf'));
  if (gguf.length > 0 && ![...files.keys()].some((name) => name.endsWith('.safetensors'))) return openGgufFolder(files, gguf);
  if (folder === null) {
    const isAdapter = folderWith(files, 'adapter_config.json') !== null;
    throw bad('model folder', 'config.json is missing', seen(files),
      isAdapter ? 'this is an adapter: open its base model first, then the adapter' : 'choose the whole folder of a Hugging Face model');
  }
  const get = (name: string) => files.get(folder + name);
  const json = async (name: string) => {
    const source = get(name);
    return source ? readJson(source) : null;
  };
  const config = await json('config.json');
  const tokenizerConfig = await json('tokenizer_config.json');
  const template = get('chat_template.jinja');
  return {
    config,
    tokenizer: await readTokenizer(files, folder),
    tokenizerConfig,
    preprocessor: await json('preprocessor_config.json'),
    chatTemplate: template ? await readText(template) : templateOf(tokenizerConfig),
    weights: await openWeights(files, folder),
  };
}

/** A GGUF file says everything itself; a tokenizer beside it wins, for those whose own cannot be read. */
async function openGgufFolder(files: Files, found: readonly [string, ByteSource][]): Promise<HfFolder> {
  const [first] = found as [[string, ByteSource]];
  if (found.length > 1) throw bad('model folder', 'there are several .gguf files', showList(found.map(([name]) => name)), /\d+-of-\d+/.test(first[0]) ? 'a model split over several GGUF files is not read: join them with gguf-split --merge' : 'choose one of them');
  // Fetched when it is first wanted.
  const { openGguf } = await import('./gguf');
  const folder = folderWith(files, 'tokenizer.json');
  if (folder === null) return openGguf(first[1], null);
  const config = files.get(`${folder}tokenizer_config.json`);
  const tokenizerConfig = config ? await readJson(config) : null;
  return openGguf(first[1], { tokenizer: await readTokenizer(files, folder), tokenizerConfig, chatTemplate: templateOf(tokenizerConfig) });
}

/** Not through `readJson`: looking for duplicate keys in a vocabulary of megabytes would cost more than it tells. */
async function readTokenizer(files: Files, folder: string): Promise<unknown> {
  const source = files.get(`${folder}tokenizer.json`);
  if (!source) return null;
  const text = await readText(source);
  try {
    return JSON.parse(text);
  } catch (error) {
    throw asCheckpointError(error, source.name, 'is not valid JSON', 'the file is damaged; download it again');
  }
}

/** Older models keep the template in tokenizer_config.json, some of them several by name. */
function templateOf(tokenizerConfig: unknown): string | null {
  const template = isObject(tokenizerConfig) ? tokenizerConfig.chat_template : undefined;
  if (typeof template === 'string') return template;
  if (!Array.isArray(template)) return null;
  const chosen: unknown = template.find((entry) => isObject(entry) && entry.name === 'default');
  return isObject(chosen) && typeof chosen.template === 'string' ? chosen.template : null;
}

async function openWeights(files: Files, folder: string): Promise<Weights> {
  const single = files.get(`${folder}model.safetensors`);
  if (single) return openSafetensors(single);
  const index = files.get(`${folder}model.safetensors.index.json`);
  if (index) {
    return openSharded(await readText(index), async (file) => {
      const source = files.get(folder + file);
      if (!source) throw bad(index.name, `the shard ${show(file)} is missing`, seen(files), 'download every shard and choose the whole folder');
      return source;
    }, index.name);
  }
  throw bad('model folder', 'model.safetensors is missing, and so is model.safetensors.index.json', seen(files), remedy([...files.keys()]));
}

function remedy(names: readonly string[]): string {
  if (names.some((name) => /\d+-of-\d+\.safetensors$/.test(name))) return 'add model.safetensors.index.json, which says which shard holds which tensor';
  if (names.some((name) => /\.(bin|pt|pth|ckpt)$/.test(name))) return 'pickled weights are not read: save the model with save_pretrained(folder, safe_serialization=True)';
  return 'choose the whole folder of a Hugging Face model';
}
