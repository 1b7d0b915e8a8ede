// GGUF, the file format of llama.cpp, read as the model it was made from: names, shapes and row order of the checkpoint, its
// config.json and its tokenizer.json. The header is read by @huggingface/gguf; numbers are turned into float32 one tensor at a time.
import { gguf, type GGUFParseOutput } from '@huggingface/gguf';
import { bf16ToF32, f16ToF32 } from '../util/float16';
import { GROUP, type Packed, dequantise } from '../util/packed';
import { asCheckpointError, bad, show, showList } from './fail';
import { ggufTokenizer } from './gguf-tokenizer';
import type { HfFolder } from './hf-folder';
import { type ByteSource, readExactly, type WeightEntry, type Weights } from './safetensors';

export type Metadata = Readonly<Record<string, unknown>>;
interface Kind { readonly dtype: string; /** Elements and bytes of a block. */ readonly block: readonly [elements: number, bytes: number]; readonly toFloats: (bytes: Uint8Array<ArrayBuffer>) => Float32Array<ArrayBuffer>; /** Of kinds that are codes with scales. */ readonly toCodes?: (bytes: Uint8Array<ArrayBuffer>) => Packed }

/** By the number that stands in the file. */
const KINDS: Readonly<Record<number, Kind>> = {
  0: { dtype: 'F32', block: [1, 4], toFloats: ({ buffer, byteOffset, length }) => new Float32Array(buffer, byteOffset, length / 4) },
  1: { dtype: 'F16', block: [1, 2], toFloats: ({ buffer, byteOffset, length }) => f16ToF32(new Uint16Array(buffer, byteOffset, length / 2)) },
  2: { dtype: 'Q4_0', block: [32, 18], toFloats: (bytes) => dequantise(fromQ4(bytes)), toCodes: fromQ4 },
  8: { dtype: 'Q8_0', block: [32, 34], toFloats: (bytes) => dequantise(fromQ8(bytes)), toCodes: fromQ8 },
  30: { dtype: 'BF16', block: [1, 2], toFloats: ({ buffer, byteOffset, length }) => bf16ToF32(new Uint16Array(buffer, byteOffset, length / 2)) },
};
/** Kinds that people have most often, to be refused by the name they know. */
const OTHER_KINDS: Readonly<Record<number, string>> = {
  3: 'Q4_1', 6: 'Q5_0', 7: 'Q5_1', 9: 'Q8_1', 10: 'Q2_K', 11: 'Q3_K', 12: 'Q4_K', 13: 'Q5_K', 14: 'Q6_K', 15: 'Q8_K', 16: 'IQ2_XXS', 17: 'IQ2_XS', 18: 'IQ3_XXS', 19: 'IQ1_S', 20: 'IQ4_NL', 21: 'IQ3_S',
  22: 'IQ2_S', 23: 'IQ4_XS', 28: 'F64', 29: 'IQ1_M', 34: 'TQ1_0', 35: 'TQ2_0', 39: 'MXFP4',
};
const AGAIN = 'the file is damaged or was not fully downloaded; download it again';

/** `beside`: a tokenizer that takes the place of the file's own. */
export async function openGguf(source: ByteSource, beside: Pick<HfFolder, 'tokenizer' | 'tokenizerConfig' | 'chatTemplate'> | null): Promise<HfFolder> {
  const { metadata, tensorInfos, tensorDataOffset, littleEndian } = await readHeader(source);
  const where = source.name;
  if (littleEndian === false) throw bad(where, 'the numbers in it are big-endian', 'big-endian', 'convert the model again on a usual machine');
  const config = configOf(metadata, tensorInfos.map(({ name }) => name), tensorInfos.find(({ name }) => name === 'token_embd.weight')?.shape.map(Number) ?? [], where);
  const weights = weightsOf(source, tensorInfos, Number(tensorDataOffset), config);
  const inside = typeof metadata['tokenizer.chat_template'] === 'string' ? metadata['tokenizer.chat_template'] : null;
  if (beside) return { config, weights, ...beside, chatTemplate: beside.chatTemplate ?? inside };
  const { tokenizer, config: tokenizerConfig } = ggufTokenizer(metadata, where);
  return { config, weights, tokenizer, tokenizerConfig, chatTemplate: inside };
}

/** The library fetches ranges of an address: it is given ours, which are ranges of the file. */
async function readHeader(source: ByteSource): Promise<GGUFParseOutput<{ strict: false }> & { littleEndian?: boolean }> {
  const ranges: typeof fetch = async (_, init) => {
    const [, from, to] = /bytes=(\d+)-(\d+)/.exec((init?.headers as Record<string, string> | undefined)?.Range ?? '') ?? [];
    const begin = Math.min(Number(from), source.size), end = Math.min(Number(to) + 1, source.size);
    // Past the end there is nothing that a header could still be waiting for.
    if (begin === end) throw bad(source.name, 'the header runs past the end of the file', `${source.size} bytes`, AGAIN);
    return new Response((await readExactly(source, begin, end)) as Uint8Array<ArrayBuffer>, { headers: { 'content-range': `bytes ${begin}-${end - 1}/${source.size}` } });
  };
  try {
    return (await gguf('https://file/', { fetch: ranges })) as unknown as GGUFParseOutput<{ strict: false }>;
  } catch (error) {
    throw asCheckpointError(error, source.name, 'the GGUF header cannot be read', AGAIN);
  }
}

