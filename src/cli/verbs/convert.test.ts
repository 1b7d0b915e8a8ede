// lowrank convert, called as the program calls it, on an adapter of a tiny model: what it writes is read back.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { readGgufAdapter } from '../../formats/gguf-adapter';
import { type LoraModule, type PeftAdapter, readPeft, writePeft } from '../../formats/peft';
import { LLAMA } from '../../methods/testing/tiny';
import { normals } from '../../methods/testing/random';
import { decompose } from '../../training/truncate';
import { fileSource, folderSources } from '../files';
import { UsageError } from '../options';
import { convert } from './convert';

const work = mkdtempSync(join(tmpdir(), 'lowrank-convert-'));
const at = (...path: string[]) => join(work, ...path);
afterAll(() => rmSync(work, { recursive: true, force: true }));

const module = (name: string, rank: number, out: number, scale: number): LoraModule => ({ name, rank, scale, out, inn: 32, A: normals(rank * 32, `${name} A`), B: normals(out * rank, `${name} B`) });
const modules = [module('model.layers.0.self_attn.q_proj', 6, 32, 2), module('model.layers.0.self_attn.k_proj', 3, 16, 0.75), module('model.layers.1.mlp.up_proj', 4, 48, 1)];
beforeAll(() => {
  const { files } = writePeft({ modules, baseModel: at('base'), taskType: 'CAUSAL_LM' });
  for (const folder of ['adapter', 'base']) mkdirSync(at(folder));
  for (const { name, bytes } of files) writeFileSync(at('adapter', name), bytes);
  writeFileSync(at('base', 'config.json'), JSON.stringify(LLAMA));
});

let lines: string[] = [];
async function run(...args: string[]): Promise<Record<string, unknown>[]> {
  lines = [];
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => lines.push(String(text)) > 0);
  expect(await convert(['--adapter', at('adapter'), ...args, '--json'])).toBe(0);
  vi.restoreAllMocks();
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}
afterEach(() => vi.restoreAllMocks());

const open = async (folder: string): Promise<PeftAdapter> => readPeft(await folderSources(folder));
function delta({ A, B, rank, inn, out, scale }: LoraModule): Float64Array {
  return Float64Array.from({ length: out * inn }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < rank; k++) sum += B[Math.floor(i / inn) * rank + k]! * A[k * inn + (i % inn)]!;
    return scale * sum;
  });
}
const distance = (a: Float64Array, b: Float64Array) => Math.hypot(...a.map((x, i) => x - b[i]!));

test('--rank: each module is its best approximation of that rank, with one alpha and a rank pattern', async () => {
  const done = (await run('--to', 'peft', '--out', at('rank4'), '--rank', '4')).at(-1)!;
  const cut = await open(at('rank4'));
  expect(cut.modules.map(({ name, rank }) => [name, rank])).toEqual(modules.map(({ name, rank }) => [name, Math.min(4, rank)]).sort());
  expect(cut.config.alpha_pattern).toEqual({});
  let [lost, whole] = [0, 0];
  for (const was of modules) {
    const now = cut.modules.find((m) => m.name === was.name)!;
    const { sigma } = decompose(was);
    // Eckart and Young: what is lost is the length of the singular values that were cut, and no rank-4 matrix loses less.
    const left = Math.hypot(...sigma.subarray(4));
    expect(Math.abs(distance(delta(was), delta(now)) - left)).toBeLessThan(1e-5 * sigma[0]!);
    lost += left ** 2;
    whole += sigma.reduce((sum, s) => sum + s * s, 0);
  }
  expect(done).toMatchObject({ event: 'convert', modules: 3, dropped: [] });
  expect(done.error).toBeCloseTo(Math.sqrt(lost / whole), 10);
});

test('--energy keeps the share in every module; without either nothing changes', async () => {
  await run('--to', 'peft', '--out', at('energy'), '--energy', '0.8');
  for (const now of (await open(at('energy'))).modules) {
    const was = modules.find((m) => m.name === now.name)!;
    const { sigma } = decompose(was);
    const share = (k: number) => sigma.subarray(0, k).reduce((sum, s) => sum + s * s, 0) / sigma.reduce((sum, s) => sum + s * s, 0);
    expect(share(now.rank)).toBeGreaterThanOrEqual(0.8);
    expect(share(now.rank - 1)).toBeLessThan(0.8);
  }
  await run('--to', 'peft', '--out', at('whole'));
  expect(readFileSync(at('whole', 'adapter_model.safetensors')).equals(readFileSync(at('adapter', 'adapter_model.safetensors')))).toBe(true);
});

test('gguf: the base’s heads come from its folder; read back it is the same adapter', async () => {
  const [, , , done] = await run('--to', 'gguf', '--out', at('out', 'a.gguf'));
  expect(done).toMatchObject({ event: 'convert', to: 'gguf', files: [at('out', 'a.gguf')] });
  const back = await readGgufAdapter(await fileSource(at('out', 'a.gguf')), { architecture: 'LlamaForCausalLM', heads: 4, kvHeads: 2 }, modules.map((m) => m.name));
  for (const now of back) expect(distance(delta(modules.find((m) => m.name === now.name)!), delta(now))).toBeLessThan(1e-4);
  expect(back.length).toBe(3);
});

test.each([
  [['--to', 'onnx', '--out', 'x'], UsageError, /--to is peft, gguf, kohya/],
  [['--to', 'peft', '--out', 'x', '--rank', '2', '--energy', '0.5'], UsageError, /either/],
  [['--to', 'peft', '--out', 'x', '--rank', '0'], UsageError, /from 1 on, got 0/],
  [['--to', 'peft', '--out', 'x', '--energy', '1.5'], UsageError, /above 0, at most 1/],
  [['--to', 'peft', '--out', at('adapter')], UsageError, /overwritten/],
  [['--to', 'kohya', '--out', at('k.safetensors')], Error, /image models only/],
] as const)('%j is refused', async (args, kind, message) => {
  const refusal = convert(['--adapter', at('adapter'), ...args]);
  await expect(refusal).rejects.toThrow(message);
  await expect(refusal).rejects.toBeInstanceOf(kind);
});
