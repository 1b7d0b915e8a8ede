// Rows and texts as tokens, with the places that carry loss. Nothing here depends on the row length, the split or the seed, so
// that turning those keeps the tokens.
import { ConfigError, DataError } from '../util/errors';
import { pacer, type Watch } from '../util/pace';
import { blocks } from './blocks';
import type { ChatMessage, DataRow } from './rows';
import type { Tokenizer } from './tokenizer';

/** Loss at the tokens [from, to) of each pair; ascending. */
export type Spans = readonly (readonly [from: number, to: number])[];
export interface EncodedRow { place: string; ids: Uint32Array; spans: Spans }

export async function encodeText(text: string, { bos, eos, encode }: Tokenizer, watch: Watch = {}): Promise<Uint32Array> {
  const step = pacer(watch);
  const parts: number[][] = bos === null ? [] : [[bos]];
  let done = 0;
  for (const block of blocks(text)) {
    parts.push(encode(block, { addSpecial: false }));
    done += block.length;
    await step(done, text.length);
  }
  if (eos !== null) parts.push([eos]);
  const ids = new Uint32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    ids.set(part, at);
    at += part.length;
  }
  return ids;
}

export async function encodeRows(name: string, rows: readonly DataRow[], tokenizer: Tokenizer, watch: Watch = {}): Promise<EncodedRow[]> {
  const step = pacer(watch);
  const encoded: EncodedRow[] = [];
  for (const row of rows) {
    try {
      const { ids, spans } = await encodeRow(row, tokenizer);
      encoded.push({ place: row.place, ids: Uint32Array.from(ids), spans });
    } catch (error) {
      // The template or the vocabulary failed on this row: say on which.
      if (error instanceof ConfigError) throw new DataError(`${name}: ${row.place}: ${error.message}`, error.hint);
      throw error;
    }
    await step(encoded.length, rows.length);
  }
  return encoded;
}

async function encodeRow(row: DataRow, tokenizer: Tokenizer): Promise<{ ids: number[]; spans: Spans }> {
  switch (row.kind) {
    case 'text': {
      const { bos, eos } = tokenizer;
      const ids = [...(bos === null ? [] : [bos]), ...tokenizer.encode(row.text, { addSpecial: false }), ...(eos === null ? [] : [eos])];
      return { ids, spans: [[0, ids.length]] };
    }
    case 'pair': return encodePair(row.prompt, row.completion, row.system, tokenizer);
    // A decoder learns to name the class.
    case 'label': return encodePair(row.second === undefined ? row.text : `${row.text}\n${row.second}`, row.label, undefined, tokenizer, '\n');
    case 'chat': return encodeChat(row.messages, tokenizer);
  }
}

async function encodePair(prompt: string, completion: string, system: string | undefined, tokenizer: Tokenizer, glue = ''): Promise<{ ids: number[]; spans: Spans }> {
  const asked: ChatMessage[] = [...(system === undefined ? [] : [{ role: 'system', content: system } as const]), { role: 'user', content: prompt }];
  if (tokenizer.hasChat) return encodeChat([...asked, { role: 'assistant', content: completion }], tokenizer);
  const { bos, eos } = tokenizer;
  const encode = (text: string) => tokenizer.encode(text, { addSpecial: false });
  const start = [...(bos === null ? [] : [bos]), ...encode(`${system === undefined ? '' : `${system}\n`}${prompt}${glue}`)];
  const ids = [...start, ...encode(completion), ...(eos === null ? [] : [eos])];
  return { ids, spans: [[start.length, ids.length]] };
}

/**
 * Loss on what the assistant says, from the first token that the model itself would write to the token that ends its turn. What
 * comes before each turn is rendered as it is at inference, and must be how the whole conversation begins.
 */
async function encodeChat(messages: readonly ChatMessage[], tokenizer: Tokenizer): Promise<{ ids: number[]; spans: Spans }> {
  const { eos } = tokenizer;
  const encode = (text: string) => tokenizer.encode(text, { addSpecial: false });
  const write = async (part: readonly ChatMessage[], addGenerationPrompt = false) => {
    const text = await tokenizer.chat(part, { addGenerationPrompt });
    if (text === null) throw new ConfigError('conversations need a chat template, and this model has none', 'Choose a model made for chat, or columns with a prompt and a completion.');
    return text;
  };
  const render = async (part: readonly ChatMessage[], addGenerationPrompt = false) => encode(await write(part, addGenerationPrompt));
  const turns = messages.flatMap(({ role }, i) => (role === 'assistant' ? [i] : []));
  const last = turns.at(-1) as number;
  const said = messages.slice(0, last + 1);
  const answer = (said[last] as ChatMessage).content;
  const opening = await write(said.slice(0, -1), true), whole = await write(said);
  const head = encode(opening);
  // Byte tokens say the same alone as in the whole: what is known need not be encoded again.
  let ids = tokenizer.bytes && whole.startsWith(opening) ? [...head, ...encode(whole.slice(opening.length))] : encode(whole);
  const begins = (start: readonly number[]) => start.every((id, i) => ids[i] === id);
  // A template may render a finished answer unlike an open one, and a merge may cross the border; then the answer is appended.
  if (!begins(head)) ids = [...head, ...encode(answer)];
  // What a template writes after the closing token (a line break) is not for the model to say.
  const closing = eos === null ? -1 : ids.lastIndexOf(eos);
  if (closing >= head.length) ids.length = closing + 1;
  else if (eos !== null) ids.push(eos);

  const spans: [number, number][] = [];
  for (const turn of turns.slice(0, -1)) {
    const start = await render(messages.slice(0, turn), true), through = await render(messages.slice(0, turn + 1));
    // Some templates drop earlier thoughts or markers as the talk goes on: such a turn is only read.
    if (!begins(start) || !begins(through) || through.length <= start.length) continue;
    const end = eos === null ? -1 : through.lastIndexOf(eos);
    spans.push([start.length, end >= start.length ? end + 1 : through.length]);
  }
  spans.push([head.length, ids.length]);
  return { ids, spans };
}

/** The spans within the first `length` tokens, without a row's first token, which is never predicted. */
export function cutSpans(spans: Spans, length: number): Spans {
  return spans.map(([from, to]) => [Math.max(from, 1), Math.min(to, length)] as const).filter(([from, to]) => to > from);
}
export const spanTokens = (spans: Spans): number => spans.reduce((sum, [from, to]) => sum + to - from, 0);
