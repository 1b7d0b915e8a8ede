// Where files that were fetched are kept, finished ones and ones that are still coming.
import { blobSource, type ByteSource } from './safetensors';

/** Where finished and unfinished files are kept. A key is a path below the store. */
export interface FileStore {
  /** A finished file, or null. */
  open(key: string): Promise<ByteSource | null>;
  /** An unfinished file, begun where there is none yet. */
  begin(key: string): Promise<PartFile>;
}
export interface PartFile {
  /** Bytes that are there already. */
  readonly size: number;
  /** Adds bytes at the end. */
  append(bytes: Uint8Array): Promise<void>;
  /** Forgets everything that was written. */
  restart(): Promise<void>;
  /** Lets go of the file; what was written stays. */
  close(): Promise<void>;
  /** Makes it a finished file. */
  finish(): Promise<ByteSource>;
}

/** Files in memory, where nothing outlives the visit. */
export function memoryStore(): FileStore {
  const done = new Map<string, Blob>();
  const parts = new Map<string, Blob[]>();
  const source = (key: string, blob: Blob) => blobSource(key.split('/').at(-1) ?? key, blob);
  return {
    open: async (key) => (done.has(key) ? source(key, done.get(key) as Blob) : null),
    begin: async (key) => {
      const chunks = parts.get(key) ?? [];
      parts.set(key, chunks);
      return {
        get size() { return chunks.reduce((sum, chunk) => sum + chunk.size, 0); },
        append: async (bytes) => { chunks.push(new Blob([new Uint8Array(bytes)])); },
        restart: async () => { chunks.length = 0; },
        close: async () => {},
        finish: async () => {
          const blob = new Blob(chunks);
          parts.delete(key);
          done.set(key, blob);
          return source(key, blob);
        },
      };
    },
  };
}
