// Fewer points than steps: each bucket keeps its lowest and highest value in order, so that no spike is lost.

export interface Points { x: number[]; y: (number | null)[] }

/** Points of steps `from`…`to` (1-based, inclusive) of a column whose index 0 is step 1. Absent values become gaps. */
export function decimate(column: Float32Array, from: number, to: number, maxPoints: number): Points {
  const first = Math.max(1, Math.floor(from));
  const last = Math.min(column.length, Math.ceil(to));
  const x: number[] = [];
  const y: (number | null)[] = [];
  const total = last - first + 1;
  if (total <= maxPoints) {
    for (let step = first; step <= last; step++) {
      const value = column[step - 1] as number;
      x.push(step);
      y.push(Number.isFinite(value) ? value : null);
    }
    return { x, y };
  }
  const width = Math.ceil((total * 2) / maxPoints);
  for (let start = first; start <= last; start += width) {
    let low = -1;
    let high = -1;
    for (let step = start; step < start + width && step <= last; step++) {
      const value = column[step - 1] as number;
      if (!Number.isFinite(value)) continue;
      if (low < 0 || value < (column[low - 1] as number)) low = step;
      if (high < 0 || value > (column[high - 1] as number)) high = step;
    }
    if (low < 0) {
      x.push(start);
      y.push(null);
      continue;
    }
    for (const step of low === high ? [low] : [Math.min(low, high), Math.max(low, high)]) {
      x.push(step);
      y.push(column[step - 1] as number);
    }
  }
  return { x, y };
}
