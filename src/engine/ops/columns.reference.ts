// f64 forms of columns.ts.
import { type Expected, type Host, exact, expected, matrix, range, sum } from '../testing/reference';

/** Σ over rows of x·z·s. */
export function columnDot(x: Host, z?: Host, s?: Host): Expected {
  const { rows, columns, at } = matrix(x);
  return expected([columns], (c) => sum(range(rows).map((n) => at(n, c) * (z?.data[n * columns + c] ?? 1) * (s?.data[n] ?? 1))));
}

export function scaleColumns(x: Host, g: Host): Expected {
  const { rows, columns } = matrix(x);
  const stretch = Math.ceil(rows / (g.data.length / columns));
  return expected(x.shape, (i) => sum([(x.data[i] as number) * (g.data[Math.floor(i / columns / stretch) * columns + (i % columns)] as number)]));
}

export function addColumns(x: Host, b: Host): Expected {
  return expected(x.shape, (i) => sum([x.data[i] as number, b.data[i % b.data.length] as number]));
}

export function addPositions(x: Host, table: Host): Expected {
  return expected(x.shape, (i) => sum([x.data[i] as number, table.data[i % table.data.length] as number]));
}

export function sliceColumns(x: Host, start: number, width: number): Expected {
  const { at } = matrix(x);
  return expected([...x.shape.slice(0, -1), width], (i) => exact(at(Math.floor(i / width), start + (i % width))));
}

export function placeColumns(x: Host, start: number, wide: number): Expected {
  const { columns, at } = matrix(x);
  return expected([...x.shape.slice(0, -1), wide], (i) => {
    const column = (i % wide) - start;
    return exact(column >= 0 && column < columns ? at(Math.floor(i / wide), column) : 0);
  });
}