// ---- names and config ----

/** llama.cpp's names of a layer's parts → the checkpoint's. */
const PARTS: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm', attn_q: 'self_attn.q_proj', attn_k: 'self_attn.k_proj', attn_v: 'self_attn.v_proj', attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm', attn_k_norm: 'self_attn.k_norm', ffn_norm: 'post_attention_layernorm', ffn_gate: 'mlp.gate_proj', ffn_up: 'mlp.up_proj', ffn_down: 'mlp.down_proj',
};
const WHOLE: Readonly<Record<string, string>> = { 'token_embd.weight': 'model.embed_tokens.weight', 'output_norm.weight': 'model.norm.weight', 'output.weight': 'lm_head.weight' };
/** Architectures of one layout, by llama.cpp's name. */
const CLASSES: Readonly<Record<string, string>> = { llama: 'LlamaForCausalLM', qwen2: 'Qwen2ForCausalLM', qwen3: 'Qwen3ForCausalLM' };

/** The checkpoint's name, or the file's own where there is none: the model then refuses it by name. */
function checkpointName(name: string): string {
  const [, layer, part, end] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(name) ?? [];
  return WHOLE[name] ?? (part !== undefined && PARTS[part] ? `model.layers.${layer}.${PARTS[part]}.${end}` : name);
}

interface LlamaJson { [key: string]: unknown; model_type: string; num_attention_heads: number; num_key_value_heads: number }

function configOf(metadata: Metadata, names: readonly string[], embedding: readonly number[], where: string): LlamaJson {
  const type = metadata['general.architecture'];
  const architecture = typeof type === 'string' ? CLASSES[type] : undefined;
  if (typeof type !== 'string' || !architecture) throw bad(where, 'general.architecture is not one that is read from GGUF', show(type ?? null), `take the safetensors version of the model; from GGUF are read ${Object.keys(CLASSES).join(', ')}`);
  const given = (key: string) => metadata[`${type}.${key}`];
  const number = (key: string): number => {
    const value = given(key);
    if (typeof value !== 'number' && typeof value !== 'bigint') throw bad(where, `${type}.${key} must be a number`, Array.isArray(value) ? 'a list: it differs by layer' : show(value ?? null), AGAIN);
    return Number(value);
  };
  const optional = (key: string, name: string) => (given(key) === undefined ? {} : { [name]: number(key) });
  const heads = number('attention.head_count');
  const scaling = given('rope.scaling.type');
  return {
    architectures: [architecture],
    model_type: type,
    hidden_act: 'silu',
    hidden_size: number('embedding_length'),
    intermediate_size: number('feed_forward_length'),
    num_hidden_layers: number('block_count'),
    num_attention_heads: heads,
    num_key_value_heads: given('attention.head_count_kv') === undefined ? heads : number('attention.head_count_kv'),
    ...optional('attention.key_length', 'head_dim'),
    vocab_size: embedding[1] ?? 0,
    max_position_embeddings: number('context_length'),
    rms_norm_eps: number('attention.layer_norm_rms_epsilon'),
    rope_theta: given('rope.freq_base') === undefined ? 10000 : number('rope.freq_base'),
    tie_word_embeddings: !names.includes('output.weight'),
    attention_bias: names.includes('blk.0.attn_q.bias') && type === 'llama',
    // Stretched positions are the model's to support or to refuse by name; Llama 3.1 keeps them as a tensor.
    ...(scaling !== undefined && scaling !== 'none' ? { rope_scaling: { rope_type: scaling, ...optional('rope.scaling.factor', 'factor') } } : names.includes('rope_freqs.weight') ? { rope_scaling: { rope_type: 'by frequency, as rope_freqs.weight' } } : {}),
    ...optional('attention.sliding_window', 'sliding_window'),
    ...optional('expert_count', 'num_local_experts'),
  };
}

// ---- numbers ----

