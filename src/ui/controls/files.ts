// Files from a drop or a picker: one data file, or the files of a model's folder.
import type { NamedFile } from '../../store/contract';

export type Given = { kind: 'folder'; name: string; files: NamedFile[] } | { kind: 'file'; file: File } | { kind: 'nothing' };

const MODEL_FILE = /\.(safetensors|safetensors\.index\.json|gguf)$|(^|\/)(config|tokenizer|tokenizer_config|generation_config|special_tokens_map)\.json$/;

/** What was dropped. Entries must be taken before the first await: the browser empties the list after the event. */
export async function fromDrop(transfer: DataTransfer): Promise<Given> {
  const entries = [...transfer.items].flatMap((item) => (item.kind === 'file' ? [item.webkitGetAsEntry()] : [])).filter((entry) => entry !== null);
  const loose = [...transfer.files];
  const folder = entries.find((entry) => entry.isDirectory);
  if (folder) return { kind: 'folder', name: folder.name, files: await walk(folder as FileSystemDirectoryEntry, '') };
  return fromFiles(loose);
}

/** What a picker gave: a folder when the paths say so or the names are a model's. */
export function fromFiles(files: readonly File[]): Given {
  const first = files[0];
  if (!first) return { kind: 'nothing' };
  const path = first.webkitRelativePath;
  if (path.includes('/')) {
    const name = path.slice(0, path.indexOf('/'));
    return { kind: 'folder', name, files: files.map((file) => ({ name: file.webkitRelativePath.slice(name.length + 1), file })) };
  }
  if (files.length > 1 || MODEL_FILE.test(first.name)) {
    const weights = files.find((file) => /\.(safetensors|gguf)$/.test(file.name));
    return { kind: 'folder', name: (weights ?? first).name.replace(/\.(safetensors|gguf|json)$/, ''), files: files.map((file) => ({ name: file.name, file })) };
  }
  if (/^adapter_(config\.json|model\.safetensors)$/.test(first.name)) return { kind: 'folder', name: first.name, files: [{ name: first.name, file: first }] };
  return { kind: 'file', file: first };
}

async function walk(directory: FileSystemDirectoryEntry, prefix: string): Promise<NamedFile[]> {
  const reader = directory.createReader();
  const entries: FileSystemEntry[] = [];
  // readEntries gives at most a hundred at a time.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject));
    if (some.length === 0) break;
    entries.push(...some);
  }
  const nested = await Promise.all(
    entries.map(async (entry) => {
      if (entry.isDirectory) return entry.name.startsWith('.') ? [] : walk(entry as FileSystemDirectoryEntry, `${prefix}${entry.name}/`);
      const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject));
      return [{ name: prefix + entry.name, file }];
    }),
  );
  return nested.flat();
}
