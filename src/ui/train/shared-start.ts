// How far two texts agree from their beginning, in whole words: what training left as it was.

/** Splits `now` where it first differs from `before`, at a word's beginning. */
export function sharedStart(before: string, now: string): [same: string, changed: string] {
  if (before === now) return [now, ''];
  const words = (text: string) => text.match(/\s*\S+/g) ?? [];
  const [a, b] = [words(before), words(now)];
  let n = 0;
  while (n < a.length && n < b.length && a[n] === b[n]) n++;
  const same = b.slice(0, n).join('');
  return [same, now.slice(same.length)];
}
