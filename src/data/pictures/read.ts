// The rows of a picture data set: a folder or a zip with labels by sub-folder or in a sheet, or a parquet file with the bytes inside. Every
// refusal names the file, and the row where there is one.
import { DataError, ColumnsError } from '../../util/errors';
import type { Watch } from '../../util/pace';
import type { Columns } from '../rows';
import { type Cells, type DataFile, type Table, isObject, kindOf, list, readTable, usualColumn } from '../table';
import { PICTURE_NAME } from './decode';

export interface PictureRow {
  /** What a person would look for: the path of the file, or the row of the sheet. */
  readonly place: string;
  read(): Promise<Uint8Array>;
  readonly label?: string;
  readonly caption?: string;
}

export interface PictureRows {
  readonly form: 'picture-label' | 'picture-caption';
  readonly rows: readonly PictureRow[];
  readonly columns: readonly string[];
  readonly used: Columns;
  /** Things worth knowing, whole sentences. */
  readonly notes: readonly string[];
}

interface Entry { readonly name: string; read(): Promise<Uint8Array> }

/** Lower-case names under which data sets keep each column, most usual first. */
const USUAL = {
  image: ['image', 'img', 'picture', 'photo', 'file_name', 'filename', 'file', 'image_path', 'path'],
  label: ['label', 'labels', 'class', 'category', 'target', 'fine_label'],
  caption: ['caption', 'captions', 'text', 'description', 'sentence'],
} as const;
const SHEET = /\.(csv|tsv|jsonl|ndjson|json)$/i;
/** Kept by file systems and tools beside what is meant. */
const CLUTTER = /(^|\/)(\.|__MACOSX\/|Thumbs\.db$|desktop\.ini$|README|LICEN[CS]E|NOTICE)/i;
const SIDES = /^(train|training|val|valid|validation|dev|test)$/i;

/** `wanted`: whether rows need a label or a caption; `columns` names what is not found by its usual name. */
export async function readPictures(file: DataFile, wanted: 'label' | 'caption' | 'either', columns: Columns = {}, watch: Watch = {}): Promise<PictureRows> {
  if (file.files) return fromEntries(file.name, file.files, wanted, columns);
  const { name, content } = file;
  if (content.length === 0) throw new DataError(`${name}: the file is empty: 0 bytes`, 'Choose a zip of pictures, or a parquet file.');
  if (/\.parquet$/i.test(name)) return fromParquet(file, wanted, columns, watch);
  if (/\.zip$/i.test(name) && typeof content !== 'string') return fromEntries(name, await unpacked(name, content), wanted, columns);
  throw new DataError(`${name}: pictures are not read from this kind of file`, 'Give a folder or a .zip of pictures with a sub-folder for each class or a .csv of labels, or a .parquet file with pictures in it.');
}

async function unpacked(name: string, bytes: Uint8Array): Promise<Entry[]> {
  const { unzipSync } = await import('fflate');
  try {
    return Object.entries(unzipSync(bytes, { filter: (entry) => !entry.name.endsWith('/') && !CLUTTER.test(entry.name) })).map(([path, content]) => ({ name: path, read: async () => content }));
  } catch (error) {
    throw new DataError(`${name}: the zip file cannot be read: ${(error as Error).message}`, 'It is damaged or was not fully copied: make it again.');
  }
}

// ---- a folder, or the folder in a zip ----

