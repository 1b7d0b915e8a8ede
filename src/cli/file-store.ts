// Downloaded files in a folder of the user's. Unfinished ones end in .part and are taken up again.
import { mkdir, open as openFile, rename, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import type { FileStore } from '../formats/file-store';
import { fileSource } from './files';

export const hubFolder = (): string => join(homedir(), '.cache', 'lowrank-studio', 'hub');

export function folderStore(root = hubFolder()): FileStore {
  const open: FileStore['open'] = async (key) => ((await stat(join(root, key)).catch(() => null)) ? fileSource(join(root, key)) : null);
  return {
    open,
    async begin(key) {
      const path = join(root, key), part = `${path}.part`;
      await mkdir(dirname(path), { recursive: true });
      const file = await openFile(part, 'a');
      let { size } = await file.stat();
      let closed = false;
      const close = async () => {
        if (!closed) await file.close();
        closed = true;
      };
      return {
        get size() { return size; },
        async append(bytes) {
          await file.write(bytes);
          size += bytes.length;
        },
        async restart() {
          await file.truncate(0);
          size = 0;
        },
        close,
        async finish() {
          await close();
          await rename(part, path);
          return fileSource(path);
        },
      };
    },
  };
}
