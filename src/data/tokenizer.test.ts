import { readFileSync } from 'node:fs';
import { Tokenizer as Algorithm } from '@huggingface/tokenizers';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ConfigError } from '../util/errors';
import { loadTokenizer } from './tokenizer';

const read = (file: string) => readFileSync(new URL(`../../public/models/tale-1m/${file}`, import.meta.url), 'utf8');
const json = JSON.parse(read('tokenizer.json'));
const config = JSON.parse(read('tokenizer_config.json'));
const tale = loadTokenizer(json, config, read('chat_template.jinja'));

describe('tale-1m', () => {
  it('gives the ids that transformers gives', () => {
    expect(tale.encode('Once upon a time there was a little fox who wanted a red kite.').slice(0, 12))
      .toEqual([1, 1090, 828, 266, 570, 423, 314, 266, 476, 1622, 532, 733]);
    expect(tale.encode('<|user|>What is the opposite of "cold"?<|assistant|>The').slice(0, 12))
      .toEqual([1, 3, 372, 303, 270, 1928, 296, 288, 1020, 327, 729, 4]);
  });

  it('knows its special tokens and the size of its vocabulary', () => {
    expect({ bos: tale.bos, eos: tale.eos, pad: tale.pad, vocabSize: tale.vocabSize, hasChat: tale.hasChat })
      .toEqual({ bos: 1, eos: 2, pad: 0, vocabSize: 4096, hasChat: true });
  });

  it('leaves the frame out when asked to, and marks special tokens in text either way', () => {
    expect(tale.encode('a', { addSpecial: false })).toEqual(tale.encode('a').slice(1));
    expect(tale.encode('<|eos|>', { addSpecial: false })).toEqual([2]);
  });

  it('decodes what it encoded, for any text', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', maxLength: 60 }), (text) => {
      expect(tale.decode(tale.encode(text, { addSpecial: false }))).toBe(text);
      expect(tale.decode(tale.encode(text), { skipSpecial: true })).toBe(text);
    }), { numRuns: 500 });
    // Line breaks, runs of spaces, a byte-order mark, a zero byte, joined emoji.
    for (const text of ['a  b\n\n\tc ', '\ufeffx', 'nul\0l', '👩‍👩‍👧 naïve 日本', ' .', " n't 's"]) {
      expect(tale.decode(tale.encode(text, { addSpecial: false }))).toBe(text);
    }
  });

  it('shows special tokens unless told to skip them', () => {
    const ids = tale.encode('Hi<|eos|>');
    expect(tale.decode(ids)).toBe('<|bos|>Hi<|eos|>');
    expect(tale.decode(ids, { skipSpecial: true })).toBe('Hi');
  });

  it('gives readable pieces that join to the text', () => {
    expect(tale.pieces(tale.encode('The fox ran.'))).toEqual(['<|bos|>', 'The', ' fox', ' ran', '.']);
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 4095 }), { maxLength: 40 }), (ids) => {
      const pieces = tale.pieces(ids);
      expect(pieces).toHaveLength(ids.length);
      expect(pieces.join('')).toBe(tale.decode(ids));
    }));
  });

  it('gives a character split over tokens to the token that completes it', () => {
    const ids = tale.encode('é😀!', { addSpecial: false });
    expect(ids.length).toBeGreaterThan(3);
    expect(tale.pieces(ids).filter((piece) => piece !== '')).toEqual(['é', '😀', '!']);
    expect(tale.pieces(ids.slice(0, 1))).toEqual(['\ufffd']);
  });

  it('never streams half a character', () => {
    fc.assert(fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 }).filter((text) => !text.includes('\ufffd')), (text) => {
      const stream = tale.stream({ skipSpecial: true });
      const parts = tale.encode(text).map((id) => stream.push(id));
      expect(parts.join('')).not.toContain('\ufffd');
      expect(parts.join('') + stream.end()).toBe(text);
    }));
    const stream = tale.stream();
    expect(tale.encode('é', { addSpecial: false }).slice(0, 1).map((id) => stream.push(id))).toEqual(['']);
    expect(stream.end()).toBe('\ufffd');
  });

  it('renders a conversation as the model was trained on it', async () => {
    const question = { role: 'user', content: 'What is a heron?' } as const;
    expect(await tale.chat([question], { addGenerationPrompt: true })).toBe('<|bos|><|user|>What is a heron?<|assistant|>');
    expect(await tale.chat([{ role: 'system', content: 'Be brief.' }, question, { role: 'assistant', content: 'A bird.' }]))
      .toBe('<|bos|><|system|>Be brief.<|user|>What is a heron?<|assistant|>A bird.<|eos|>');
  });
});

describe('chat templates', () => {
  const messages = [{ role: 'user', content: 'Hi' }] as const;
  it('are none, inline, one of several, or a file that wins', async () => {
    const none = { ...config, chat_template: undefined };
    expect(await loadTokenizer(json, none, null).chat(messages)).toBeNull();
    expect(loadTokenizer(json, none, null).hasChat).toBe(false);
    expect(await loadTokenizer(json, config, null).chat(messages)).toBe('<|bos|><|user|>Hi');
    const several = { ...config, chat_template: [{ name: 'tool_use', template: 'no' }, { name: 'default', template: '{{ eos_token }}yes' }] };
    expect(await loadTokenizer(json, several, null).chat(messages)).toBe('<|eos|>yes');
    expect(await loadTokenizer(json, config, '{{ messages[0].content }}').chat(messages)).toBe('Hi');
  });

  it('that are broken or refuse are errors with what to do', async () => {
    await expect(loadTokenizer(json, config, '{% for %}').chat(messages)).rejects.toThrow(/^chat template: cannot be rendered: /);
    await expect(loadTokenizer(json, config, "{{ raise_exception('no system role') }}").chat(messages)).rejects.toThrow('chat template: cannot be rendered: no system role');
  });
});

