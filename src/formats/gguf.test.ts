// GGUF files written here, bit by bit as the format says, from a model that ships: they must read back as that model.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { dequantise } from '../util/packed';
import { loadTokenizer } from '../data/tokenizer';
import { f32ToBf16, f32ToF16 } from '../util/float16';
import { CheckpointError } from '../util/errors';
import { type HfFolder, openHfFolder } from './hf-folder';
import { bytesSource } from './safetensors';

const MODEL = join(import.meta.dirname, '../../public/models/tale-1m');
const read = (name: string) => new Uint8Array(readFileSync(join(MODEL, name)));
const NAMES = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'model.safetensors'];

// ---- a writer, from the format's description ----

type Value = string | number | boolean | { u64: number } | { f32: number } | string[] | { f32s: number[] } | { i32s: number[] };
interface Tensor { name: string; shape: number[]; values: Float32Array }
const KINDS = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 8, BF16: 30 } as const;
type Kind = keyof typeof KINDS;

class Writer {
  private readonly parts: Uint8Array[] = [];
  length = 0;
  bytes(part: Uint8Array): this {
    this.parts.push(part);
    this.length += part.length;
    return this;
  }
  number(size: 1 | 4 | 8, value: number, float = false): this {
    const view = new DataView(new ArrayBuffer(size));
    if (float) view.setFloat32(0, value, true);
    else if (size === 8) view.setBigUint64(0, BigInt(value), true);
    else if (size === 4) view.setUint32(0, value, true);
    else view.setUint8(0, value);
    return this.bytes(new Uint8Array(view.buffer));
  }
  text(value: string): this {
    const bytes = new TextEncoder().encode(value);
    return this.number(8, bytes.length).bytes(bytes);
  }
  value(value: Value): this {
    if (typeof value === 'string') return this.number(4, 8).text(value);
    if (typeof value === 'boolean') return this.number(4, 7).number(1, Number(value));
    if (typeof value === 'number') return this.number(4, 4).number(4, value);
    if (Array.isArray(value)) {
      this.number(4, 9).number(4, 8).number(8, value.length);
      for (const one of value) this.text(one);
      return this;
    }
    if ('u64' in value) return this.number(4, 10).number(8, value.u64);
    if ('f32' in value) return this.number(4, 6).number(4, value.f32, true);
    const [list, type] = 'f32s' in value ? [value.f32s, 6] : [value.i32s, 5];
    this.number(4, 9).number(4, type).number(8, list.length);
    for (const one of list) this.number(4, one >>> 0 === one || type === 6 ? one : one >>> 0, type === 6);
    return this;
  }
  align(to: number): this {
    return this.bytes(new Uint8Array((to - (this.length % to)) % to));
  }
  all(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

/** Blocks of 32 with the scale that makes the largest value fit, as the reference quantises. */
function pack(values: Float32Array, kind: Kind): Uint8Array {
  if (kind === 'F32') return new Uint8Array(values.slice().buffer);
  if (kind === 'F16') return new Uint8Array(f32ToF16(values).buffer);
  if (kind === 'BF16') return new Uint8Array(f32ToBf16(values).buffer);
  const w = new Writer();
  for (let b = 0; b < values.length; b += 32) {
    const block = values.subarray(b, b + 32);
    const largest = block.reduce((a, x) => (Math.abs(x) > Math.abs(a) ? x : a), 0);
    const d = kind === 'Q8_0' ? Math.abs(largest) / 127 : largest / -8;
    w.bytes(new Uint8Array(f32ToF16(Float32Array.of(d)).buffer));
    const q = (x: number | undefined) => (d === 0 ? 0 : Math.round((x as number) / d));
    if (kind === 'Q8_0') w.bytes(Uint8Array.from(block, (x) => q(x) & 255));
    else w.bytes(Uint8Array.from({ length: 16 }, (_, i) => Math.min(15, q(block[i]) + 8) | (Math.min(15, q(block[i + 16]) + 8) << 4)));
  }
  return w.all();
}

function write(metadata: Record<string, Value>, tensors: readonly Tensor[], kindOf: (tensor: Tensor) => Kind | number): Uint8Array<ArrayBuffer> {
  const head = new Writer().bytes(new TextEncoder().encode('GGUF')).number(4, 3).number(8, tensors.length).number(8, Object.keys(metadata).length);
  for (const [key, value] of Object.entries(metadata)) head.text(key).value(value);
  const data = new Writer();
  for (const tensor of tensors) {
    const kind = kindOf(tensor);
    head.text(tensor.name).number(4, tensor.shape.length);
    for (const size of [...tensor.shape].reverse()) head.number(8, size);
    head.number(4, typeof kind === 'number' ? kind : KINDS[kind]).number(8, data.length);
    data.bytes(typeof kind === 'number' ? new Uint8Array(4) : pack(tensor.values, kind)).align(32);
  }
  return head.align(32).bytes(data.all()).all();
}

// ---- the model as llama.cpp would have it ----

let own: HfFolder;
let tensors: Tensor[];
let metadata: Record<string, Value>;
const PARTS: Record<string, string> = {
  input_layernorm: 'attn_norm', 'self_attn.q_proj': 'attn_q', 'self_attn.k_proj': 'attn_k', 'self_attn.v_proj': 'attn_v', 'self_attn.o_proj': 'attn_output',
  post_attention_layernorm: 'ffn_norm', 'mlp.gate_proj': 'ffn_gate', 'mlp.up_proj': 'ffn_up', 'mlp.down_proj': 'ffn_down',
};
const ggufName = (name: string) => {
  const [, layer, part] = /^model\.layers\.(\d+)\.(.+)\.weight$/.exec(name) ?? [];
  return part ? `blk.${layer}.${PARTS[part]}.weight` : { 'model.embed_tokens.weight': 'token_embd.weight', 'model.norm.weight': 'output_norm.weight' }[name] as string;
};
/** The two halves of each head, row by row one of each: what converting to GGUF does to q and k. */
const interleave = (values: Float32Array, heads: number, [rows, columns]: [number, number]) => {
  const size = rows / heads, out = new Float32Array(values.length);
  for (let h = 0; h < heads; h++) for (let i = 0; i < size / 2; i++) for (const half of [0, 1]) out.set(values.subarray((h * size + half * (size / 2) + i) * columns, (h * size + half * (size / 2) + i + 1) * columns), (h * size + 2 * i + half) * columns);
  return out;
};

beforeAll(async () => {
  own = await openHfFolder(new Map(NAMES.map((name) => [name, bytesSource(name, read(name))])));
  tensors = [];
  for (const { name, shape } of own.weights.entries) {
    const values = await own.weights.f32(name);
    const heads = /q_proj/.test(name) ? 4 : /k_proj/.test(name) ? 2 : 0;
    tensors.push({ name: ggufName(name), shape: [...shape], values: heads > 0 ? interleave(values, heads, shape as [number, number]) : values });
  }
  const { model, added_tokens: added } = own.tokenizer as { model: { vocab: Record<string, number>; merges: (string | [string, string])[] }; added_tokens: { id: number }[] };
  const tokens = Object.entries(model.vocab).sort((a, b) => a[1] - b[1]).map(([token]) => token);
  const special = new Set(added.map(({ id }) => id));
  metadata = {
    'general.architecture': 'llama', 'llama.block_count': 6, 'llama.embedding_length': 128, 'llama.feed_forward_length': 344, 'llama.context_length': 512, 'llama.attention.head_count': 4, 'llama.attention.head_count_kv': 2,
    'llama.attention.key_length': 32, 'llama.attention.layer_norm_rms_epsilon': { f32: 1e-5 }, 'llama.rope.freq_base': { f32: 10000 },
    'tokenizer.ggml.model': 'gpt2', 'tokenizer.ggml.pre': 'gpt-2', 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.token_type': { i32s: tokens.map((_, id) => (special.has(id) ? 3 : 1)) },
    'tokenizer.ggml.merges': model.merges.map((merge) => (typeof merge === 'string' ? merge : merge.join(' '))),
    'tokenizer.ggml.bos_token_id': 1, 'tokenizer.ggml.eos_token_id': 2, 'tokenizer.ggml.padding_token_id': 0, 'tokenizer.ggml.add_bos_token': true,
    'tokenizer.chat_template': own.chatTemplate as string,
  };
});

const open = (bytes: Uint8Array<ArrayBuffer>, beside: Record<string, Uint8Array> = {}) =>
  openHfFolder(new Map([['tale.gguf', bytesSource('tale.gguf', bytes)], ...Object.entries(beside).map(([name, content]) => [name, bytesSource(name, content)] as const)]));
const wide = (name: string) => (tensor: Tensor): Kind => (tensor.shape.length === 1 || (tensor.shape[1] as number) % 32 !== 0 ? 'F32' : (name as Kind));

describe.each<[Kind, number]>([['F32', 0], ['F16', 0], ['BF16', 2 ** -8], ['Q8_0', 1 / 254 + 2 ** -11], ['Q4_0', 1 / 8 + 2 ** -11]])('%s', (kind, bound) => {
  it('reads back as the model, in the order of the checkpoint', async () => {
    const folder = await open(write(metadata, tensors, wide(kind)));
    expect(folder.config).toMatchObject({ architectures: ['LlamaForCausalLM'], hidden_size: 128, num_key_value_heads: 2, head_dim: 32, vocab_size: 4096, tie_word_embeddings: true, rope_theta: 10000 });
    expect([...folder.weights.byName.keys()].sort()).toEqual([...own.weights.byName.keys()].sort());
    for (const { name, shape } of own.weights.entries) {
      expect(folder.weights.byName.get(name)?.shape).toEqual([...shape]);
      const [got, wanted] = [await folder.weights.f32(name), await own.weights.f32(name)];
      // Of the largest value in its block of 32, which is what the scale follows; the scale itself is rounded to f16.
      let worst = 0;
      for (let b = 0; b < wanted.length; b += 32) {
        const most = wanted.subarray(b, b + 32).reduce((a, x) => Math.max(a, Math.abs(x)), 0);
        for (let i = b; i < Math.min(b + 32, wanted.length); i++) worst = Math.max(worst, Math.abs((got[i] as number) - (wanted[i] as number)) / (most || 1));
      }
      expect(worst, name).toBeLessThanOrEqual(bound);
      // Codes as they stand in the file are the same numbers; other kinds have none.
      const packed = (await folder.weights.packed?.(name)) ?? null;
      expect(packed?.kind ?? null, name).toBe(wide(kind)({ shape } as Tensor) === kind ? ({ Q8_0: 'int8', Q4_0: 'int4' }[kind as string] ?? null) : null);
      if (packed) expect(dequantise(packed)).toEqual(got);
    }
  });
});

describe('the tokenizer inside', () => {
  const text = 'Once upon a time — “Lily” had 12 red balls.\n\n  It\'s <|user|>over.';

  it('makes the same tokens as the model’s own', async () => {
    const folder = await open(write(metadata, tensors, wide('F16')));
    const [a, b] = [folder, own].map(({ tokenizer, tokenizerConfig, chatTemplate }) => loadTokenizer(tokenizer, tokenizerConfig, chatTemplate));
    expect(a?.encode(text)).toEqual(b?.encode(text));
    expect([a?.bos, a?.eos, a?.pad, a?.vocabSize]).toEqual([b?.bos, b?.eos, b?.pad, b?.vocabSize]);
    expect(await a?.chat([{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true })).toBe(await b?.chat([{ role: 'user', content: 'Hi' }], { addGenerationPrompt: true }));
    expect(a?.decode(a.encode(text, { addSpecial: false }))).toBe(text);
  });

  it('of sentencepiece, with scores in place of merges, joins the best pieces first and falls back to bytes', async () => {
    const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
    const pieces = ['▁', 'a', 'b', 'c', '▁a', 'bc', 'ab', '▁abc', 'abc'];
    const tokens = ['<unk>', '<s>', '</s>', ...bytes, ...pieces];
    const scores = [0, 0, 0, ...bytes.map(() => 0), ...pieces.map((piece) => ({ '▁a': -3, bc: -2, ab: -1, '▁abc': -5, abc: -4 })[piece] ?? -100)];
    const own = { ...metadata, 'tokenizer.ggml.model': 'llama', 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.scores': { f32s: scores }, 'tokenizer.ggml.token_type': { i32s: tokens.map((_, id) => (id === 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1)) }, 'tokenizer.ggml.unknown_token_id': 0 } as Record<string, Value>;
    const folder = await open(write(own, tensors, wide('F16')));
    const tokenizer = loadTokenizer(folder.tokenizer, folder.tokenizerConfig, null);
    const say = (text: string) => tokenizer.encode(text, { addSpecial: false }).map((id) => tokens[id]);
    // 'ab' is the best pair; then 'abc' out of 'ab' and 'c'; then '▁abc'.
    expect(say('abc')).toEqual(['▁abc']);
    expect(say('bca')).toEqual(['▁', 'bc', 'a']);
    // 'ab' comes before '▁a', which is worse.
    expect(say('abbc')).toEqual(['▁', 'ab', 'bc']);
    expect(say('é')).toEqual(['▁', '<0xC3>', '<0xA9>']);
    expect(tokenizer.decode(tokenizer.encode('abc é', { addSpecial: false }))).toBe('abc é');
    expect(tokenizer.encode('abc')[0]).toBe(1);
  });

  it('gives way to a tokenizer.json beside the file', async () => {
    const strange = { ...metadata, 'tokenizer.ggml.pre': 'someone-else' };
    await expect(open(write(strange, tensors, wide('F16')))).rejects.toThrow('tale.gguf: tokenizer.ggml.pre names a way to split text that is not known here: someone-else; put the model\'s tokenizer.json beside the .gguf file and choose both');
    const folder = await open(write(strange, tensors, wide('F16')), { 'tokenizer.json': read('tokenizer.json'), 'tokenizer_config.json': read('tokenizer_config.json') });
    expect(loadTokenizer(folder.tokenizer, folder.tokenizerConfig, folder.chatTemplate).encode(text)).toEqual(loadTokenizer(own.tokenizer, own.tokenizerConfig, null).encode(text));
    expect(folder.chatTemplate).toBe(own.chatTemplate);
  });
});

describe('what is refused', () => {
  const small: Tensor[] = [{ name: 'token_embd.weight', shape: [4, 32], values: new Float32Array(128) }];
  const refused = async (change: Record<string, Value | undefined>, kind: (tensor: Tensor) => Kind | number = () => 'F32', list = small) => {
    const given = Object.fromEntries(Object.entries({ ...metadata, ...change }).filter(([, value]) => value !== undefined)) as Record<string, Value>;
    const error = await open(write(given, list, kind)).then(() => { throw new Error('was not refused'); }, (e: unknown) => e);
    expect(error).toBeInstanceOf(CheckpointError);
    return (error as CheckpointError).message;
  };

  it('by name', async () => {
    expect(await refused({ 'general.architecture': 'mamba' })).toBe('tale.gguf: general.architecture is not one that is read from GGUF: mamba; take the safetensors version of the model; from GGUF are read llama, qwen2, qwen3');
    expect(await refused({ 'llama.block_count': undefined })).toContain('llama.block_count must be a number: null');
    expect(await refused({ 'llama.attention.head_count_kv': { i32s: [1, 2] } })).toContain('a list: it differs by layer');
    expect(await refused({}, () => 12)).toBe('tale.gguf: token_embd.weight: numbers of this kind are not read: Q4_K; take a file with F32, F16, Q4_0, Q8_0, BF16');
    expect(await refused({}, () => 99)).toContain('kind 99');
    expect(await refused({ 'tokenizer.ggml.tokens': undefined })).toContain('there is no tokenizer in it');
    expect(await refused({ 'tokenizer.ggml.model': 'bert' })).toContain('tokenizer.ggml.model is not one that is read here: bert');
    expect(await refused({ 'tokenizer.ggml.merges': undefined })).toContain('tokenizer.ggml.merges must be a list of strings');
    expect(await refused({}, () => 'F32', [...small, ...small])).toContain('two tensors have the same name: model.embed_tokens.weight');
  });

  it('positions that are stretched are handed on for the model to judge', async () => {
    expect((await open(write({ ...metadata, 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': { f32: 2 } }, small, () => 'F32'))).config).toMatchObject({ rope_scaling: { rope_type: 'linear', factor: 2 } });
    expect((await open(write(metadata, [...small, { name: 'rope_freqs.weight', shape: [16], values: new Float32Array(16) }], () => 'F32'))).config).toHaveProperty('rope_scaling');
  });

  it('a file cut off anywhere, or damaged anywhere, never anything but a CheckpointError', async () => {
    const whole = write({ ...metadata, 'tokenizer.ggml.tokens': ['a', 'b', 'c'], 'tokenizer.ggml.token_type': { i32s: [1, 1, 1] }, 'tokenizer.ggml.merges': [] }, small, () => 'F32');
    await fc.assert(fc.asyncProperty(fc.nat(whole.length - 1), async (length) => {
      const error = await open(whole.slice(0, length)).then((folder) => folder.weights.f32('model.embed_tokens.weight')).then(() => null, (e: unknown) => e);
      expect(error).toBeInstanceOf(CheckpointError);
    }), { numRuns: 60 });
    await fc.assert(fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, by) => {
      const damaged = whole.slice();
      damaged[at] = ((damaged[at] as number) + by) & 255;
      const error = await open(damaged).then(() => null, (e: unknown) => e);
      if (error !== null) expect(error).toBeInstanceOf(CheckpointError);
    }), { numRuns: 150 });
  });

  it('two files at once', async () => {
    const bytes = write(metadata, small, () => 'F32');
    await expect(openHfFolder(new Map(['a-00001-of-00002.gguf', 'a-00002-of-00002.gguf'].map((name) => [name, bytesSource(name, bytes)])))).rejects.toThrow('join them with gguf-split --merge');
  });
});
