// LoRA adapters as llama.cpp reads them: one GGUF file (version 3) with `<tensor>.lora_a` [rank, in] and `<tensor>.lora_b` [out, rank].
// It keeps one alpha for all and scales every module by alpha / rank, so that each module's own scale is folded into its B.
import { bad, show } from './fail';
import type { LoraModule } from './peft';
import { type ByteSource, readExactly } from './safetensors';

/** What of the base model decides names and layout. */
export interface GgufBase {
  /** Class of the model in transformers: 'LlamaForCausalLM'. */
  readonly architecture: string;
  readonly heads: number;
  readonly kvHeads: number;
}

interface Architecture {
  /** general.architecture */
  readonly id: string;
  /** Module path in the model → tensor name in GGUF, with $1 for the layer. */
  readonly names: readonly (readonly [RegExp, string])[];
  /** Rotary layers whose output rows llama.cpp keeps pairwise instead of in halves, and by how many heads. */
  heads(module: string, base: GgufBase): number | null;
}

const LLAMA: Architecture = {
  id: 'llama',
  names: [
    [/^model\.layers\.(\d+)\.self_attn\.q_proj$/, 'blk.$1.attn_q'], [/^model\.layers\.(\d+)\.self_attn\.k_proj$/, 'blk.$1.attn_k'],
    [/^model\.layers\.(\d+)\.self_attn\.v_proj$/, 'blk.$1.attn_v'], [/^model\.layers\.(\d+)\.self_attn\.o_proj$/, 'blk.$1.attn_output'],
    [/^model\.layers\.(\d+)\.mlp\.gate_proj$/, 'blk.$1.ffn_gate'], [/^model\.layers\.(\d+)\.mlp\.up_proj$/, 'blk.$1.ffn_up'],
    [/^model\.layers\.(\d+)\.mlp\.down_proj$/, 'blk.$1.ffn_down'], [/^lm_head$/, 'output'],
  ],
  heads: (module, base) => (module.endsWith('.q_proj') ? base.heads : module.endsWith('.k_proj') ? base.kvHeads : null),
};
const GPT2: Architecture = {
  id: 'gpt2',
  names: [
    [/^transformer\.h\.(\d+)\.attn\.c_attn$/, 'blk.$1.attn_qkv'], [/^transformer\.h\.(\d+)\.attn\.c_proj$/, 'blk.$1.attn_output'],
    [/^transformer\.h\.(\d+)\.mlp\.c_fc$/, 'blk.$1.ffn_up'], [/^transformer\.h\.(\d+)\.mlp\.c_proj$/, 'blk.$1.ffn_down'], [/^lm_head$/, 'output'],
  ],
  heads: () => null,
};
const ARCHITECTURES: Readonly<Record<string, Architecture>> = { LlamaForCausalLM: LLAMA, MistralForCausalLM: LLAMA, GPT2LMHeadModel: GPT2 };

const MAGIC = 0x4655_4747; // 'GGUF'
const VERSION = 3;
const ALIGNMENT = 32;
const TYPE_F32 = 0;
const VALUE = { u32: 4, f32: 6, string: 8 } as const;

export const hasGgufNames = (architecture: string): boolean => Object.hasOwn(ARCHITECTURES, architecture);

function architectureOf({ architecture }: GgufBase): Architecture {
  const found = ARCHITECTURES[architecture];
  if (!found) throw bad('GGUF export', 'this architecture is not mapped to the names of llama.cpp', show(architecture), `export as PEFT and use llama.cpp's convert_lora_to_gguf.py; mapped are ${Object.keys(ARCHITECTURES).join(', ')}`);
  return found;
}