describe('other kinds of tokenizer', () => {
  const wordpiece = {
    added_tokens: [{ id: 0, content: '[UNK]', special: true }, { id: 1, content: '[CLS]', special: true }, { id: 2, content: '[SEP]', special: true }],
    normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true },
    pre_tokenizer: { type: 'BertPreTokenizer' },
    post_processor: { type: 'BertProcessing', cls: ['[CLS]', 1], sep: ['[SEP]', 2] },
    decoder: { type: 'WordPiece', prefix: '##', cleanup: false },
    model: { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', max_input_chars_per_word: 100, vocab: { '[UNK]': 0, '[CLS]': 1, '[SEP]': 2, fox: 3, '##es': 4, run: 5 } },
  };
  const metaspace = {
    added_tokens: [{ id: 0, content: '<unk>', special: true }, { id: 1, content: '<s>', special: true }],
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first' },
    decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }, { type: 'Strip', content: ' ', start: 1, stop: 0 }] },
    model: { type: 'BPE', byte_fallback: true, unk_token: '<unk>', vocab: { '<unk>': 0, '<s>': 1, '▁': 2, a: 3, '▁a': 4, '<0xC3>': 5, '<0xA9>': 6, '<0xE2>': 7 }, merges: ['▁ a'] },
  };

  it('WordPiece: frame, pieces and stream', () => {
    const bert = loadTokenizer(wordpiece, { cls_token: '[CLS]', sep_token: '[SEP]' }, null);
    expect(bert.encode('Foxes run')).toEqual([1, 3, 4, 5, 2]);
    expect(bert.pieces([3, 4, 5])).toEqual(['fox', 'es', ' run']);
    expect(bert.decode([1, 3, 4, 5, 2], { skipSpecial: true })).toBe('foxes run');
    expect({ bos: bert.bos, eos: bert.eos, pad: bert.pad }).toEqual({ bos: null, eos: null, pad: 0 });
  });

  it('Metaspace with byte fallback: no half characters, the first space goes', () => {
    const llama = loadTokenizer(metaspace, { bos_token: { content: '<s>' } }, null);
    const ids = llama.encode('a é a', { addSpecial: false });
    expect(ids).toEqual([4, 2, 5, 6, 4]);
    expect(llama.bos).toBe(1);
    expect(llama.pieces(ids)).toEqual(['a', ' ', '', 'é', ' a']);
    expect(llama.pieces([4, 5])).toEqual(['a', '\ufffd']);
    // An id beyond the vocabulary (a padded embedding has such rows) shows nothing, and what follows is not a beginning.
    expect(llama.pieces([4, 99, 4])).toEqual(['a', '', ' a']);
  });

  it('streams to what decoding the whole gives', () => {
    for (const [source, size] of [[wordpiece, 6], [metaspace, 7]] as const) {
      const algorithm = new Algorithm({ normalizer: null, post_processor: null, ...source }, {});
      const tokenizer = loadTokenizer(source, null, null);
      fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: size - 1 }), { minLength: 1, maxLength: 12 }), (ids) => {
        expect(tokenizer.decode(ids)).toBe(algorithm.decode(ids, { clean_up_tokenization_spaces: false }));
      }));
    }
  });
});

describe('bad tokenizer files', () => {
  it.each([
    [null, null, 'tokenizer.json: not a tokenizer: there is no "model" in it'],
    [{ model: 3 }, null, 'tokenizer.json: not a tokenizer: there is no "model" in it'],
    [{ model: { type: 'BPE', vocab: {}, merges: [] }, pre_tokenizer: { type: 'Nonsense' } }, {}, 'tokenizer.json: cannot be used: Unknown PreTokenizer type: Nonsense'],
    [{ model: {}, added_tokens: [{ id: 'x' }] }, {}, 'tokenizer.json: "added_tokens" is not a list of tokens with "id" and "content"'],
    [json, 'text', 'tokenizer_config.json: wanted an object'],
  ])('are refused (%#)', (tokenizerJson, tokenizerConfig, message) => {
    const load = () => loadTokenizer(tokenizerJson, tokenizerConfig, null);
    expect(load).toThrow(message);
    expect(load).toThrow(ConfigError);
  });

  it('a text that the vocabulary cannot say is an error, not an undefined id', () => {
    const bare = loadTokenizer({ model: { type: 'WordPiece', vocab: { a: 0 }, max_input_chars_per_word: 9 }, pre_tokenizer: { type: 'Whitespace' } }, null, null);
    expect(bare.encode('a a')).toEqual([0, 0]);
    expect(() => bare.encode('a b')).toThrow('tokenizer.json: no token for a part of the text: token 1 of "a b"');
  });
});
