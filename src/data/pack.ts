// Several short rows in one: best fit, longest first (Johnson 1974), so that fewer positions are padding.

/** Which items share a bin of `size`. Every length is at most `size`. Bins in the order they were opened; the same for the same lengths. */
export function pack(lengths: readonly number[], size: number): number[][] {
  const order = lengths.map((_, i) => i).sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
  const bins: number[][] = [];
  /** Bins by the room they have left; the one opened last is used first. */
  const room: number[][] = Array.from({ length: size + 1 }, () => []);
  for (const item of order) {
    const length = lengths[item] as number;
    let left = length;
    while (left <= size && (room[left] as number[]).length === 0) left++;
    let bin: number;
    if (left > size) {
      bin = bins.length;
      bins.push([]);
      left = size;
    } else {
      bin = (room[left] as number[]).pop() as number;
    }
    (bins[bin] as number[]).push(item);
    (room[left - length] as number[]).push(bin);
  }
  return bins;
}
