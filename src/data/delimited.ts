// Comma- and tab-separated files through papaparse: the first line names the columns; a row of another width is refused by its place.
import Papa from 'papaparse';
import { DataError } from '../util/errors';

export interface Delimited { columns: string[]; rows: Record<string, string>[] }

const SEPARATORS: Readonly<Record<string, string>> = { ',': 'commas', ';': 'semicolons', '\t': 'tabs', '|': 'bars' };

export function parseDelimited(name: string, text: string): Delimited {
  const tabs = /\.tsv$/i.test(name);
  const { data, errors, meta } = Papa.parse<string[]>(text, { skipEmptyLines: 'greedy', ...(tabs ? { delimiter: '\t' } : { delimitersToGuess: [',', ';', '\t', '|'] }) });
  const [head, ...body] = data;
  if (!head) throw new DataError(`${name}: there is nothing to learn: no row`, 'Choose a file with text in it.');
  // Papa reports an unclosed quote at the row where it opened; what follows has been swallowed.
  const quote = errors.find(({ type }) => type === 'Quotes');
  if (quote) {
    const row = quote.row ?? 0;
    throw new DataError(
      `${name}: ${row === 0 ? 'the first line' : `row ${row}`}: ${quote.code === 'MissingQuotes' ? 'a quoted cell is never closed' : 'a quote stands in the middle of a cell'}: ${JSON.stringify((data[row] ?? []).join(meta.delimiter).slice(0, 40))}`,
      'Put cells with quotes or line breaks in double quotes, and write a quote inside as two: "".',
    );
  }
  const columns = head.map((cell) => cell.trim());
  const blank = columns.indexOf('');
  const twice = columns.find((column, i) => columns.indexOf(column) < i);
  const first = 'The first line must name the columns.';
  // An unnamed first column is the index that pandas writes.
  if (blank === 0 && columns.length > 1) columns[0] = 'index';
  else if (blank >= 0) throw new DataError(`${name}: the first line: column ${blank + 1} has no name`, first);
  if (twice !== undefined && twice !== '') throw new DataError(`${name}: the first line: two columns have the name ${JSON.stringify(twice)}`, first);
  if (body.length === 0) throw new DataError(`${name}: there is nothing to learn: only the first line, with the names of ${columns.length} column${columns.length === 1 ? '' : 's'}`, 'Add rows below it.');
  const rows = body.map((cells, i) => {
    if (cells.length !== columns.length) {
      throw new DataError(
        `${name}: row ${i + 1}: ${cells.length} cell${cells.length === 1 ? '' : 's'}, the first line names ${columns.length} (separated by ${SEPARATORS[meta.delimiter] ?? meta.delimiter}): ${JSON.stringify(cells.join(meta.delimiter).slice(0, 40))}`,
        'Put cells that hold the separator or a line break in double quotes.',
      );
    }
    return Object.fromEntries(columns.map((column, c) => [column, cells[c] as string]));
  });
  return { columns, rows };
}
