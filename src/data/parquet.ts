// Parquet through hyparquet, a row group at a time.
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects, parquetSchema } from 'hyparquet';
import { compressors } from 'hyparquet-compressors';
import { DataError } from '../util/errors';
import { pacer, type Watch } from '../util/pace';

export function asyncBufferFrom(bytes: Uint8Array<ArrayBuffer>): AsyncBuffer {
  const { buffer, byteOffset, length } = bytes;
  return { byteLength: length, slice: (start, end) => buffer.slice(byteOffset + start, byteOffset + Math.min(end ?? length, length)) };
}

/** The footer, and the names of the columns. What is damaged may be read as a footer that lacks parts, so those are asked for here. */
async function openParquet(name: string, file: AsyncBuffer): Promise<{ metadata: FileMetaData; columns: string[] }> {
  const head = new Uint8Array(await file.slice(0, 4));
  if (String.fromCharCode(...head) !== 'PAR1') {
    const text = String.fromCharCode(...head);
    const hint = text.startsWith('vers') ? 'This is a Git LFS pointer, not the file: fetch it with git lfs pull.' : 'The file is damaged or of another kind: download it again.';
    throw new DataError(`${name}: not a parquet file: it begins with ${JSON.stringify(text)}, not with "PAR1"`, hint);
  }
  try {
    const metadata = await parquetMetadataAsync(file);
    const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
    if (!Array.isArray(metadata.row_groups)) throw new Error('it names no row groups');
    return { metadata, columns };
  } catch (error) {
    throw new DataError(`${name}: the parquet footer cannot be read: ${(error as Error).message}`, 'The file was not fully downloaded or is damaged: download it again.');
  }
}

export async function parquetColumns(name: string, file: AsyncBuffer): Promise<string[]> {
  return (await openParquet(name, file)).columns;
}

interface Feature { names?: unknown; feature?: Feature; 0?: Feature }

/** Names of the classes of a column, or of a column of lists of them, as the Hub's data sets keep them beside it; null where there are none. */
export async function classNames(name: string, file: AsyncBuffer, column: string): Promise<string[] | null> {
  const { key_value_metadata: notes } = (await openParquet(name, file)).metadata;
  try {
    const { info } = JSON.parse(notes?.find(({ key }) => key === 'huggingface')?.value ?? '{}') as { info?: { features?: Record<string, Feature> } };
    const feature = info?.features?.[column];
    const names = feature?.names ?? feature?.feature?.names ?? feature?.[0]?.names;
    return Array.isArray(names) ? names.map(String) : null;
  } catch {
    // Another tool's note of the same name.
    return null;
  }
}

/** `binary`: bytes without a kind of their own stay bytes, where they would be read as text. */
export async function parquetRows(name: string, file: AsyncBuffer, watch: Watch, binary = false): Promise<Record<string, unknown>[]> {
  const { metadata } = await openParquet(name, file);
  const total = Number(metadata.num_rows);
  if (total === 0) throw new DataError(`${name}: there is nothing to learn: the table has no row`, 'Choose a file with rows in it.');
  const step = pacer(watch);
  const rows: Record<string, unknown>[] = [];
  for (const group of metadata.row_groups) {
    const rowEnd = rows.length + Number(group.num_rows);
    const some = await parquetReadObjects({ file, metadata, compressors, rowStart: rows.length, rowEnd, utf8: !binary }).catch((error: Error) => {
      throw new DataError(`${name}: rows ${rows.length + 1} to ${rowEnd} cannot be read: ${error.message}`, 'The file is damaged, or squeezed in a way that is not supported: save it again with snappy or zstd.');
    });
    for (const row of some) rows.push(row);
    await step(rows.length, total);
  }
  return rows;
}
