// The tokenizer inside a GGUF file as the tokenizer.json and tokenizer_config.json it was made from.
import { bad, show } from './fail';
import type { Metadata } from './gguf';

const BESIDE = "put the model's tokenizer.json beside the .gguf file and choose both";
/** How text is split before merging, by the name that llama.cpp has for it. Patterns as the models' own tokenizer.json files state them. */
const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';
const byPattern = (pattern: string) => ({
  type: 'Sequence',
  pretokenizers: [{ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false }, { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }],
});
const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
const llama3 = byPattern(`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}${REST}`);
const SPLITS: Readonly<Record<string, object>> = {
  default: bytes,
  'gpt-2': bytes,
  smollm: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, bytes] },
  'llama-bpe': llama3,
  qwen2: byPattern(`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${REST}`),
};
/** Token kinds of llama.cpp that are not cut up: control tokens, and those that a user added. */
const UNKNOWN = 2, CONTROL = 3, ADDED = 4, BYTE = 6;

export function ggufTokenizer(metadata: Metadata, where: string): { tokenizer: object; config: object } {
  const model = metadata['tokenizer.ggml.model'];
  const tokens = metadata['tokenizer.ggml.tokens'];
  if (!Array.isArray(tokens) || !tokens.every((token) => typeof token === 'string')) throw bad(where, 'there is no tokenizer in it: tokenizer.ggml.tokens must be a list of strings', show(Array.isArray(tokens) ? 'other values in the list' : (tokens ?? null)), BESIDE);
  const kinds = Array.isArray(metadata['tokenizer.ggml.token_type']) ? (metadata['tokenizer.ggml.token_type'] as number[]) : [];
  const special = (key: string): string | undefined => {
    const id = metadata[`tokenizer.ggml.${key}_token_id`];
    return typeof id === 'number' || typeof id === 'bigint' ? (tokens[Number(id)] as string | undefined) : undefined;
  };
  const bos = special('bos'), eos = special('eos'), unknown = special('unknown'), pad = special('padding');
  const config = { ...(bos === undefined ? {} : { bos_token: bos }), ...(eos === undefined ? {} : { eos_token: eos }), ...(unknown === undefined ? {} : { unk_token: unknown }), ...(pad === undefined ? {} : { pad_token: pad }) };
  const added = (tokens as string[]).flatMap((content, id) => (kinds[id] === CONTROL || kinds[id] === ADDED || (kinds[id] === UNKNOWN && content === unknown)
    ? [{ id, content, special: kinds[id] !== ADDED, single_word: false, lstrip: false, rstrip: false, normalized: false }] : []));
  const vocab = Object.fromEntries((tokens as string[]).map((token, id) => [token, id]));
  const begins = metadata['tokenizer.ggml.add_bos_token'] ?? model === 'llama';
  const framed = begins && bos !== undefined
    ? { type: 'TemplateProcessing', single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }], pair: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }], special_tokens: { [bos]: { id: bos, ids: [vocab[bos]], tokens: [bos] } } }
    : null;
  const common = { version: '1.0', truncation: null, padding: null, added_tokens: added, post_processor: framed };

  if (model === 'gpt2') {
    const pre = metadata['tokenizer.ggml.pre'] ?? 'default';
    const split = SPLITS[String(pre)];
    if (!split) throw bad(where, 'tokenizer.ggml.pre names a way to split text that is not known here', show(pre), BESIDE);
    const merges = metadata['tokenizer.ggml.merges'];
    if (!Array.isArray(merges) || !merges.every((merge) => typeof merge === 'string')) throw bad(where, 'tokenizer.ggml.merges must be a list of strings', show(merges === undefined ? null : 'other values in the list'), BESIDE);
    return {
      tokenizer: { ...common, normalizer: null, pre_tokenizer: split, decoder: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true }, model: { type: 'BPE', vocab, merges, fuse_unk: false, byte_fallback: false, ignore_merges: split === llama3 } },
      config,
    };
  }
  if (model === 'llama') {
    const scores = metadata['tokenizer.ggml.scores'];
    if (!Array.isArray(scores) || scores.length !== tokens.length) throw bad(where, 'tokenizer.ggml.scores must have one score for each token', show(Array.isArray(scores) ? `${scores.length} scores for ${tokens.length} tokens` : null), BESIDE);
    const prefix = metadata['tokenizer.ggml.add_space_prefix'] !== false;
    const space = { type: 'Replace', pattern: { String: ' ' }, content: '▁' };
    return {
      tokenizer: {
        ...common,
        normalizer: { type: 'Sequence', normalizers: prefix ? [{ type: 'Prepend', prepend: '▁' }, space] : [space] },
        pre_tokenizer: null,
        decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'ByteFallback' }, { type: 'Fuse' }, ...(prefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : [])] },
        model: { type: 'BPE', vocab, merges: mergesOf(tokens as string[], scores as number[], kinds), fuse_unk: true, byte_fallback: true, unk_token: unknown ?? null },
      },
      config,
    };
  }
  throw bad(where, 'tokenizer.ggml.model is not one that is read here', show(model ?? null), BESIDE);
}

/** A sentencepiece vocabulary keeps a score for each piece in place of merges: the better the score of a joined piece, the earlier it is joined. */
function mergesOf(tokens: readonly string[], scores: readonly number[], kinds: readonly number[]): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const merges: { left: string; right: string; score: number; ids: [number, number] }[] = [];
  tokens.forEach((token, id) => {
    if (kinds[id] === CONTROL || kinds[id] === BYTE || kinds[id] === UNKNOWN) return;
    const characters = [...token];
    for (let cut = 1; cut < characters.length; cut++) {
      const left = characters.slice(0, cut).join(''), right = characters.slice(cut).join('');
      const [a, b] = [ids.get(left), ids.get(right)];
      if (a !== undefined && b !== undefined) merges.push({ left, right, score: scores[id] as number, ids: [a, b] });
    }
  });
  return merges.sort((a, b) => b.score - a.score || a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]).map(({ left, right }) => [left, right]);
}