async function fromEntries(name: string, all: readonly Entry[], wanted: 'label' | 'caption' | 'either', columns: Columns): Promise<PictureRows> {
  const entries = withoutRoot(all.filter((entry) => !CLUTTER.test(entry.name)));
  const pictures = entries.filter((entry) => PICTURE_NAME.test(entry.name)).sort((a, b) => (a.name < b.name ? -1 : 1));
  if (pictures.length === 0) throw new DataError(`${name}: there is no picture in it: it holds ${entries.length === 0 ? 'nothing' : list(entries.map((entry) => entry.name))}`, 'Put pictures as .png or .jpg into it.');
  const sheets = entries.filter((entry) => SHEET.test(entry.name));
  if (sheets.length > 1) throw new DataError(`${name}: there are several lists of labels: ${list(sheets.map((entry) => entry.name))}`, 'Leave one of them.');
  const stray = entries.length - pictures.length - sheets.length;
  const notes = stray === 0 ? [] : [`${stray} ${stray === 1 ? 'file that is' : 'files that are'} neither a picture nor a list ${stray === 1 ? 'is' : 'are'} left alone.`];
  const [sheet] = sheets;
  if (sheet) return fromSheet(name, sheet, pictures, wanted, columns, notes);
  if (wanted === 'caption') throw new DataError(`${name}: there are no captions in it`, 'Add a captions.csv with the columns file and caption.');
  const loose = pictures.find((entry) => !entry.name.includes('/'));
  if (loose) throw new DataError(`${name}: ${loose.name} has no label: it lies in no sub-folder, and there is no list`, 'Put the pictures of each class into a sub-folder of its name, or add a labels.csv with the columns file and label.');
  const sided = pictures.every((entry) => SIDES.test(entry.name.split('/')[0] as string) && entry.name.split('/').length > 2);
  if (sided) notes.push(`The sub-folders ${list([...new Set(pictures.map((entry) => entry.name.split('/')[0] as string))])} are put together and split anew by the seed.`);
  const rows = pictures.map((entry) => ({ place: entry.name, read: () => entry.read(), label: entry.name.split('/').at(-2) as string }));
  return { form: 'picture-label', rows, columns: [], used: {}, notes };
}

/** Without the folders that everything lies in, unless that would leave the pictures loose. */
function withoutRoot(entries: readonly Entry[]): Entry[] {
  const roots = new Set(entries.map((entry) => entry.name.split('/')[0]));
  const [root] = roots;
  const deep = entries.every((entry) => entry.name.includes('/'));
  if (roots.size !== 1 || !deep || entries.every((entry) => entry.name.split('/').length === 2 && PICTURE_NAME.test(entry.name))) return [...entries];
  return withoutRoot(entries.map((entry) => ({ name: entry.name.slice((root as string).length + 1), read: () => entry.read() })));
}

