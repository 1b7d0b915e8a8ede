// Finding and reading files in a folder that arrives as a map of names: a dropped folder, a file picker, a directory on disk.
import { bad, showList } from './fail';
import { decodeUtf8, parseJson } from './json';
import { type ByteSource, readExactly } from './safetensors';

export type Files = ReadonlyMap<string, ByteSource>;

/** Larger than any tokenizer, and small enough to hold as one string. */
const MAX_TEXT = 256 * 2 ** 20;

/** The path, '' or ending in '/', of the outermost folder with a file of that name; null where there is none. */
export function folderWith(files: Files, name: string): string | null {
  const folders = [...files.keys()].filter((key) => key === name || key.endsWith(`/${name}`)).map((key) => key.slice(0, -name.length));
  const depth = (folder: string) => folder.split('/').length;
  const outermost = Math.min(...folders.map(depth));
  const found = folders.filter((folder) => depth(folder) === outermost);
  if (found.length > 1) throw bad(name, 'stands in several folders', showList(found), 'choose one of them');
  return found[0] ?? null;
}

export function seen(files: Files): string {
  return `files seen: ${showList([...files.keys()].sort())}`;
}

export async function readText(source: ByteSource): Promise<string> {
  if (source.size > MAX_TEXT) throw bad(source.name, `a text file here may have ${MAX_TEXT} bytes`, `${source.size} bytes`, 'choose the right file');
  return decodeUtf8(await readExactly(source, 0, source.size), source.name);
}

export async function readJson(source: ByteSource): Promise<unknown> {
  return parseJson(await readText(source), source.name);
}
