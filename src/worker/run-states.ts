// The states of runs, kept in the origin's private file system: what a run goes on from after a reload, a crash or a lost device.
// One safetensors file a run. A file is replaced as a whole when its writing ends, so an interrupted write leaves the one before.
import { type ByteSource, blobSource } from '../formats/safetensors';

export interface RunStates {
  write(run: string, bytes: Uint8Array): Promise<void>;
  /** Null where none was kept. */
  read(run: string): Promise<ByteSource | null>;
  remove(run: string): Promise<void>;
}

const FOLDER = 'runs';
const fileOf = (run: string) => `${run}.safetensors`;
const folder = async () => (await navigator.storage.getDirectory()).getDirectoryHandle(FOLDER, { create: true });
const missing = (error: unknown) => error instanceof DOMException && error.name === 'NotFoundError';

export const browserRunStates: RunStates = {
  write: async (run, bytes) => {
    const stream = await (await (await folder()).getFileHandle(fileOf(run), { create: true })).createWritable();
    try {
      await stream.write(bytes as Uint8Array<ArrayBuffer>);
      await stream.close();
    } catch (error) {
      await stream.abort().catch(() => {});
      throw error;
    }
  },
  read: async (run) => {
    try {
      const file = await (await (await folder()).getFileHandle(fileOf(run))).getFile();
      // A file that was made and never written to the end is as good as none.
      return file.size === 0 ? null : blobSource(`the kept state of run ${run}`, file);
    } catch (error) {
      if (missing(error)) return null;
      throw error;
    }
  },
  remove: async (run) => {
    await (await folder()).removeEntry(fileOf(run)).catch((error: unknown) => {
      if (!missing(error)) throw error;
    });
  },
};
