// Files the user gave, kept in memory only: never in the store, the address or any storage. The draft names them.
import type { NamedFile } from './contract';

export class Vault {
  /** A data file, or the files of a folder of data. */
  readonly #files = new Map<string, { file: Blob | NamedFile[]; revision: number }>();
  readonly #folders = new Map<string, { files: NamedFile[]; revision: number }>();
  readonly #again = new Map<string, number>();
  #revision = 0;

  putFile(name: string, file: Blob | NamedFile[]): void {
    this.#files.set(name, { file, revision: ++this.#revision });
  }

  putFolder(name: string, files: NamedFile[]): void {
    this.#folders.set(name, { files, revision: ++this.#revision });
  }

  file(name: string): Blob | NamedFile[] | undefined {
    return this.#files.get(name)?.file;
  }

  folder(name: string): NamedFile[] | undefined {
    return this.#folders.get(name)?.files;
  }

  /** Changes when a file of the same name is given again; 0 when there is none. */
  fileRevision(name: string): number {
    return this.#files.get(name)?.revision ?? 0;
  }

  /** Asks for a source of the Hub once more, e.g. with another token. */
  again(name: string): void {
    this.#again.set(name, ++this.#revision);
  }

  againRevision(name: string): number {
    return this.#again.get(name) ?? 0;
  }

  folderRevision(name: string): number {
    return this.#folders.get(name)?.revision ?? 0;
  }
}
