// The exported folder as one .zip, made in the page.
import { type Zippable, zip } from 'fflate';
import type { ExportFile } from '../../store/contract';

/** Weights hardly shrink, so they are stored as they are; the text files are packed. */
export function zipFolder(folder: string, files: readonly ExportFile[]): Promise<Uint8Array> {
  const tree: Zippable = {};
  for (const { name, bytes } of files) tree[`${folder}/${name}`] = [bytes, { level: name.endsWith('.safetensors') ? 0 : 6 }];
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
