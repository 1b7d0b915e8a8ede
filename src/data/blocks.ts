// A long text in blocks that can be turned into tokens one by one, with the same result as the whole.

/** Characters in a block, before the border is looked for. */
const BLOCK = 1 << 15;
/** Beyond this the border is put anywhere: a text without spaces must not be one block. */
const LONGEST = 1 << 18;
/**
 * Between a letter and a single space before a letter. Every word splitter in use (GPT-2's, Llama 3's, Qwen's, BERT's, a
 * sentencepiece mark) starts a new piece there, and no merge crosses pieces.
 */
const BORDER = /(?<=\p{L}) (?=\p{L})/gu;

export function* blocks(text: string, size = BLOCK): Generator<string> {
  let start = 0;
  while (text.length - start > size) {
    BORDER.lastIndex = start + size;
    const found = BORDER.exec(text)?.index ?? text.length;
    let end = found;
    if (found - start > LONGEST) {
      const line = text.lastIndexOf('\n', start + LONGEST);
      end = line > start ? line + 1 : start + LONGEST;
      // Not through the middle of a character of two units.
      if (/[\udc00-\udfff]/.test(text.charAt(end))) end++;
    }
    yield text.slice(start, end);
    start = end;
  }
  if (start < text.length) yield text.slice(start);
}
