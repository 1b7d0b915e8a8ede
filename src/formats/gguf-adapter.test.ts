// GGUF adapters: another reader finds what was written, our own gives the same ΔW back, and llama.cpp's row order is kept.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gguf } from '@huggingface/gguf';
import { afterAll, expect, test } from 'vitest';
import { normal } from '../util/random';
import { type GgufBase, readGgufAdapter, writeGgufAdapter } from './gguf-adapter';
import type { LoraModule } from './peft';
import { bytesSource } from './safetensors';

const work = mkdtempSync(join(tmpdir(), 'lowrank-gguf-'));
afterAll(() => rmSync(work, { recursive: true, force: true }));

const base: GgufBase = { architecture: 'LlamaForCausalLM', heads: 4, kvHeads: 2 };
const numbers = (count: number, stream: number) => Float32Array.from({ length: count }, (_, i) => normal(3, stream, i));
const module = (name: string, rank: number, out: number, inn: number, scale: number): LoraModule => ({ name, rank, scale, out, inn, A: numbers(rank * inn, out + rank), B: numbers(out * rank, inn) });
const modules = [
  module('model.layers.0.self_attn.q_proj', 3, 16, 12, 2), module('model.layers.0.self_attn.k_proj', 1, 8, 12, 0.5), module('model.layers.1.self_attn.v_proj', 2, 8, 12, -1),
  module('model.layers.1.mlp.down_proj', 5, 12, 20, 1.25), module('model.layers.1.mlp.up_proj', 0, 20, 12, 1),
];
const names = ['model.layers.0.self_attn.q_proj', 'model.layers.0.self_attn.k_proj', 'model.layers.1.self_attn.v_proj', 'model.layers.1.mlp.down_proj', 'lm_head'];

const delta = ({ A, B, rank, inn, out, scale }: LoraModule) => Array.from({ length: out * inn }, (_, at) => {
  let sum = 0;
  for (let k = 0; k < rank; k++) sum += B[Math.floor(at / inn) * rank + k]! * A[k * inn + (at % inn)]!;
  return scale * sum;
});

test('another reader finds every tensor, its shape and the keys that llama.cpp asks for', async () => {
  const path = join(work, 'a.gguf');
  writeFileSync(path, writeGgufAdapter(modules, base));
  const { metadata, tensorInfos } = await gguf(path, { allowLocalFile: true });
  expect(metadata).toMatchObject({ version: 3, tensor_count: 8n, 'general.type': 'adapter', 'general.architecture': 'llama', 'adapter.type': 'lora', 'adapter.lora.alpha': 5 });
  expect(tensorInfos.map(({ name, shape, dtype }) => [name, shape.map(Number), dtype])).toEqual([
    ['blk.0.attn_q.weight.lora_a', [12, 3], 0], ['blk.0.attn_q.weight.lora_b', [3, 16], 0], ['blk.0.attn_k.weight.lora_a', [12, 1], 0], ['blk.0.attn_k.weight.lora_b', [1, 8], 0],
    ['blk.1.attn_v.weight.lora_a', [12, 2], 0], ['blk.1.attn_v.weight.lora_b', [2, 8], 0], ['blk.1.ffn_down.weight.lora_a', [20, 5], 0], ['blk.1.ffn_down.weight.lora_b', [5, 12], 0],
  ]);
  for (const { offset } of tensorInfos) expect(Number(offset) % 32).toBe(0);
});

test('read back, every ΔW is what it was; rank 0 is left out', async () => {
  const back = await readGgufAdapter(bytesSource('a.gguf', writeGgufAdapter(modules, base)), base, names);
  expect(back.map(({ name, rank }) => [name, rank])).toEqual(modules.filter((m) => m.rank > 0).map(({ name, rank }) => [name, rank]));
  back.forEach((module, i) => {
    const [want, got] = [delta(modules[i]!), delta(module)];
    want.forEach((x, at) => expect(Math.abs(x - got[at]!)).toBeLessThan(1e-6 * (1 + Math.abs(x))));
  });
});

test('rotary rows stand in pairs: row 2i + half of a head is row half·h + i here', () => {
  const [rank, out, inn] = [1, 16, 2];
  const counted = { ...module(names[0]!, rank, out, inn, 1), B: Float32Array.from({ length: out }, (_, i) => i) };
  const bytes = writeGgufAdapter([counted], base);
  const b = new Float32Array(bytes.buffer.slice(bytes.length - 4 * out));
  // Heads of 4 rows: halves (0, 1) and (2, 3).
  expect([...b]).toEqual([0, 2, 1, 3, 4, 6, 5, 7, 8, 10, 9, 11, 12, 14, 13, 15]);
});

test('GPT-2 keeps its rows as they are', async () => {
  const gpt2 = { architecture: 'GPT2LMHeadModel', heads: 2, kvHeads: 2 };
  const one = module('transformer.h.3.attn.c_attn', 2, 24, 8, 1);
  const [back] = await readGgufAdapter(bytesSource('a.gguf', writeGgufAdapter([one], gpt2)), gpt2, [one.name]);
  expect(back).toEqual({ ...one });
});

test('what cannot be written or read is refused by name', async () => {
  expect(() => writeGgufAdapter(modules, { ...base, architecture: 'BertModel' })).toThrow(/BertModel; export as PEFT/);
  expect(() => writeGgufAdapter([module('model.norm', 1, 4, 4, 1)], base)).toThrow(/model\.norm/);
  expect(() => writeGgufAdapter([module(names[0]!, 1, 10, 4, 1)], base)).toThrow(/4 heads must divide/);
  expect(() => writeGgufAdapter([modules[4]!], base)).toThrow(/no module has a rank above 0/);
  const good = writeGgufAdapter(modules, base);
  await expect(readGgufAdapter(bytesSource('a.gguf', good), { ...base, architecture: 'GPT2LMHeadModel' }, names)).rejects.toThrow(/base model is gpt2/);
  await expect(readGgufAdapter(bytesSource('a.gguf', good), base, names.slice(1))).rejects.toThrow(/no such tensor/);
  // Cut anywhere or with a byte turned, it is an error of ours or another adapter, never a crash or a hang.
  for (let at = 0; at < good.length - 100; at += 7) {
    await expect(readGgufAdapter(bytesSource('cut.gguf', good.slice(0, at)), base, names)).rejects.toThrow(/cut\.gguf/);
    const turned = good.slice();
    turned[at] = turned[at]! ^ 0x80;
    await readGgufAdapter(bytesSource('turned.gguf', turned), base, names).catch((error: Error) => expect(error.message).toContain('GGUF'.toLowerCase()));
  }
});