async function fromSheet(name: string, sheet: Entry, pictures: readonly Entry[], wanted: 'label' | 'caption' | 'either', columns: Columns, notes: string[]): Promise<PictureRows> {
  const where = `${name}/${sheet.name}`;
  const table = await readTable({ name: where, content: new Uint8Array(await sheet.read()) });
  if (table.kind === 'text') throw new DataError(`${where}: it is no table`, 'Write a .csv with the columns file and label.');
  const used = columnsFor(where, table, wanted, columns);
  const folder = sheet.name.slice(0, sheet.name.lastIndexOf('/') + 1);
  const byName = new Map(pictures.map((entry) => [entry.name, entry]));
  // A list may stand in a folder of its own beside that of the pictures; names that are given once are enough.
  const byLast = new Map<string, Entry | null>();
  for (const entry of pictures) {
    const last = entry.name.split('/').at(-1) as string;
    byLast.set(last, byLast.has(last) ? null : entry);
  }
  const listed = new Set<Entry>();
  const rows = table.rows.map((cells, i): PictureRow => {
    const at = `${where}: ${table.place(i)}`;
    const path = textOf(cells, used.image as string, at).replace(/\\/g, '/').replace(/^\.\//, '');
    const entry = byName.get(folder + path) ?? byName.get(path) ?? byLast.get(path);
    if (!entry) throw new DataError(`${at}: there is no picture ${JSON.stringify(path)}${entry === null ? ' that is the only one of its name' : ''}`, 'Write the path of the picture as it lies in the folder, or remove the row.');
    listed.add(entry);
    return { place: entry.name, read: () => entry.read(), ...contentOf(cells, used, at) };
  });
  const left = pictures.length - listed.size;
  if (left > 0) notes.push(`${left} ${left === 1 ? 'picture is' : 'pictures are'} not on the list and left out.`);
  return finished(where, { rows, used, columns: table.columns, notes });
}

// ---- parquet, as data sets of the Hub are stored ----

async function fromParquet({ name, content }: DataFile, wanted: 'label' | 'caption' | 'either', columns: Columns, watch: Watch): Promise<PictureRows> {
  if (typeof content === 'string') throw new DataError(`${name}: a parquet file is not text`, 'Choose the file itself.');
  const { asyncBufferFrom, classNames, parquetColumns, parquetRows } = await import('../parquet');
  const buffer = asyncBufferFrom(content);
  const table: Pick<Table, 'columns' | 'rows' | 'place'> = { columns: await parquetColumns(name, buffer), rows: await parquetRows(name, buffer, watch, true), place: (i) => `row ${i + 1}` };
  const used = columnsFor(name, table, wanted, columns);
  const names = used.label === undefined ? null : await classNames(name, buffer, used.label);
  const rows = table.rows.map((cells, i): PictureRow => {
    const at = `${name}: ${table.place(i)}`;
    const value = cells[used.image as string];
    const bytes = value instanceof Uint8Array ? value : isObject(value) ? value.bytes : undefined;
    if (!(bytes instanceof Uint8Array)) {
      const outside = isObject(value) && typeof value.path === 'string';
      throw new DataError(`${at}: ${JSON.stringify(used.image)} holds no picture: got ${outside ? `a path, ${JSON.stringify(value.path)}` : kindOf(value)}`, outside ? 'The pictures lie outside this file: give their folder or zip.' : 'Choose the column with the bytes of the pictures.');
    }
    const { label, ...rest } = contentOf(cells, used, at);
    if (label === undefined) return { place: table.place(i), read: async () => bytes, ...rest };
    const number = Number(label);
    if (names && names[number] === undefined) throw new DataError(`${at}: the label ${label} has no name: the file names ${names.length} classes`, 'Labels count from 0.');
    return { place: table.place(i), read: async () => bytes, ...rest, label: names ? (names[number] as string) : label };
  });
  return finished(name, { rows, used, columns: table.columns, notes: [] });
}

// ---- what both share ----

function finished(where: string, { rows, ...more }: Omit<PictureRows, 'form'>): PictureRows {
  if (rows.length === 0) throw new DataError(`${where}: there is nothing to learn: no row`, 'Choose a list with rows in it.');
  return { ...more, rows, form: more.used.caption === undefined ? 'picture-label' : 'picture-caption' };
}

function columnsFor(where: string, { columns: all }: Pick<Table, 'columns'>, wanted: 'label' | 'caption' | 'either', columns: Columns): Columns {
  for (const [role, column] of Object.entries(columns)) {
    if (!all.includes(column)) throw new ColumnsError(`${where}: there is no column ${JSON.stringify(column)} for the ${role}: the columns are ${list(all)}`, 'Say which column is what.', all);
  }
  const find = (role: keyof typeof USUAL, taken?: string) => columns[role] ?? usualColumn(all, USUAL[role], [taken]);
  const image = find('image');
  const say = 'Say which column is what, such as image=file,label=kind.';
  if (image === undefined) throw new ColumnsError(`${where}: no column with pictures: the columns are ${list(all)}`, say, all);
  const caption = wanted === 'label' ? undefined : find('caption', image);
  const label = wanted === 'caption' ? undefined : find('label', image);
  if (label === undefined && caption === undefined) {
    const what = wanted === 'caption' ? 'captions' : wanted === 'label' ? 'labels' : 'labels or captions';
    throw new ColumnsError(`${where}: no column with ${what}: the columns are ${list(all)}`, say, all);
  }
  return label !== undefined ? { image, label } : { image, caption: caption as string };
}

function contentOf(cells: Cells, used: Columns, at: string): { label?: string; caption?: string } {
  if (used.label !== undefined) return { label: textOf(cells, used.label, at) };
  const value = cells[used.caption as string];
  // Several captions of one picture: the first stands for it.
  return { caption: Array.isArray(value) ? textOf({ [used.caption as string]: value[0] }, used.caption as string, at) : textOf(cells, used.caption as string, at) };
}

function textOf(cells: Cells, column: string, at: string): string {
  const value = cells[column];
  const text = typeof value === 'string' ? value.trim() : ['number', 'bigint', 'boolean'].includes(typeof value) ? String(value) : null;
  if (text === null && value !== null && value !== undefined) throw new ColumnsError(`${at}: ${JSON.stringify(column)} must be a word: got ${kindOf(value)}`, 'Choose another column.', Object.keys(cells));
  if (text === null || text === '') throw new DataError(`${at}: ${JSON.stringify(column)} is empty`, 'Fill it in, or remove the row.');
  return text;
}
