// Tables of which an encoder learns something else than a class a row: two texts that belong together, or a tag for each word.
import { ColumnsError, DataError } from '../util/errors';
import { BlankRow, type Columns, type Role, checkNamed, leavingBlanks, textCell } from './rows';
import { type Cells, type DataFile, type Table, kindOf, list, readTable, usualColumn } from './table';

/** What stands in a table, and what of it is used. */
export interface Annotated<R, F extends string> {
  readonly form: F;
  readonly rows: readonly R[];
  readonly columns: readonly string[];
  readonly used: Columns;
  readonly leftOut: number;
}

/** Two texts that belong together; a score says how much. */
export interface TextPair { readonly place: string; readonly text: string; readonly second: string; readonly score?: number }

/** Words, and the tag of each. */
export interface TaggedWords { readonly place: string; readonly words: readonly string[]; readonly tags: readonly string[] }

/** Lower-case names under which data sets keep each role, most usual first. */
const USUAL: Readonly<Partial<Record<Role, readonly string[]>>> = {
  text: ['text', 'anchor', 'sentence1', 'query', 'question', 'text1', 'sentence', 'premise', 'question1'],
  second: ['second', 'positive', 'sentence2', 'answer', 'text2', 'text_pair', 'hypothesis', 'question2', 'passage'],
  score: ['score', 'similarity', 'similarity_score', 'relatedness_score'],
  tokens: ['tokens', 'words'],
  tags: ['tags', 'ner_tags', 'pos_tags', 'labels'],
};

export async function readPairs(file: DataFile, columns: Columns = {}): Promise<Annotated<TextPair, 'text-pair'>> {
  return readColumns(file, 'text-pair', { needed: ['text', 'second'], also: ['score'], columns }, (cells, used, place, where) => ({
    place, text: textCell(cells, used.text as string, where, 'refused'), second: textCell(cells, used.second as string, where, 'refused'),
    ...(used.score === undefined ? {} : { score: numberCell(cells, used.score, where) }),
  }));
}

export async function readTagged(file: DataFile, columns: Columns = {}): Promise<Annotated<TaggedWords, 'tagged-words'>> {
  const read = await readColumns(file, 'tagged-words', { needed: ['tokens', 'tags'], also: [], columns }, (cells, used, place, where) => {
    const words = listCell(cells, used.tokens as string, where, 'word', (word) => (typeof word === 'string' && word.trim() !== '' ? word : null), 'a string with something in it');
    const tags = listCell(cells, used.tags as string, where, 'tag', tagOf, 'a string or a whole number');
    if (tags.length !== words.length) throw new DataError(`${where}: ${tags.length} in ${JSON.stringify(used.tags)} for ${words.length} in ${JSON.stringify(used.tokens)}`, 'Give each word one tag.');
    if (words.length === 0) throw new BlankRow(`${where}: ${JSON.stringify(used.tokens)} is empty: there is nothing to learn in this row`, 'Fill it in, or remove the row.');
    return { place, words, tags };
  });
  const names = await tagNames(file, read.used.tags as string);
  return names ? { ...read, rows: read.rows.map((row) => ({ ...row, tags: row.tags.map((tag) => names[Number(tag)] ?? tag) })) } : read;
}

const tagOf = (value: unknown): string | null => (typeof value === 'string' && value.trim() !== '' ? value.trim() : typeof value === 'bigint' || Number.isInteger(value) ? String(value) : null);

/** Names of the tags, where a parquet file keeps them beside their numbers. */
async function tagNames({ name, content }: DataFile, column: string): Promise<string[] | null> {
  if (typeof content === 'string' || !/\.parquet$/i.test(name)) return null;
  const { asyncBufferFrom, classNames } = await import('./parquet');
  return classNames(name, asyncBufferFrom(content), column);
}

function listCell(cells: Cells, column: string, where: string, what: string, entryOf: (value: unknown) => string | null, wanted: string): string[] {
  const value = cells[column];
  const at = `${where}: ${JSON.stringify(column)}`;
  if (!Array.isArray(value)) throw new DataError(`${at} must be a list, a ${what} for each word: got ${kindOf(value)}`, 'Write {"tokens": ["Anna", "sings"], "tags": ["B-PER", "O"]}.');
  return value.map((entry, i) => {
    const read = entryOf(entry);
    if (read === null) throw new DataError(`${at}: ${what} ${i + 1} must be ${wanted}: got ${typeof entry === 'string' ? JSON.stringify(entry) : kindOf(entry)}`, 'Correct it, or remove the row.');
    return read;
  });
}

function numberCell(cells: Cells, column: string, where: string): number {
  const value = cells[column];
  const number = typeof value === 'string' && value.trim() === '' ? Number.NaN : Number(value ?? Number.NaN);
  if (!Number.isFinite(number)) throw new DataError(`${where}: ${JSON.stringify(column)} must be a number: got ${typeof value === 'string' ? JSON.stringify(value) : kindOf(value)}`, 'Write how alike the two texts are, in the same unit in all rows.');
  return number;
}

interface Wanted { readonly needed: readonly Role[]; readonly also: readonly Role[]; readonly columns: Columns }

async function readColumns<R, F extends string>(file: DataFile, form: F, wanted: Wanted, rowOf: (cells: Cells, used: Columns, place: string, where: string) => R): Promise<Annotated<R, F>> {
  const table = await readTable(file);
  if (table.kind === 'text') throw new DataError(`${file.name}: it is a running text, and has no columns`, `Give a table with ${wanted.needed.join(' and ')} in each row.`);
  const used = usedOf(file.name, table, wanted);
  return { form, columns: table.columns, used, ...leavingBlanks(file.name, table, (cells, place, where) => rowOf(cells, used, place, where)) };
}

/** The columns chosen, or those with usual names. */
function usedOf(name: string, { columns }: Table, { needed, also, columns: chosen }: Wanted): Columns {
  const roles = [...needed, ...also];
  checkNamed(name, columns, chosen);
  const stray = (Object.keys(chosen) as Role[]).find((role) => !roles.includes(role));
  if (stray) throw new ColumnsError(`${name}: ${stray} does not go together with ${needed.join(' and ')}`, `Choose ${roles.join(', ')} alone.`, columns);
  const used: Columns = { ...chosen };
  if (Object.keys(chosen).length === 0) {
    for (const role of roles) {
      const found = usualColumn(columns, USUAL[role] ?? [], Object.values(used));
      if (found !== undefined) used[role] = found;
    }
  }
  const missing = needed.find((role) => used[role] === undefined);
  if (missing) throw new ColumnsError(`${name}: ${JSON.stringify(missing)} is missing: the columns are ${list(columns)}`, `Say which columns are ${needed.join(' and ')}.`, columns);
  return used;
}
