// Reads a data file: .txt is one running text, .jsonl has one row a line. Every refusal names the file and the line.
import { DataError } from '../util/errors';

export interface TextRow { kind: 'text'; line: number; text: string }
export interface PairRow { kind: 'pair'; line: number; prompt: string; completion: string }
export type DataRow = TextRow | PairRow;

/** 'text': a single TextRow that is the whole file. 'rows': one row a line, all of one kind. */
export type ParsedData = { format: 'text'; rows: [TextRow] } | { format: 'rows'; rows: DataRow[] };

const ROW_FORMS = '{"text": "…"} or {"prompt": "…", "completion": "…"}';
const ROW_KEYS = ['text', 'prompt', 'completion'];
/** Up to this share of unreadable characters is taken for damage in a text; above it, for a file that is no UTF-8 text. */
const UNREADABLE_SHARE = 0.001;

/** Line ends become \n, a byte-order mark goes, blank lines between rows are skipped. */
export function parseData(name: string, content: string): ParsedData {
  const ending = /\.[^./\\]+$/.exec(name)?.[0].toLowerCase() ?? '';
  if (ending !== '.txt' && ending !== '.jsonl') {
    throw new DataError(`${name}: this kind of file is not read: ${ending ? `the name ends in ${ending}` : 'the name has no ending'}`, `Save running text as .txt, or rows as .jsonl with one ${ROW_FORMS} a line.`);
  }
  if (content === '') throw new DataError(`${name}: the file is empty: 0 bytes`, 'Choose a file with text in it.');
  const text = content.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n');
  refuseBinary(name, text);
  if (text.trim() === '') throw new DataError(`${name}: there is nothing to learn: only spaces and blank lines`, 'Choose a file with text in it.');
  if (ending === '.txt') return { format: 'text', rows: [{ kind: 'text', line: 1, text }] };

  const rows: DataRow[] = [];
  text.split('\n').forEach((source, index) => {
    if (source.trim() === '') return;
    const row = parseRow(name, index + 1, source);
    const first = rows[0];
    if (first && first.kind !== row.kind) {
      const form = (r: DataRow) => (r.kind === 'text' ? '"text"' : '"prompt" and "completion"');
      throw new DataError(`${name}: line ${row.line}: two kinds of rows in one file: this row has ${form(row)}, line ${first.line} has ${form(first)}`, 'Keep one kind of row, and put the other into a file of its own.');
    }
    rows.push(row);
  });
  return { format: 'rows', rows };
}

function refuseBinary(name: string, text: string): void {
  const zero = text.indexOf('\0');
  if (zero >= 0) {
    throw new DataError(`${name}: line ${lineOf(text, zero)}: not a text file: a zero byte`, 'Choose a plain text file; text saved as UTF-16 must be saved again as UTF-8.');
  }
  // U+FFFD stands where the bytes were no UTF-8.
  const unreadable = countUnreadable(text);
  if (unreadable > UNREADABLE_SHARE * text.length) {
    throw new DataError(`${name}: line ${lineOf(text, text.indexOf('\ufffd'))}: not UTF-8: ${unreadable} of ${text.length} characters cannot be read, the first one here`, 'Save the file as UTF-8.');
  }
}

export function countUnreadable(text: string): number {
  return text.split('\ufffd').length - 1;
}

function lineOf(text: string, position: number): number {
  return text.slice(0, position).split('\n').length;
}

