// Files of a directory on disk as the byte sources that src/formats reads.
import { open, readFile, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import type { DataFile } from '../data/table';
import type { ByteSource } from '../formats/safetensors';
import { CheckpointError, DataError } from '../util/errors';

/** One file; each read opens it, so that nothing stays open. */
export async function fileSource(path: string, name = basename(path)): Promise<ByteSource> {
  const { size } = await stat(path).catch(() => {
    throw new CheckpointError(`${path}: there is no such file`, 'Check the path.');
  });
  return {
    name, size,
    async read(begin, end) {
      const file = await open(path);
      try {
        const bytes = new Uint8Array(end - begin);
        const { bytesRead } = await file.read(bytes, 0, end - begin, begin);
        return bytes.subarray(0, bytesRead);
      } finally {
        await file.close();
      }
    },
  };
}

/** A data file whole, by its path; of a folder its files, each read when it is wanted. */
export async function readData(path: string): Promise<DataFile> {
  if ((await stat(path).catch(() => null))?.isDirectory()) return { name: basename(resolve(path)), content: new Uint8Array(), files: await filesBelow(path, '') };
  const content = await readFile(path).catch((error: Error) => {
    throw new DataError(`${path}: cannot be read: ${error.message}`, 'Check the path.');
  });
  return { name: path, content: new Uint8Array(content) };
}

async function filesBelow(root: string, prefix: string): Promise<{ name: string; read(): Promise<Uint8Array> }[]> {
  const entries = (await readdir(join(root, prefix), { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
  const found = await Promise.all(entries.filter(({ name }) => !name.startsWith('.')).map(async (entry) => {
    const name = prefix + entry.name;
    return entry.isDirectory() ? filesBelow(root, `${name}/`) : [{ name, read: async () => new Uint8Array(await readFile(join(root, name))) }];
  }));
  return found.flat();
}

/** The files directly in a directory, by name. */
export async function folderSources(directory: string): Promise<Map<string, ByteSource>> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => {
    throw new CheckpointError(`${directory}: there is no such directory`, 'Give the folder of a Hugging Face model or of a PEFT adapter.');
  });
  const files = await Promise.all(entries.filter((entry) => entry.isFile()).map(async ({ name }) => [name, await fileSource(join(directory, name), name)] as const));
  return new Map(files);
}
