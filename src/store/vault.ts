// Files the user gave, kept in memory only: never in the store, the address or any storage. The draft names them.
import type { NamedFile } from './contract';

export class Vault {
  readonly #texts = new Map<string, { text: string; revision: number }>();
  readonly #folders = new Map<string, { files: NamedFile[]; revision: number }>();
  #revision = 0;

  putText(name: string, text: string): void {
    this.#texts.set(name, { text, revision: ++this.#revision });
  }

  putFolder(name: string, files: NamedFile[]): void {
    this.#folders.set(name, { files, revision: ++this.#revision });
  }

  text(name: string): string | undefined {
    return this.#texts.get(name)?.text;
  }

  folder(name: string): NamedFile[] | undefined {
    return this.#folders.get(name)?.files;
  }

  /** Changes when a file of the same name is given again; 0 when there is none. */
  textRevision(name: string): number {
    return this.#texts.get(name)?.revision ?? 0;
  }

  folderRevision(name: string): number {
    return this.#folders.get(name)?.revision ?? 0;
  }
}