function parseRow(name: string, line: number, source: string): DataRow {
  const where = `${name}: line ${line}`;
  let value: unknown;
  try {
    value = JSON.parse(source);
  } catch {
    // Engines word this error differently, and some leave the place out.
    const { offset, wanted } = jsonFault(source);
    throw new DataError(
      `${where}: broken JSON: column ${offset + 1}: wanted ${wanted}, got ${offset < source.length ? around(source, offset) : 'the end of the line'}`,
      /^\s*[[{]\s*$/.test(source) ? `Write each row on one line: ${ROW_FORMS}.` : 'Correct the line; quotes and line breaks inside a string are written \\" and \\n.',
    );
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new DataError(`${where}: a row must be an object: got ${kindOf(value)}`, `Write one row a line: ${ROW_FORMS}.`);
  }
  const object = value as Record<string, unknown>;
  const has = (key: string) => Object.hasOwn(object, key);
  if (has('text') && (has('prompt') || has('completion'))) {
    throw new DataError(`${where}: two kinds in one row: "text" beside ${has('prompt') ? '"prompt"' : '"completion"'}`, 'Keep either "text", or "prompt" and "completion".');
  }
  if (!has('text') && !(has('prompt') && has('completion'))) {
    const missing = has('prompt') ? '"completion" is missing' : has('completion') ? '"prompt" is missing' : 'neither "text" nor "prompt" and "completion"';
    const keys = Object.keys(object);
    const found = keys.length === 0 ? 'the row is {}' : `the keys are ${list(keys)}`;
    throw new DataError(`${where}: ${missing}: ${found}`, `Name the keys as in ${ROW_FORMS}.`);
  }
  for (const key of ROW_KEYS.filter(has)) {
    const field = object[key];
    if (typeof field !== 'string') throw new DataError(`${where}: "${key}" must be a string: got ${kindOf(field)}`, 'Put the value in double quotes.');
    if (field.trim() === '' && key !== 'prompt') throw new DataError(`${where}: "${key}" is empty: there is nothing to learn in this row`, 'Fill it in, or remove the row.');
  }
  return has('text')
    ? { kind: 'text', line, text: object.text as string }
    : { kind: 'pair', line, prompt: object.prompt as string, completion: object.completion as string };
}

function list(keys: string[]): string {
  const shown = keys.slice(0, 6).map((key) => JSON.stringify(key)).join(', ');
  return keys.length > 6 ? `${shown} and ${keys.length - 6} more` : shown;
}

function kindOf(value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object') return 'an object';
  return typeof value === 'string' ? 'a string' : `${JSON.stringify(value)}`;
}

/** The piece of the line around a place, with the place itself first among what matters. */
function around(source: string, offset: number): string {
  const start = Math.max(0, offset - 12), end = Math.min(source.length, offset + 20);
  const before = `${start > 0 ? '…' : ''}${source.slice(start, offset)}`;
  const after = `${source.slice(offset, end)}${end < source.length ? '…' : ''}`;
  return before === '' ? after : `${after} (after ${before})`;
}

const JSON_TOKEN = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|(?:true|false|null|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?)(?![\w.+-])|[{}[\],:]/y;
const JSON_STRING_START = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*/y;
type Wanted = 'value' | 'first value' | 'key' | 'first key' | 'colon' | 'next';

/** Where a line stops being JSON, and what JSON wants there. Wants a source that JSON.parse refuses. */
function jsonFault(source: string): { offset: number; wanted: string } {
  /** The closing brackets still owed. */
  const owed: string[] = [];
  let wanted: Wanted = 'value';
  let offset = 0;
  for (;;) {
    while (/[ \t\n\r]/.test(source.charAt(offset))) offset++;
    if (wanted === 'next' && owed.length === 0) return { offset, wanted: 'the end of the line after the row' };
    JSON_TOKEN.lastIndex = offset;
    const token = JSON_TOKEN.exec(source)?.[0] ?? '';
    const close = owed.at(-1) ?? '';
    const isString = token.startsWith('"');
    if (source[offset] === '"' && !isString && wanted !== 'colon' && wanted !== 'next') return stringFault(source, offset);

    if (token !== '' && token === close && (wanted === 'next' || wanted.startsWith('first'))) {
      owed.pop();
      wanted = 'next';
    } else if (wanted === 'next') {
      if (token !== ',') return { offset, wanted: `, or ${close}` };
      wanted = close === '}' ? 'key' : 'value';
    } else if (wanted === 'colon') {
      if (token !== ':') return { offset, wanted: ': after the key' };
      wanted = 'value';
    } else if (wanted === 'key' || wanted === 'first key') {
      if (!isString) return { offset, wanted: 'a key in double quotes' };
      wanted = 'colon';
    } else if (token === '{' || token === '[') {
      owed.push(token === '{' ? '}' : ']');
      wanted = token === '{' ? 'first key' : 'first value';
    } else {
      if (token === '' || '}],:'.includes(token)) return { offset, wanted: 'a value (a string in double quotes, a number, true, false, null, { or [)' };
      wanted = 'next';
    }
    offset += token.length;
  }
}

function stringFault(source: string, start: number): { offset: number; wanted: string } {
  JSON_STRING_START.lastIndex = start;
  const offset = start + (JSON_STRING_START.exec(source)?.[0].length ?? 0);
  if (offset >= source.length) return { offset, wanted: 'a closing "' };
  if (source[offset] !== '\\') return { offset, wanted: 'an escape such as \\t or \\n in place of a control character' };
  return { offset, wanted: source[offset + 1] === 'u' ? 'four hexadecimal digits after \\u' : 'one of " \\ / b f n r t u after \\' };
}
