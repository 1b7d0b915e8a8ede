// A model's own tokenizer: text to ids and back, special tokens, chat template. The algorithm is @huggingface/tokenizers;
// this file adds what training and a preview need: the text of single tokens, and decoding that never shows half a character.
import type { Template } from '@huggingface/jinja';
import { Tokenizer as Algorithm } from '@huggingface/tokenizers';
import { ConfigError } from '../util/errors';
import type { ChatMessage } from './rows';

/** Text that becomes final as tokens arrive. */
export interface TextStream {
  /** What this token lets be shown; '' while a character is still incomplete. */
  push(id: number): string;
  /** What an unfinished last character decodes to: '' or one U+FFFD. */
  end(): string;
}

export interface Framed { ids: number[]; types: number[]; special: boolean[] }

export interface Tokenizer {
  /** One more than the largest id: the model's embedding needs at least so many rows. */
  readonly vocabSize: number;
  readonly bos: number | null;
  readonly eos: number | null;
  /** For positions that carry no loss; where the model names no pad token, any id does. */
  readonly pad: number;
  /** The token that stands for a hidden one. */
  readonly mask: number | null;
  readonly hasChat: boolean;
  /** Byte-level: tokens are pieces of the text's bytes, without marks for where a text begins. */
  readonly bytes?: boolean;
  /** `addSpecial` (default true) frames the text as the model's post-processor does, e.g. with bos in front. */
  encode(text: string, options?: { addSpecial?: boolean }): number[];
  /** One text or two, as ids, with the special tokens around them that the model's post-processor adds; `types`: 1 for what belongs to the second. */
  frame(first: readonly number[], second: readonly number[] | null): Framed;
  /** The literal text, spaces never "cleaned up". `skipSpecial` defaults to false. */
  decode(ids: readonly number[], options?: { skipSpecial?: boolean }): string;
  /** The text of each token. Of a character split over tokens the last one has it, the others ''; joined, they are `decode(ids)`. */
  pieces(ids: readonly number[]): string[];
  stream(options?: { skipSpecial?: boolean }): TextStream;
  /** The conversation as the model was taught to read it, special tokens spelled out (encode it with addSpecial false); null without a template. */
  chat(messages: readonly ChatMessage[], options?: { addGenerationPrompt?: boolean }): Promise<string | null>;
}

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * @param tokenizerJson parsed tokenizer.json
 * @param tokenizerConfig parsed tokenizer_config.json; null where the model has none
 * @param chatTemplate text of chat_template.jinja, which wins over a template inside tokenizer_config.json
 */
