// Which tokens of a text are not in another: all outside a longest common subsequence.

/** For each token of `now` whether `before` has it too, in order. */
export function sharedTokens(before: readonly string[], now: readonly string[]): boolean[] {
  const [n, m] = [before.length, now.length];
  // length[i][j]: longest common subsequence of what follows i in `before` and j in `now`.
  const length = Array.from({ length: n + 1 }, () => new Uint16Array(m + 1));
  for (let i = n - 1; i >= 0; i--) {
    for (let j = m - 1; j >= 0; j--) {
      const [here, down] = [length[i] as Uint16Array, length[i + 1] as Uint16Array];
      here[j] = before[i] === now[j] ? (down[j + 1] as number) + 1 : Math.max(down[j] as number, here[j + 1] as number);
    }
  }
  const shared = new Array<boolean>(m).fill(false);
  for (let i = 0, j = 0; i < n && j < m; ) {
    if (before[i] === now[j]) {
      shared[j] = true;
      i++;
      j++;
    } else if (((length[i + 1] as Uint16Array)[j] as number) >= ((length[i] as Uint16Array)[j + 1] as number)) i++;
    else j++;
  }
  return shared;
}
