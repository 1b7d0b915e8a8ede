// f64 form of embedding.ts.
import { type Expected, type Host, exact, expected, matrix } from '../testing/reference';

/** Rows of the table; an id past its end reads the last one. */
export function embedding(ids: Host, table: Host): Expected {
  const { rows, columns, at } = matrix(table);
  return expected([...ids.shape, columns], (i) => exact(at(Math.min(ids.data[Math.floor(i / columns)] as number, rows - 1), i % columns)));
}