export function loadTokenizer(tokenizerJson: unknown, tokenizerConfig: unknown, chatTemplate: string | null): Tokenizer {
  if (!isObject(tokenizerJson) || !isObject(tokenizerJson.model)) {
    throw new ConfigError('tokenizer.json: not a tokenizer: there is no "model" in it', 'Take tokenizer.json from the folder of the model.');
  }
  const config = tokenizerConfig ?? {};
  if (!isObject(config)) throw new ConfigError('tokenizer_config.json: wanted an object', 'Take tokenizer_config.json from the folder of the model.');
  // The algorithm wants these keys to be there; a file that leaves one out means null.
  const json = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, ...tokenizerJson, added_tokens: addedTokens(tokenizerJson) };
  let algorithm: Algorithm;
  try {
    algorithm = new Algorithm(json, config);
  } catch (error) {
    throw new ConfigError(`tokenizer.json: cannot be used: ${(error as Error).message}`, 'Use a model with a BPE, WordPiece or Unigram tokenizer in tokenizer.json.');
  }

  const special = new Set(json.added_tokens.filter((token) => token.special).map((token) => token.id));
  const strings = specialStrings(config);
  const idOf = (key: string): number | null => {
    const content = strings[key];
    return content === undefined ? null : (algorithm.token_to_id(content) ?? null);
  };
  const bos = idOf('bos_token'), eos = idOf('eos_token');
  let largest = 0;
  for (const id of algorithm.get_vocab().values()) largest = Math.max(largest, id);

  const startStream = usesBytes(json.decoder) ? byteStream(algorithm) : windowStream(algorithm);
  const stream = ({ skipSpecial = false } = {}): TextStream => {
    const inner = startStream();
    return { push: (id) => (skipSpecial && special.has(id) ? '' : inner.push(id)), end: inner.end };
  };
  const template = chatTemplate ?? inlineTemplate(config);
  let parsed: Template | undefined;
  const frames: FramePart[][] = [];

  return {
    vocabSize: largest + 1,
    bos,
    eos,
    pad: idOf('pad_token') ?? eos ?? bos ?? 0,
    mask: idOf('mask_token'),
    hasChat: template !== null,
    bytes: usesBytes(json.decoder),
    encode(text, { addSpecial = true } = {}) {
      const ids: (number | undefined)[] = algorithm.encode(text, { add_special_tokens: addSpecial }).ids;
      const missing = ids.indexOf(undefined);
      if (missing >= 0) {
        throw new ConfigError(`tokenizer.json: no token for a part of the text: token ${missing} of ${JSON.stringify(text.slice(0, 40))}`, 'The vocabulary has no unknown token; use a model whose tokenizer covers this text.');
      }
      return ids as number[];
    },
    frame(first, second) {
      const frame = (frames[second ? 1 : 0] ??= frameOf(algorithm, second !== null));
      const parts = frame.flatMap((part) => {
        const ids = 'text' in part ? (part.text === 0 ? first : (second as readonly number[])) : [part.id];
        return ids.map((id) => ({ id, type: part.type, special: !('text' in part) }));
      });
      return { ids: parts.map((p) => p.id), types: parts.map((p) => p.type), special: parts.map((p) => p.special) };
    },
    decode(ids, options) {
      const out = stream(options);
      return ids.map(out.push).join('') + out.end();
    },
    pieces(ids) {
      const out = stream();
      const pieces = ids.map(out.push);
      if (pieces.length > 0) pieces[pieces.length - 1] += out.end();
      return pieces;
    },
    stream,
    async chat(messages, { addGenerationPrompt = false } = {}) {
      if (template === null) return null;
      // Plain text never needs the reader of templates: it is fetched with the first conversation.
      const { Template: Reader } = await import('@huggingface/jinja');
      try {
        parsed ??= new Reader(template);
        return parsed.render({ ...strings, tools: null, documents: null, messages, add_generation_prompt: addGenerationPrompt });
      } catch (error) {
        throw new ConfigError(`chat template: cannot be rendered: ${(error as Error).message}`, 'Correct chat_template.jinja, or remove it (and "chat_template" in tokenizer_config.json) to join prompt and completion as they stand.');
      }
    },
  };
}

type FramePart = { id: number; type: number } | { text: 0 | 1; type: number };

/** What the post-processor puts around one text or two, learned from how it frames two letters. */
function frameOf(algorithm: Algorithm, pair: boolean): FramePart[] {
  const bare = ['a', 'b'].map((text) => algorithm.encode(text, { add_special_tokens: false }).ids);
  const { ids, token_type_ids: types } = algorithm.encode('a', { text_pair: pair ? 'b' : null, add_special_tokens: true, return_token_type_ids: true });
  const parts: FramePart[] = [];
  let text: 0 | 1 | 2 = 0;
  for (let at = 0; at < ids.length;) {
    const type = types?.[at] ?? 0;
    const inner = text < (pair ? 2 : 1) ? (bare[text] as number[]) : [];
    if (inner.length > 0 && inner.every((id, i) => ids[at + i] === id)) {
      parts.push({ text: text as 0 | 1, type });
      text++;
      at += inner.length;
    } else parts.push({ id: ids[at++] as number, type });
  }
  if (text !== (pair ? 2 : 1)) throw new ConfigError(`tokenizer.json: it cannot be seen how ${pair ? 'two texts are' : 'a text is'} framed`, 'Use a model whose tokenizer keeps texts as they are between its special tokens.');
  return parts;
}