function weightsOf(source: ByteSource, infos: GGUFParseOutput<{ strict: false }>['tensorInfos'], dataStart: number, config: LlamaJson): Weights {
  const where = source.name;
  const kinds = new Map<string, Kind>();
  const entries = infos.map(({ name, shape, dtype, offset }): WeightEntry => {
    const at = `${where}: ${show(name)}`;
    const kind = KINDS[dtype];
    if (!kind) throw bad(at, 'numbers of this kind are not read', OTHER_KINDS[dtype] ?? `kind ${dtype}`, `take a file with ${Object.values(KINDS).map((one) => one.dtype).join(', ')}`);
    // GGUF names the fastest dimension first.
    const own = shape.map(Number).reverse();
    const elements = own.reduce((a, b) => a * b, 1);
    const [size, bytes] = kind.block;
    if ((own.at(-1) ?? 1) % size !== 0) throw bad(at, `${kind.dtype} comes in blocks of ${size}`, `rows of ${own.at(-1)}`, AGAIN);
    const begin = Number(offset), end = begin + (elements / size) * bytes;
    if (!Number.isSafeInteger(end) || dataStart + end > source.size) throw bad(at, 'the data run past the end of the file', `they end at byte ${dataStart + end} of ${source.size}`, AGAIN);
    const checkpoint = checkpointName(name);
    kinds.set(checkpoint, kind);
    return { name: checkpoint, dtype: kind.dtype, shape: own, begin, end };
  });
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  if (byName.size < entries.length) throw bad(where, 'two tensors have the same name', showList(entries.map((entry) => entry.name).filter((name, i, all) => all.indexOf(name) < i)), AGAIN);
  const read = async (name: string) => {
    const entry = byName.get(name);
    if (!entry) throw bad(`${where}: ${show(name)}`, 'there is no such tensor', `tensors ${showList([...byName.keys()])}`, 'check that the file belongs to this model');
    const bytes = await readExactly(source, dataStart + entry.begin, dataStart + entry.end, `${where}: ${show(name)}`);
    const whole = bytes.byteOffset % 4 === 0 && bytes.buffer instanceof ArrayBuffer ? (bytes as Uint8Array<ArrayBuffer>) : new Uint8Array(bytes);
    return { entry, whole, kind: kinds.get(name) as Kind, heads: turned(name, config) };
  };
  return {
    name: where,
    entries,
    byName,
    async f32(name) {
      const { entry, whole, kind, heads } = await read(name);
      const values = kind.toFloats(whole);
      if (heads !== null) unturn(values, heads, entry.shape[0] as number);
      return values;
    },
    async packed(name) {
      if (!kinds.get(name)?.toCodes) return null;
      const { entry, whole, kind, heads } = await read(name);
      const packed = (kind.toCodes as NonNullable<Kind['toCodes']>)(whole);
      if (heads !== null) {
        unturn(packed.codes, heads, entry.shape[0] as number);
        unturn(packed.scales, heads, entry.shape[0] as number);
      }
      return packed;
    },
  };
}

/** Heads of a projection whose rows llama.cpp stores in another order, for its way of rotating; null for all others. */
function turned(name: string, { model_type, num_attention_heads, num_key_value_heads }: LlamaJson): number | null {
  if (model_type !== 'llama') return null;
  if (/self_attn\.q_proj\./.test(name)) return num_attention_heads;
  return /self_attn\.k_proj\./.test(name) ? num_key_value_heads : null;
}

/** Within each head: rows (0, 1, 2, 3, …) back to the halves (0, 2, …) and (1, 3, …) that the checkpoint has. In place, with one head beside. */
function unturn(values: Float32Array | Int8Array | Uint16Array, heads: number, rows: number): void {
  const columns = values.length / rows;
  const size = rows / heads;
  const head = values.slice(0, size * columns);
  for (let h = 0; h < heads; h++) {
    const start = h * size * columns;
    head.set(values.subarray(start, start + size * columns));
    for (let row = 0; row < size; row++) {
      const from = row < size / 2 ? 2 * row : 2 * (row - size / 2) + 1;
      values.set(head.subarray(from * columns, (from + 1) * columns), start + row * columns);
    }
  }
}

/** Blocks of 32: a scale d in f16, then 32 signed bytes q; x = d q. */
function fromQ8(bytes: Uint8Array<ArrayBuffer>): Packed {
  const scales = scalesOf(bytes, 34);
  const codes = new Int8Array(scales.length * GROUP);
  for (let b = 0; b < scales.length; b++) codes.set(new Int8Array(bytes.buffer, bytes.byteOffset + b * 34 + 2, GROUP), b * GROUP);
  return { kind: 'int8', codes, scales };
}

/** Blocks of 32: a scale d in f16, then 16 bytes of two numbers q from 0 to 15, the low halves first; x = d (q - 8). */
function fromQ4(bytes: Uint8Array<ArrayBuffer>): Packed {
  const scales = scalesOf(bytes, 18);
  const codes = new Int8Array(scales.length * GROUP);
  for (let b = 0; b < scales.length; b++) {
    for (let i = 0; i < GROUP / 2; i++) {
      const two = bytes[b * 18 + 2 + i] as number;
      codes[b * GROUP + i] = (two & 15) - 8;
      codes[b * GROUP + GROUP / 2 + i] = (two >> 4) - 8;
    }
  }
  return { kind: 'int4', codes, scales };
}

/** The f16 scales at the start of each block. */
function scalesOf(bytes: Uint8Array<ArrayBuffer>, stride: number): Uint16Array {
  const halves = new Uint16Array(bytes.length / stride);
  for (let b = 0; b < halves.length; b++) halves[b] = (bytes[b * stride] as number) | ((bytes[b * stride + 1] as number) << 8);
  return halves;
}
