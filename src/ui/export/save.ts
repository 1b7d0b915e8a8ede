// Exported files to the user's disk: as one .zip, as a file, or into a folder where the browser can write one.
import { type Zippable, zip } from 'fflate';
import type { ExportFile } from '../../store/contract';

/** Weights hardly shrink, so they are stored as they are; the text files are packed. */
export function zipFolder(folder: string, files: readonly ExportFile[]): Promise<Uint8Array> {
  const tree: Zippable = {};
  for (const { name, bytes } of files) tree[`${folder}/${name}`] = [bytes, { level: /\.(safetensors|gguf)$/.test(name) ? 0 : 6 }];
  return new Promise((resolve, reject) => zip(tree, (error, data) => (error ? reject(error) : resolve(data))));
}

export function saveAs(name: string, bytes: Uint8Array, type = 'application/zip'): void {
  const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken the bytes by the next turn.
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

type Picker = (options: { mode: 'readwrite'; id: string }) => Promise<FileSystemDirectoryHandle>;
const picker = () => (globalThis as { showDirectoryPicker?: Picker }).showDirectoryPicker;

/** The File System Access interface: Chromium has it, Firefox and Safari do not. */
export const canSaveFolder = (): boolean => picker() !== undefined;

/** Asks for a folder and writes the files into it; existing ones of these names are replaced whole. */
export async function saveFolder(files: readonly ExportFile[]): Promise<{ kind: 'saved'; folder: string } | { kind: 'cancelled' } | { kind: 'failed'; message: string }> {
  let root: FileSystemDirectoryHandle;
  try {
    root = await (picker() as Picker)({ mode: 'readwrite', id: 'adapter' });
  } catch {
    // Closing the dialog rejects.
    return { kind: 'cancelled' };
  }
  try {
    for (const { name, bytes } of files) {
      const parts = name.split('/');
      let folder = root;
      for (const part of parts.slice(0, -1)) folder = await folder.getDirectoryHandle(part, { create: true });
      const stream = await (await folder.getFileHandle(parts.at(-1) as string, { create: true })).createWritable();
      await stream.write(bytes as Uint8Array<ArrayBuffer>);
      // What stood there stays until this succeeds.
      await stream.close();
    }
    return { kind: 'saved', folder: root.name };
  } catch (error) {
    return { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
}
