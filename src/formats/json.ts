// JSON out of files: strict UTF-8, duplicate keys refused (JSON.parse silently keeps the last one), failures by name.
import { bad, show } from './fail';

export type JsonObject = Record<string, unknown>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function decodeUtf8(bytes: Uint8Array, where: string): string {
  try {
    // The BOM is kept, so that a file that starts with one is not mistaken for one that starts with '{'.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw bad(where, 'is not UTF-8 text', `${bytes.length} bytes with an invalid sequence`, 'the file is damaged or of another kind; download it again');
  }
}

/** `plainIntegers`: every value outside strings must be written as plain decimal digits (no sign, fraction, exponent or literal). */
export function parseJson(text: string, where: string, options: { plainIntegers?: boolean } = {}): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw bad(where, 'is not valid JSON', error instanceof Error ? error.message : show(error), 'the file is damaged or of another kind; download it again');
  }
  scan(text, where, options.plainIntegers === true);
  return value;
}

/** Walks text already known to be valid JSON, so that only what JSON.parse hides is looked for. */
function scan(text: string, where: string, plainIntegers: boolean): void {
  // One level an open bracket: the keys seen in an object, null in an array.
  const levels: { keys: Set<string> | null; key: string }[] = [];
  const path = () => [where, ...levels.filter((level) => level.keys).map((level) => show(level.key))].join(': ');
  const token = /[^\s,:[\]{}"]+/y;
  let keyNext = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i]!;
    if (c === '"') {
      const end = stringEnd(text, i);
      const level = levels.at(-1);
      if (keyNext && level?.keys) {
        const raw = text.slice(i + 1, end);
        // "a" and "\u0061" are one key.
        const key = raw.includes('\\') ? (JSON.parse(`"${raw}"`) as string) : raw;
        level.key = key;
        if (level.keys.has(key)) throw bad(path(), 'the key stands twice', show(key), 'the file contradicts itself; write it again');
        level.keys.add(key);
        keyNext = false;
      }
      i = end;
    } else if (c === '{' || c === '[') {
      levels.push({ keys: c === '{' ? new Set() : null, key: '' });
      keyNext = c === '{';
    } else if (c === '}' || c === ']') {
      levels.pop();
      keyNext = false;
    } else if (c === ',') {
      keyNext = levels.at(-1)?.keys != null;
    } else if (c > ' ' && c !== ':') {
      token.lastIndex = i;
      const word = token.exec(text)?.[0] ?? c;
      if (plainIntegers && !/^\d+$/.test(word)) {
        throw bad(path(), 'only strings and whole numbers from 0 on may stand here', show(word), 'the file is damaged or written by a faulty program; write it again');
      }
      i += word.length - 1;
    }
  }
}

/** Index of the quote that closes the string opened at `start`. */
function stringEnd(text: string, start: number): number {
  let i = start + 1;
  while (text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return i;
}
