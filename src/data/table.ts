// Reads a data file into a text or a table of named columns. Every refusal names the file, and the line or row where there is one.
import { jsonFault } from './json-fault';
import { DataError } from '../util/errors';
import type { Watch } from '../util/pace';

export interface DataFile {
  name: string;
  /** The file's bytes, or its text. */
  content: string | Uint8Array<ArrayBuffer>;
  /** Of a folder, which has no content of its own: its files, by their paths in it. */
  files?: readonly { readonly name: string; read(): Promise<Uint8Array> }[];
}

export type Cells = Readonly<Record<string, unknown>>;
export interface Table {
  readonly kind: 'table';
  /** In the order in which they first appear. */
  readonly columns: readonly string[];
  readonly rows: readonly Cells[];
  /** Where a row stands, as a person would look for it: 'line 3', 'row 3'. */
  place(index: number): string;
  /** Characters that were no UTF-8. */
  readonly unreadable: number;
}
export interface RunningText { readonly kind: 'text'; readonly text: string; readonly unreadable: number }

const KINDS = '.txt, .md, .jsonl, .json, .csv, .tsv, .parquet';
/** Up to this share of unreadable characters is taken for damage in a text; above it, for a file that is no UTF-8 text. */
const UNREADABLE_SHARE = 0.001;
/** More text than this does not fit into one string of the engine. */
const MAX_BYTES = 500 * 2 ** 20;

export async function readTable(file: DataFile, watch: Watch = {}): Promise<Table | RunningText> {
  const { name, content } = file;
  const ending = /\.[^./\\]+$/.exec(name)?.[0].toLowerCase() ?? '';
  if (file.files) throw new DataError(`${name}: a folder: its files are read one at a time`, 'Choose a data file in it. Folders of pictures are for models that read pictures.');
  if (content.length === 0) throw new DataError(`${name}: the file is empty: 0 bytes`, 'Choose a file with text in it.');
  if (content.length > MAX_BYTES) throw new DataError(`${name}: too large to read in one piece: ${content.length} bytes`, `Split it into files of at most ${MAX_BYTES} bytes.`);
  if (ending === '.parquet') {
    if (typeof content === 'string') throw new DataError(`${name}: a parquet file is not text`, 'Choose the file itself.');
    return readParquet(name, content, watch);
  }
  const read = { '.txt': running, '.md': running, '.jsonl': jsonLines, '.ndjson': jsonLines, '.json': jsonList, '.csv': delimited, '.tsv': delimited }[ending];
  if (!read) throw new DataError(`${name}: this kind of file is not read: ${ending ? `the name ends in ${ending}` : 'the name has no ending'}`, remedy(ending));
  const decoded = typeof content === 'string' ? content : new TextDecoder('utf-8', { ignoreBOM: true }).decode(content);
  const text = decoded.replace(/^\ufeff/, '');
  refuseBinary(name, text);
  if (text.trim() === '') throw new DataError(`${name}: there is nothing to learn: only spaces and blank lines`, 'Choose a file with text in it.');
  return read(name, text, countUnreadable(text));
}

function remedy(ending: string): string {
  if (/^\.(xlsx?|ods|numbers)$/.test(ending)) return 'Save the sheet as .csv.';
  if (/^\.(docx?|odt|rtf|pdf|epub|html?)$/.test(ending)) return 'Save its text as .txt.';
  if (/^\.(zip|gz|bz2|xz|zst|tar|7z)$/.test(ending)) return 'Unpack it, and choose the file inside.';
  if (/^\.(arrow|feather)$/.test(ending)) return 'Save it as .parquet.';
  return `Files read here: ${KINDS}.`;
}

function refuseBinary(name: string, text: string): void {
  const zero = text.indexOf('\0');
  if (zero >= 0) throw new DataError(`${name}: line ${lineOf(text, zero)}: not a text file: a zero byte`, 'Choose a plain text file; text saved as UTF-16 must be saved again as UTF-8.');
  // U+FFFD stands where the bytes were no UTF-8.
  const unreadable = countUnreadable(text);
  if (unreadable > UNREADABLE_SHARE * text.length) {
    throw new DataError(`${name}: line ${lineOf(text, text.indexOf('\ufffd'))}: not UTF-8: ${unreadable} of ${text.length} characters cannot be read, the first one here`, 'Save the file as UTF-8.');
  }
}

function countUnreadable(text: string): number {
  let count = 0;
  for (let at = text.indexOf('\ufffd'); at >= 0; at = text.indexOf('\ufffd', at + 1)) count++;
  return count;
}

const lineOf = (text: string, position: number): number => text.slice(0, position).split(/\r\n?|\n/).length;

const running = (_name: string, text: string, unreadable: number): RunningText => ({ kind: 'text', text: text.replace(/\r\n?/g, '\n'), unreadable });

function table(rows: readonly Cells[], place: (index: number) => string, unreadable: number): Table {
  const columns = new Set<string>();
  for (const row of rows) for (const key in row) columns.add(key);
  return { kind: 'table', columns: [...columns], rows, place, unreadable };
}

// ---- JSON ----