export function writeGgufAdapter(modules: readonly LoraModule[], base: GgufBase): Uint8Array<ArrayBuffer> {
  const architecture = architectureOf(base);
  const kept = modules.filter((module) => module.rank > 0);
  if (kept.length === 0) throw bad('GGUF export', 'no module has a rank above 0', `${modules.length} modules`, 'keep more of the adapter');
  // The largest rank as alpha: scales stay about 1, whatever the ranks are.
  const alpha = kept.reduce((most, { rank }) => Math.max(most, rank), 0);
  const tensors = kept.flatMap((module) => {
    const entry = architecture.names.find(([pattern]) => pattern.test(module.name));
    if (!entry) throw bad('GGUF export', 'the module has no name in llama.cpp', show(module.name), 'leave it out of the adapter');
    const name = `${module.name.replace(...entry)}.weight`;
    const factor = (module.scale * module.rank) / alpha;
    const heads = architecture.heads(module.name, base);
    const B = heads === null ? module.B : rowsPaired(module.B, module.out, module.rank, heads, module.name);
    return [
      { name: `${name}.lora_a`, sizes: [module.inn, module.rank], data: module.A },
      { name: `${name}.lora_b`, sizes: [module.rank, module.out], data: B.map((x) => x * factor) },
    ];
  });
  const out = new Writer();
  out.u32(MAGIC);
  out.u32(VERSION);
  out.u64(tensors.length);
  const values = [['general.type', 'adapter'], ['general.architecture', architecture.id], ['adapter.type', 'lora']] as const;
  out.u64(values.length + 2);
  for (const [key, value] of values) {
    out.text(key);
    out.u32(VALUE.string);
    out.text(value);
  }
  out.text('general.alignment');
  out.u32(VALUE.u32);
  out.u32(ALIGNMENT);
  out.text('adapter.lora.alpha');
  out.u32(VALUE.f32);
  out.f32(alpha);
  let offset = 0;
  for (const { name, sizes, data } of tensors) {
    out.text(name);
    out.u32(sizes.length);
    for (const size of sizes) out.u64(size);
    out.u32(TYPE_F32);
    out.u64(offset);
    offset = aligned(offset + data.byteLength);
  }
  for (const { data } of tensors) {
    out.align();
    out.floats(data);
  }
  out.align();
  return out.bytes();
}

/** The modules of a file that `writeGgufAdapter` wrote for this base; `names` are the model's modules. */
export async function readGgufAdapter(source: ByteSource, base: GgufBase, names: readonly string[]): Promise<LoraModule[]> {
  const architecture = architectureOf(base);
  const known = new Map<string, string>(names.flatMap((name) => {
    const entry = architecture.names.find(([pattern]) => pattern.test(name));
    return entry ? [[`${name.replace(...entry)}.weight`, name] as const] : [];
  }));
  const bytes = await readExactly(source, 0, source.size);
  const reader = new Reader(bytes, source.name);
  const fix = 'write the file again';
  if (reader.u32() !== MAGIC) throw bad(source.name, 'is not a GGUF file', 'it does not begin with GGUF', 'choose a .gguf file');
  const version = reader.u32();
  if (version !== VERSION) throw bad(source.name, 'only GGUF version 3 is read', String(version), fix);
  const [tensorCount, valueCount] = [reader.count(reader.u64()), reader.count(reader.u64())];
  const values = new Map<string, string | number>();
  for (let i = 0; i < valueCount; i++) {
    const key = reader.text();
    const type = reader.u32();
    if (type === VALUE.string) values.set(key, reader.text());
    else if (type === VALUE.u32) values.set(key, reader.u32());
    else if (type === VALUE.f32) values.set(key, reader.f32());
    else throw bad(`${source.name}: ${show(key)}`, 'a value of a kind that adapters written here do not have', `type ${type}`, fix);
  }
  if (values.get('general.type') !== 'adapter' || values.get('adapter.type') !== 'lora') throw bad(source.name, 'is not a LoRA adapter', show(values.get('general.type')), 'choose a GGUF adapter');
  if (values.get('general.architecture') !== architecture.id) throw bad(source.name, `the base model is ${architecture.id}`, show(values.get('general.architecture')), 'open the base model that the adapter was trained on');
  const alpha = Number(values.get('adapter.lora.alpha'));
  const infos = Array.from({ length: tensorCount }, () => {
    const name = reader.text();
    const sizes = Array.from({ length: reader.count(reader.u32()) }, () => reader.u64());
    const type = reader.u32();
    const offset = reader.u64();
    if (type !== TYPE_F32 || sizes.length !== 2) throw bad(`${source.name}: ${show(name)}`, 'must be a matrix of f32', `type ${type}, ${sizes.length} sizes`, fix);
    return { name, sizes: sizes as [number, number], offset };
  });
  const start = aligned(reader.at);
  const tensors = new Map(infos.map(({ name, sizes, offset }) => [name, { sizes, data: reader.floats(start + offset, sizes[0] * sizes[1]) }]));
  const modules: LoraModule[] = [];
  for (const [full, { sizes: [inn, rank], data: A }] of tensors) {
    if (!full.endsWith('.lora_a')) continue;
    const tensor = full.slice(0, -'.lora_a'.length);
    const [name, b] = [known.get(tensor), tensors.get(`${tensor}.lora_b`)];
    if (!name) throw bad(`${source.name}: ${show(full)}`, 'the model has no such tensor', show(tensor), 'open the base model that the adapter was trained on');
    if (!b || b.sizes[0] !== rank) throw bad(`${source.name}: ${show(full)}`, `wants a lora_b of rank ${rank}`, b ? show(b.sizes) : 'none', fix);
    const heads = architecture.heads(name, base);
    modules.push({ name, rank, scale: alpha / rank, A, B: heads === null ? b.data : rowsHalved(b.data, b.sizes[1], rank, heads, name), inn, out: b.sizes[1] });
  }
  if (2 * modules.length !== tensors.size) throw bad(source.name, 'a lora_b without its lora_a', `${tensors.size} tensors, ${modules.length} pairs`, fix);
  return modules;
}