function addedTokens(json: Json): { id: number; content: string; special: boolean }[] {
  const list = json.added_tokens ?? [];
  if (!Array.isArray(list) || !list.every((t) => isObject(t) && typeof t.id === 'number' && typeof t.content === 'string')) {
    throw new ConfigError('tokenizer.json: "added_tokens" is not a list of tokens with "id" and "content"', 'Take tokenizer.json from the folder of the model.');
  }
  return list;
}

/** 'bos_token' → '<s>' and so on; a value may be a string or an object with the string in `content`. */
function specialStrings(config: Json): Record<string, string> {
  const strings: Record<string, string> = {};
  for (const [key, value] of Object.entries(config)) {
    if (!key.endsWith('_token')) continue;
    const content = isObject(value) ? value.content : value;
    if (typeof content === 'string') strings[key] = content;
  }
  return strings;
}

/** `chat_template` is a string, or a list of named ones of which 'default' is meant. */
function inlineTemplate(config: Json): string | null {
  const value = config.chat_template;
  if (typeof value === 'string') return value;
  if (!Array.isArray(value)) return null;
  const found: unknown = value.find((entry) => isObject(entry) && entry.name === 'default') ?? value[0];
  return isObject(found) && typeof found.template === 'string' ? found.template : null;
}

function usesBytes(decoder: unknown): boolean {
  if (!isObject(decoder)) return false;
  return decoder.type === 'ByteLevel' || (Array.isArray(decoder.decoders) && decoder.decoders.some(usesBytes));
}

/** GPT-2's alphabet: printable Latin-1 stands for itself, the other bytes for the characters from U+0100 on. */
function byteAlphabet(): Map<string, number> {
  const bytes = new Map<string, number>();
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte !== 0xad);
    bytes.set(String.fromCharCode(printable ? byte : next++), byte);
  }
  return bytes;
}

/** Byte-level BPE: a token is bytes, and TextDecoder holds back the bytes of a character that is not complete. */
function byteStream(algorithm: Algorithm): () => TextStream {
  const alphabet = byteAlphabet();
  const encoder = new TextEncoder();
  const known = new Map<number, Uint8Array>();
  const bytesOf = (id: number): Uint8Array => {
    let bytes = known.get(id);
    if (!bytes) {
      // A model may have more embedding rows than tokens; such an id has no text.
      const token = algorithm.id_to_token(id) ?? '';
      const codes = [...token].map((character) => alphabet.get(character));
      // An added token may hold characters outside the alphabet: then it is plain text.
      bytes = codes.includes(undefined) ? encoder.encode(token) : Uint8Array.from(codes as number[]);
      known.set(id, bytes);
    }
    return bytes;
  };
  return () => {
    // A byte-order mark inside the text is a character like any other.
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    return { push: (id) => decoder.decode(bytesOf(id), { stream: true }), end: () => decoder.decode() };
  };
}

/** Other decoders work on whole sequences, so new text is what a token adds after the tokens before it. */
function windowStream(algorithm: Algorithm): () => TextStream {
  const decode = (ids: number[]) => {
    const known = ids.filter((id) => algorithm.id_to_token(id) !== undefined);
    return known.length === 0 ? '' : algorithm.decode(known, { clean_up_tokenization_spaces: false });
  };
  return () => {
    let context: number[] = [];
    let waiting: number[] = [];
    const flush = (): string => {
      const fresh = decode([...context, ...waiting]).slice(decode(context).length);
      // The last tokens that showed text are context enough; those that showed none may still matter (a leading space).
      context = fresh === '' ? [...context, ...waiting] : waiting;
      waiting = [];
      return fresh;
    };
    return {
      push(id) {
        waiting.push(id);
        return decode([...context, ...waiting]).endsWith('\ufffd') ? '' : flush();
      },
      end: () => (waiting.length === 0 ? '' : flush()),
    };
  };
}
