// f64 forms of pool.ts.
import { type Expected, type Host, exact, expected, matrix } from '../testing/reference';

export function gatherRows(pool: Host, ids: Host): Expected {
  const { columns, at } = matrix(pool);
  return expected([ids.data.length, columns], (i) => exact(at(ids.data[Math.floor(i / columns)] as number, i % columns)));
}

/** Every row of y goes where its id says; rows of z that no id names stay zero. */
export function placeRows(y: Host, ids: Host, n: number): Expected {
  const { columns, at } = matrix(y);
  const from = new Map(Array.from(ids.data, (id, i) => [id, i]));
  return expected([n, columns], (i) => {
    const row = from.get(Math.floor(i / columns));
    return exact(row === undefined ? 0 : at(row, i % columns));
  });
}