function jsonLines(name: string, text: string, unreadable: number): Table {
  const rows: Cells[] = [];
  const lines: number[] = [];
  text.replace(/\r\n?/g, '\n').split('\n').forEach((source, index) => {
    if (source.trim() === '') return;
    const where = `${name}: line ${index + 1}`;
    let value: unknown;
    try {
      value = JSON.parse(source);
    } catch {
      throw brokenJson(where, source, 'the end of the line');
    }
    rows.push(objectRow(where, value));
    lines.push(index + 1);
  });
  return table(rows, (index) => `line ${lines[index]}`, unreadable);
}

/** A list of rows, or an object whose one list is the rows, as many tools write it. */
function jsonList(name: string, text: string, unreadable: number): Table {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const { offset } = jsonFault(text);
    const line = lineOf(text, offset);
    // Rows on lines of their own under the wrong ending are common.
    if (line > 1 && /^\s*\{.*\}\s*$/.test(text.slice(0, text.indexOf('\n')))) return jsonLines(name, text, unreadable);
    const start = Math.max(text.lastIndexOf('\n', offset - 1), text.lastIndexOf('\r', offset - 1)) + 1;
    const end = text.indexOf('\n', offset);
    throw brokenJson(`${name}: line ${line}`, text.slice(start, end < 0 ? text.length : end), 'the end of the file', { ...jsonFault(text), offset: offset - start });
  }
  let rows = value;
  if (!Array.isArray(rows) && isObject(value)) {
    const lists = Object.entries(value).filter(([, entry]) => Array.isArray(entry) && entry.some(isObject));
    if (lists.length > 1) throw new DataError(`${name}: several lists of rows: ${list(lists.map(([key]) => key))}`, 'Save one of them into a file of its own.');
    rows = lists[0]?.[1] ?? [value];
  }
  if (!Array.isArray(rows)) throw new DataError(`${name}: rows must stand in a list: got ${kindOf(value)}`, `Write [${ROW_FORMS}, …].`);
  if (rows.length === 0) throw new DataError(`${name}: there is nothing to learn: the list is empty`, 'Choose a file with rows in it.');
  return table(rows.map((row, i) => objectRow(`${name}: row ${i + 1}`, row)), (index) => `row ${index + 1}`, unreadable);
}

export const ROW_FORMS = '{"text": "…"} or {"prompt": "…", "completion": "…"}';

function objectRow(where: string, value: unknown): Cells {
  if (!isObject(value)) throw new DataError(`${where}: a row must be an object: got ${kindOf(value)}`, `Write one row a line: ${ROW_FORMS}.`);
  return value;
}

function brokenJson(where: string, source: string, end: string, fault = jsonFault(source)): DataError {
  const { offset, wanted } = fault;
  return new DataError(
    `${where}: broken JSON: column ${offset + 1}: wanted ${wanted}, got ${offset < source.length ? around(source, offset) : end}`,
    /^\s*[[{]\s*$/.test(source) ? `Write each row on one line: ${ROW_FORMS}.` : 'Correct the line; quotes and line breaks inside a string are written \\" and \\n.',
  );
}

/** The piece of the line around a place, with the place itself first among what matters. */
function around(source: string, offset: number): string {
  const start = Math.max(0, offset - 12), end = Math.min(source.length, offset + 20);
  const before = `${start > 0 ? '…' : ''}${source.slice(start, offset)}`;
  const after = `${source.slice(offset, end)}${end < source.length ? '…' : ''}`;
  return before === '' ? after : `${after} (after ${before})`;
}

// ---- columns ----

// These readers are fetched when they are first wanted: most visits never see a sheet.

async function delimited(name: string, text: string, unreadable: number): Promise<Table> {
  const { parseDelimited } = await import('./delimited');
  const { columns, rows } = parseDelimited(name, text);
  return { kind: 'table', columns, rows, place: (index) => `row ${index + 1}`, unreadable };
}

async function readParquet(name: string, bytes: Uint8Array<ArrayBuffer>, watch: Watch): Promise<Table> {
  const { asyncBufferFrom, parquetColumns, parquetRows } = await import('./parquet');
  const file = asyncBufferFrom(bytes);
  const columns = await parquetColumns(name, file);
  const rows = await parquetRows(name, file, watch);
  return { kind: 'table', columns, rows, place: (index) => `row ${index + 1}`, unreadable: 0 };
}

// ---- words ----

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The first of these lower-case names, most usual first, that a column not `taken` has. */
export function usualColumn(columns: readonly string[], names: readonly string[], taken: readonly (string | undefined)[] = []): string | undefined {
  return names.map((usual) => columns.find((column) => column.toLowerCase() === usual && !taken.includes(column))).find((column) => column !== undefined);
}

export function list(keys: readonly string[]): string {
  const shown = keys.slice(0, 6).map((key) => JSON.stringify(key)).join(', ');
  return keys.length > 6 ? `${shown} and ${keys.length - 6} more` : shown;
}

export function kindOf(value: unknown): string {
  if (value === null || value === undefined) return value === null ? 'null' : 'nothing';
  if (Array.isArray(value)) return 'a list';
  if (value instanceof Uint8Array) return 'bytes';
  if (typeof value === 'object') return 'an object';
  return typeof value === 'string' ? 'a string' : String(value);
}