/**
 * Rotary pairs: a head's rows (0, h) of transformers, h = half the head, stand side by side in llama.cpp's llama layout.
 * rows [out, rank], heads × 2 × h → heads × h × 2.
 */
function rowsPaired(rows: Float32Array, out: number, rank: number, heads: number, name: string): Float32Array {
  return rowsMoved(rows, out, rank, heads, name, (half, i, h) => [half * h + i, 2 * i + half]);
}
function rowsHalved(rows: Float32Array, out: number, rank: number, heads: number, name: string): Float32Array {
  return rowsMoved(rows, out, rank, heads, name, (half, i, h) => [2 * i + half, half * h + i]);
}
function rowsMoved(rows: Float32Array, out: number, rank: number, heads: number, name: string, place: (half: number, i: number, h: number) => [from: number, to: number]): Float32Array {
  const size = out / heads;
  const h = size / 2;
  if (!Number.isInteger(h)) throw bad(`GGUF: ${show(name)}`, `${heads} heads must divide its rows into even parts`, `${out} rows`, 'give the base model of this adapter');
  const moved = new Float32Array(rows.length);
  for (let head = 0; head < heads; head++) {
    for (let half = 0; half < 2; half++) {
      for (let i = 0; i < h; i++) {
        const [from, to] = place(half, i, h);
        moved.set(rows.subarray((head * size + from) * rank, (head * size + from + 1) * rank), (head * size + to) * rank);
      }
    }
  }
  return moved;
}

const aligned = (at: number) => Math.ceil(at / ALIGNMENT) * ALIGNMENT;

class Writer {
  private readonly parts: Uint8Array[] = [];
  private at = 0;
  private number(size: number, put: (view: DataView) => void): void {
    const view = new DataView(new ArrayBuffer(size));
    put(view);
    this.push(new Uint8Array(view.buffer));
  }
  private push(bytes: Uint8Array): void {
    this.parts.push(bytes);
    this.at += bytes.length;
  }
  u32(x: number): void { this.number(4, (view) => view.setUint32(0, x, true)); }
  u64(x: number): void { this.number(8, (view) => view.setBigUint64(0, BigInt(x), true)); }
  f32(x: number): void { this.number(4, (view) => view.setFloat32(0, x, true)); }
  text(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.push(bytes);
  }
  floats(data: Float32Array): void { this.number(data.byteLength, (view) => data.forEach((x, i) => { view.setFloat32(4 * i, x, true); })); }
  align(): void { this.push(new Uint8Array(aligned(this.at) - this.at)); }
  bytes(): Uint8Array<ArrayBuffer> {
    const all = new Uint8Array(this.at);
    let at = 0;
    for (const part of this.parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

/** Every read is checked against the end of the file: a length in a damaged file can say anything. */
class Reader {
  at = 0;
  private readonly view: DataView;
  constructor(private readonly data: Uint8Array, private readonly where: string) {
    this.view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }
  private take(size: number, from = this.at): number {
    if (!(size >= 0) || from + size > this.data.length) throw bad(this.where, 'ends too early', `${this.data.length} bytes, wanted ${size} more at ${from}`, 'the file is damaged; write it again');
    return from;
  }
  private next(size: number): number {
    const at = this.take(size);
    this.at += size;
    return at;
  }
  /** How many of something follow: each takes at least a byte. */
  count(n: number): number {
    this.take(n);
    return n;
  }
  u32(): number { return this.view.getUint32(this.next(4), true); }
  f32(): number { return this.view.getFloat32(this.next(4), true); }
  u64(): number { return Number(this.view.getBigUint64(this.next(8), true)); }
  text(): string {
    const length = this.u64();
    const at = this.next(length);
    return new TextDecoder().decode(this.data.subarray(at, at + length));
  }
  floats(from: number, count: number): Float32Array {
    const at = this.take(4 * count, from);
    return Float32Array.from({ length: count }, (_, i) => this.view.getFloat32(at + 4 * i, true));
  }
}
