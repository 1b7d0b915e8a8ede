// A tokenizer for the tiny models: one token a letter, so that a test can say what a text is in ids.
import type { Tokenizer } from '../../data/tokenizer';

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

export function letters(eos: number | null = null): Tokenizer {
  const show = (id: number) => (id === eos ? '' : (ALPHABET[id] ?? '?'));
  return {
    vocabSize: 64, bos: null, eos, pad: 0, mask: null, hasChat: false,
    encode: (text) => [...text].map((letter) => ALPHABET.indexOf(letter)),
    decode: (ids) => ids.map(show).join(''),
    pieces: (ids) => ids.map(show),
    stream: () => ({ push: show, end: () => '' }),
    frame: (first, second) => {
      const ids = [...first, ...(second ?? [])];
      return { ids, types: ids.map((_, i) => Number(i >= first.length)), special: ids.map(() => false) };
    },
    chat: async () => null,
  };
}
