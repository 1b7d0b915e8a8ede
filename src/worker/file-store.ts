// Downloaded files in the browser's own file system (OPFS): private to this site, kept between visits. Unfinished ones end in .part.
import { type FileStore, memoryStore, type PartFile } from '../formats/file-store';
import { blobSource, type ByteSource } from '../formats/safetensors';
import { HubError } from '../util/errors';

const FOLDER = 'hub';
const PART = '.part';

/** Where the browser has no such file system, files live as long as the visit. */
export async function browserFileStore(): Promise<FileStore> {
  try {
    const root = await navigator.storage.getDirectory();
    return opfsStore(await root.getDirectoryHandle(FOLDER, { create: true }));
  } catch {
    return memoryStore();
  }
}

function opfsStore(folder: FileSystemDirectoryHandle): FileStore {
  const locate = async (key: string, create: boolean) => {
    const parts = key.split('/');
    let directory = folder;
    for (const part of parts.slice(0, -1)) directory = await directory.getDirectoryHandle(part, { create });
    return { directory, name: parts.at(-1) as string };
  };
  const open = async (key: string): Promise<ByteSource | null> => {
    try {
      const { directory, name } = await locate(key, false);
      return blobSource(name, await (await directory.getFileHandle(name)).getFile());
    } catch (error) {
      if ((error as Error).name === 'NotFoundError') return null;
      throw error;
    }
  };
  return {
    open,
    async begin(key): Promise<PartFile> {
      const { directory, name } = await locate(key, true);
      const handle = await directory.getFileHandle(name + PART, { create: true });
      const access = await handle.createSyncAccessHandle().catch((error: Error) => {
        if (error.name === 'NoModificationAllowedError') throw new HubError(`${name}: another tab of the studio is downloading it`, 'Wait until it is done there, then try again.');
        throw error;
      });
      let size = access.getSize();
      let closed = false;
      const close = async () => {
        if (closed) return;
        closed = true;
        access.flush();
        access.close();
      };
      return {
        get size() { return size; },
        async append(bytes) {
          const written = access.write(bytes as Uint8Array<ArrayBuffer>, { at: size });
          size += written;
          if (written < bytes.length) throw new DOMException('the storage of this site is full', 'QuotaExceededError');
        },
        async restart() {
          access.truncate(0);
          size = 0;
        },
        close,
        async finish() {
          await close();
          await (handle as FileSystemFileHandle & { move(name: string): Promise<void> }).move(name);
          return (await open(key)) as ByteSource;
        },
      };
    },
  };
}
