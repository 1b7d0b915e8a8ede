// Measured kernel choices, kept in the origin's private file system from one visit to the next.
import type { TuneStore } from '../engine/gpu/device';

const FILE = 'kernels.json';

export async function browserTuneStore(): Promise<TuneStore> {
  const kept = await read();
  let writing = Promise.resolve();
  return {
    get: (key) => kept.get(key),
    set: (key, value) => {
      kept.set(key, value);
      writing = writing.then(() => write(kept)).catch(() => {});
    },
  };
}

/** Without storage (a private window) the choices last as long as the page. */
async function read(): Promise<Map<string, string>> {
  try {
    const root = await navigator.storage.getDirectory();
    const file = await (await root.getFileHandle(FILE)).getFile();
    return new Map(JSON.parse(await file.text()) as [string, string][]);
  } catch {
    return new Map();
  }
}

async function write(kept: ReadonlyMap<string, string>): Promise<void> {
  const root = await navigator.storage.getDirectory();
  const stream = await (await root.getFileHandle(FILE, { create: true })).createWritable();
  await stream.write(JSON.stringify([...kept]));
  await stream.close();
}
