// The models and data that the studio ships, fetched from its own origin when they are used, and kept for when there is no network.
import type { DataFile } from '../data/table';
import { type ByteSource, bytesSource } from '../formats/safetensors';
import { ConfigError, StudioError } from '../util/errors';
import type { BuiltinData, BuiltinModel } from './protocol';

/** With the names of the files in its folder that a load reads. */
export type ShippedModel = BuiltinModel & { files: string[] };
export interface Catalogue { models: ShippedModel[]; data: BuiltinData[] }

/** Below the page, wherever it is hosted; the worker's own address is of no use, bundlers move it. */
const address = (path: string) => new URL(`${import.meta.env.BASE_URL}${path}`, self.location.href).href;

const CACHE = 'used-files';

async function get(path: string, signal?: AbortSignal): Promise<Response> {
  const cache = await caches.open(CACHE).catch(() => null);
  const response = await fetch(address(path), signal ? { signal } : {}).catch(async (error: unknown) => {
    signal?.throwIfAborted();
    // The network first, so that files of two versions never meet; without it, what was used before.
    const kept = await cache?.match(address(path));
    if (kept) return kept;
    throw new StudioError(`${path}: could not be fetched: ${(error as Error).message}`, 'Is the studio still being served? Check the connection and try again. What was used once also works without a network.');
  });
  // A copy that cannot be kept, for want of room, costs nothing but the offline use.
  if (response.ok) void cache?.put(address(path), response.clone()).catch(() => {});
  if (!response.ok) throw new StudioError(`${path}: the server answered ${response.status} ${response.statusText}`, 'Reload the page.');
  return response;
}

export async function fetchCatalogue(): Promise<Catalogue> {
  const [models, data] = await Promise.all([get('models/index.json'), get('data/index.json')]);
  return { models: (await models.json()) as ShippedModel[], data: (await data.json()) as BuiltinData[] };
}

export async function fetchModel({ models }: Catalogue, id: string, progress: (done: number, total: number) => void, signal?: AbortSignal): Promise<Map<string, ByteSource>> {
  const card = models.find((one) => one.id === id);
  if (!card) throw new ConfigError(`there is no built-in model '${id}'`, `Built in: ${models.map((one) => one.id).join(', ')}.`);
  const files = new Map<string, ByteSource>();
  for (const name of card.files) {
    const response = await get(`models/${id}/${name}`, signal);
    files.set(name, bytesSource(name, await bytesOf(response, name === 'model.safetensors' ? progress : () => {})));
  }
  return files;
}

async function bytesOf(response: Response, progress: (done: number, total: number) => void): Promise<Uint8Array> {
  const total = Number(response.headers.get('content-length') ?? 0);
  if (!response.body || total === 0) return new Uint8Array(await response.arrayBuffer());
  const bytes = new Uint8Array(total);
  let done = 0;
  for await (const chunk of response.body) {
    bytes.set(chunk, done);
    done += chunk.length;
    progress(done, total);
  }
  return bytes;
}

export async function builtinData({ data }: Catalogue, id: string, progress: (done: number, total: number) => void = () => {}): Promise<DataFile> {
  const card = data.find((one) => one.id === id);
  if (!card) throw new ConfigError(`there are no built-in data '${id}'`, `Built in: ${data.map((one) => one.id).join(', ')}.`);
  const name = `data.${{ text: 'txt', rows: 'jsonl', pictures: 'zip' }[card.format]}`;
  const response = await get(`data/${id}/${name}`);
  return { name: `${id}/${name}`, content: card.format === 'pictures' ? new Uint8Array(await bytesOf(response, progress)) : await response.text() };
}
