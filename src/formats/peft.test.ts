import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../util/errors';
import { type LoraModule, type PeftInput, readPeft, writePeft } from './peft';
import { type ByteSource, bytesSource, type NewTensor, openSafetensors, writeSafetensors } from './safetensors';

const fixture = join(import.meta.dirname, '../../e2e/fixtures/tale-1m.lora.peft');
const fixtureFile = (name: string) => new Uint8Array(readFileSync(join(fixture, name)));
const encode = (json: unknown) => new TextEncoder().encode(JSON.stringify(json));

function folder(files: readonly { name: string; bytes: Uint8Array }[], before = ''): Map<string, ByteSource> {
  return new Map(files.map(({ name, bytes }) => [before + name, bytesSource(name, bytes)]));
}

function configOf(written: { files: { name: string; bytes: Uint8Array }[] }): Record<string, unknown> {
  return JSON.parse(new TextDecoder().decode(written.files.find((file) => file.name === 'adapter_config.json')?.bytes)) as Record<string, unknown>;
}

function module(name: string, rank = 2, scale = 2, inn = 3, out = 4): LoraModule {
  return { name, rank, scale, inn, out, A: Float32Array.from({ length: rank * inn }, (_, i) => i - 1.5), B: Float32Array.from({ length: out * rank }, (_, i) => 1 / (i + 1)) };
}

const plain: Omit<PeftInput, 'modules'> = { baseModel: 'base', taskType: 'CAUSAL_LM' };
const write = (modules: LoraModule[], more: Partial<PeftInput> = {}) => writePeft({ ...plain, modules, ...more });
const names = (layers: number, parts: readonly string[]) => Array.from({ length: layers }, (_, i) => parts.map((part) => `model.layers.${i}.${part}`)).flat();

describe('modules that were trained whole', () => {
  const saved = [{ name: 'bert.pooler.dense.weight', module: 'bert.pooler', shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) }, { name: 'classifier.bias', module: 'classifier', shape: [3], data: Float32Array.of(1, 2, 3) }];

  it('are listed by module, stored under their own names, and read back', async () => {
    const written = write([module('bert.layer.0.dense')], { saved, taskType: 'SEQ_CLS', allModules: ['bert.layer.0.dense', 'bert.pooler.dense'] });
    expect(configOf(written)).toMatchObject({ modules_to_save: ['bert.pooler', 'classifier'], target_modules: ['bert.layer.0.dense'], task_type: 'SEQ_CLS' });
    const file = await openSafetensors(bytesSource('w', written.files[0]!.bytes));
    expect(file.byName.get('base_model.model.classifier.bias')?.shape).toEqual([3]);
    const read = await readPeft(folder(written.files));
    expect(read.saved).toEqual(saved);
    expect(Buffer.compare(writePeft({ ...read, allModules: ['bert.layer.0.dense', 'bert.pooler.dense'] }).files[0]!.bytes, written.files[0]!.bytes)).toBe(0);
  });

  it('may be listed without being there, as PEFT does with heads of other models', async () => {
    const [weights] = write([module('a.q')], { saved: saved.slice(1), taskType: 'SEQ_CLS' }).files;
    const config = { ...configOf(write([module('a.q')])), modules_to_save: ['classifier', 'score'] };
    expect((await readPeft(folder([weights!, { name: 'adapter_config.json', bytes: encode(config) }]))).saved).toEqual(saved.slice(1));
  });

  it('are refused with a number that is not finite', () => {
    expect(() => write([module('a.q')], { saved: [{ ...saved[1]!, data: Float32Array.of(1, Number.NaN, 3) }] })).toThrow(/classifier\.bias: the adapter holds a number that is not finite: NaN at index 1/);
  });
});

describe('the adapter that PEFT saved', () => {
  const saved = [{ name: 'adapter_model.safetensors', bytes: fixtureFile('adapter_model.safetensors') }, { name: 'adapter_config.json', bytes: fixtureFile('adapter_config.json') }];
  const savedConfig = configOf({ files: saved });

  it('is read whole', async () => {
    const adapter = await readPeft(folder(saved));
    const weights = await openSafetensors(bytesSource('w', saved[0]!.bytes));
    expect(adapter.modules.length * 2).toBe(weights.entries.length);
    expect(adapter).toMatchObject({ baseModel: '../../bases/tale-1m', taskType: null, notes: [] });
    const down = adapter.modules.find((m) => m.name === 'model.layers.0.mlp.down_proj');
    expect(down).toMatchObject({ rank: 4, scale: 2, inn: 344, out: 128, transposed: false });
    expect(down?.A).toEqual(await weights.f32('base_model.model.model.layers.0.mlp.down_proj.lora_A.weight'));
    expect(down?.B).toEqual(await weights.f32('base_model.model.model.layers.0.mlp.down_proj.lora_B.weight'));
  });

  it('comes out byte for byte, with a configuration of the same meaning', async () => {
    const adapter = await readPeft(folder(saved, 'my adapter/'));
    const written = writePeft({
      ...adapter,
      baseClass: 'transformers.models.llama.modeling_llama.LlamaForCausalLM',
      allModules: [...adapter.modules.map((m) => m.name), 'lm_head', 'model.embed_tokens', 'model.norm', 'model.layers.0.mlp'],
    });
    expect(written.files.map((file) => file.name)).toEqual(['adapter_model.safetensors', 'adapter_config.json']);
    expect(Buffer.compare(written.files[0]!.bytes, saved[0]!.bytes)).toBe(0);
    const sorted = (config: Record<string, unknown>) => ({ ...config, target_modules: [...(config.target_modules as string[])].sort() });
    expect(sorted(configOf(written))).toEqual(sorted(savedConfig));
    expect(written.dropped).toEqual([]);
    expect(written.ranks['model.layers.0.mlp.down_proj']).toBe(4);
  });

  it('has every key of PEFT 0.21, sorted, at indent 2', () => {
    const text = new TextDecoder().decode(write([module('a.q')]).files[1]!.bytes);
    expect(Object.keys(JSON.parse(text) as object)).toEqual(Object.keys(savedConfig));
    expect(text.startsWith('{\n  "alora_invocation_tokens": null,\n  "alpha_pattern": {},\n')).toBe(true);
  });

  it('answers every flipped or cut byte with a CheckpointError or a whole adapter', async () => {
    const small = write([module('model.layers.0.q', 1), module('model.layers.1.q', 2, 0.5)]).files;
    await fc.assert(fc.asyncProperty(fc.array(fc.tuple(fc.nat(1), fc.nat(), fc.integer({ min: 0, max: 255 })), { minLength: 1, maxLength: 4 }), fc.option(fc.nat()), async (changes, cut) => {
      const files = small.map(({ name, bytes }) => ({ name, bytes: bytes.slice() }));
      for (const [which, at, to] of changes) files[which]!.bytes[at % files[which]!.bytes.length] = to;
      if (cut !== null) files[cut % 2]!.bytes = files[cut % 2]!.bytes.slice(0, cut % files[cut % 2]!.bytes.length);
      try {
        const adapter = await readPeft(folder(files));
        // Every tensor of the file is in the result.
        const weights = await openSafetensors(bytesSource('w', files[0]!.bytes));
        expect(adapter.modules.length * 2).toBe(weights.entries.length);
        for (const m of adapter.modules) expect(Number.isFinite(m.scale)).toBe(true);
      } catch (error) {
        if (!(error instanceof CheckpointError)) throw error;
      }
    }), { numRuns: 3000 });
  });
});

describe('ranks and scales', () => {
  it('makes the commonest rank and alpha the default and lists the rest', () => {
    const config = configOf(write([module('h.0.q', 4, 2), module('h.1.q', 4, 2), module('h.2.q', 8, 2), module('h.3.q', 2, 4), module('h.4.q', 4, 0.1)]));
    expect(config).toMatchObject({
      r: 4, lora_alpha: 8, use_rslora: false,
      rank_pattern: { 'h\\.2\\.q': 8, 'h\\.3\\.q': 2 },
      alpha_pattern: { 'h\\.2\\.q': 16, 'h\\.4\\.q': 0.4 },
    });
  });

  it('takes alpha from the modules of the commonest rank', () => {
    const config = configOf(write([module('a.q', 4, 2), module('b.q', 4, 2), module('c.q', 8, 2), module('d.q', 2, 8), module('e.q', 1, 16)]));
    expect(config).toMatchObject({ r: 4, lora_alpha: 8, alpha_pattern: { 'c\\.q': 16, 'd\\.q': 16, 'e\\.q': 16 } });
  });

  it('writes alpha as a whole number where that is the same scale', () => {
    expect(configOf(write([module('a.q', 3, 16 / 3)])).lora_alpha).toBe(16);
    expect(configOf(write([module('a.q', 49, 1 / 49)])).lora_alpha).toBe(1);
  });

  it('ties a name to the start where it is also the end of another', async () => {
    const modules = [module('enc.q', 2, 1), module('m.enc.q', 4, 3), module('z.q', 8, 1), module('y.q', 8, 1)];
    const written = write(modules);
    expect(configOf(written).rank_pattern).toEqual({ '^enc\\.q': 2, 'm\\.enc\\.q': 4 });
    const back = await readPeft(folder(written.files));
    expect(back.modules.map((m) => [m.name, m.rank, m.scale])).toEqual(expect.arrayContaining(modules.map((m) => [m.name, m.rank, m.scale])));
  });

  it('drops modules of rank 0 from tensors and targets, and refuses when nothing is left', async () => {
    const all = names(3, ['q_proj', 'v_proj']);
    const written = write(all.map((name) => module(name, name === 'model.layers.1.q_proj' ? 0 : 2)), { allModules: all });
    expect(written.dropped).toEqual(['model.layers.1.q_proj']);
    expect(configOf(written).target_modules).toEqual(['model.layers.0.q_proj', 'model.layers.2.q_proj', 'v_proj']);
    expect(Object.keys(written.ranks)).not.toContain('model.layers.1.q_proj');
    expect((await readPeft(folder(written.files))).modules.length).toBe(5);
    expect(() => write([module('a.q', 0)])).toThrow(/no module has a rank above 0/);
  });

  it('reads back any ranks and scales it wrote', async () => {
    const one = fc.record({ rank: fc.integer({ min: 0, max: 5 }), alpha: fc.double({ min: 2 ** -10, max: 64, noNaN: true }), inn: fc.integer({ min: 1, max: 4 }), out: fc.integer({ min: 1, max: 4 }) });
    const name = fc.array(fc.constantFrom('layers', '0', '1', 'q_proj', 'k-proj', 'a+b', '(x)', '$'), { minLength: 1, maxLength: 4 }).map((parts) => parts.join('.'));
    await fc.assert(fc.asyncProperty(fc.uniqueArray(fc.tuple(name, one), { selector: ([n]) => n, minLength: 1, maxLength: 8 }), fc.array(name), async (list, others) => {
      const modules = list.map(([n, { rank, alpha, inn, out }]) => module(n, rank, alpha / Math.max(rank, 1), inn, out));
      fc.pre(modules.some((m) => m.rank > 0));
      const written = write(modules, { allModules: [...others, ...modules.map((m) => m.name)] });
      const kept = modules.filter((m) => m.rank > 0);
      expect(written.dropped.length).toBe(modules.length - kept.length);
      const back = await readPeft(folder(written.files));
      expect(back.notes).toEqual([]);
      expect(back.modules.length).toBe(kept.length);
      for (const m of kept) {
        const got = back.modules.find((other) => other.name === m.name);
        expect(got).toMatchObject({ rank: m.rank, inn: m.inn, out: m.out, A: m.A, B: m.B });
        expect(Math.abs(got!.scale / m.scale - 1)).toBeLessThan(1e-15);
      }
      const again = writePeft({ ...plain, modules: back.modules.map((m) => ({ ...m, transposed: false })), allModules: [...others, ...modules.map((m) => m.name)] });
      expect(again.files[0]).toEqual(written.files[0]);
    }), { numRuns: 300 });
  });
});

describe('target_modules', () => {
  const attention = ['self_attn.q_proj', 'self_attn.k_proj'];
  const all = ['model.embed_tokens', ...names(3, [...attention, 'mlp.up_proj']), 'lm_head'];
  const targets = (adapted: readonly string[], allModules?: readonly string[]) =>
    configOf(write(adapted.map((name) => module(name)), allModules ? { allModules } : {})).target_modules;

  it('are the ends of names where those select exactly what is adapted', () => {
    expect(targets(names(3, attention), all)).toEqual(['k_proj', 'q_proj']);
    expect(targets(all.slice(1), all)).toEqual(['k_proj', 'lm_head', 'q_proj', 'up_proj']);
    expect(targets([...names(3, attention), ...names(2, ['mlp.up_proj'])], all)).toEqual(['k_proj', 'model.layers.0.mlp.up_proj', 'model.layers.1.mlp.up_proj', 'q_proj']);
  });

  it('take a longer end where the last part alone would say too much', () => {
    const bert = Array.from({ length: 2 }, (_, i) => ['attention.output.dense', 'intermediate.dense', 'output.dense'].map((part) => `encoder.layer.${i}.${part}`)).flat();
    expect(targets(bert, [...bert, 'pooler.dense'])).toEqual(['intermediate.dense', 'output.dense']);
    expect(targets(bert.filter((name) => name.includes('attention')), [...bert, 'pooler.dense'])).toEqual(['attention.output.dense']);
  });

  it('are full names where the other modules are not known', () => {
    expect(targets(['a.q', 'b.q'])).toEqual(['a.q', 'b.q']);
  });

  it('become a regular expression where even a full name would select too much', async () => {
    expect(targets(['layers.0.q'], ['layers.0.q', 'old.layers.0.q'])).toBe('layers\\.0\\.q');
  });

  it('select exactly the adapted modules by the rule of PEFT, whatever the names', () => {
    const name = fc.array(fc.constantFrom('a', 'b', '0', '1', 'q'), { minLength: 1, maxLength: 5 }).map((parts) => parts.join('.'));
    fc.assert(fc.property(fc.uniqueArray(fc.tuple(name, fc.boolean()), { selector: ([n]) => n, minLength: 1, maxLength: 12 }), (list) => {
      const adapted = list.filter(([, is]) => is).map(([n]) => n);
      fc.pre(adapted.length > 0);
      const got = targets(adapted, list.map(([n]) => n)) as string[] | string;
      // The rule once more, in the words of PEFT's source.
      const selects = (key: string) => (typeof got === 'string' ? new RegExp(`^(?:${got})$`).test(key) : got.includes(key) || got.some((target) => key.endsWith(`.${target}`)));
      expect(list.map(([n]) => n).filter(selects)).toEqual(adapted);
    }), { numRuns: 2000 });
  });
});

describe('what writing settles', () => {
  it('names the class of the model only without a task', () => {
    expect(configOf(write([module('a.q')], { baseClass: 'LlamaForCausalLM' }))).toMatchObject({ task_type: 'CAUSAL_LM', auto_mapping: null });
    expect(configOf(write([module('a.q')], { taskType: null, baseClass: 'LlamaForCausalLM' })).auto_mapping).toEqual({ base_model_class: 'LlamaForCausalLM', parent_library: 'transformers' });
    expect(configOf(write([module('a.q')], { taskType: null })).auto_mapping).toBeNull();
  });

  it('sets fan_in_fan_out for transposed weights', () => {
    expect(configOf(write([{ ...module('h.0.c_attn'), transposed: true }])).fan_in_fan_out).toBe(true);
  });

  it('passes further keys on, except those the weights decide', () => {
    expect(configOf(write([module('a.q')], { extra: { revision: 'main', lowrank: { seed: 7 } } }))).toMatchObject({ revision: 'main', lowrank: { seed: 7 } });
    for (const key of ['r', 'use_rslora', 'use_dora', 'kasa_config']) expect(() => write([module('a.q')], { extra: { [key]: 3 } })).toThrow(`an extra key may not change what the weights decide: ${key};`);
  });

  it('gives equal bytes for equal modules in any order', () => {
    const modules = names(3, ['q', 'k']).map((name, i) => module(name, 1 + (i % 3)));
    expect(write([...modules].reverse()).files[0]).toEqual(write(modules).files[0]);
    expect(configOf(write([...modules].reverse()))).toEqual(configOf(write(modules)));
  });

  const wrong: [string, LoraModule[], RegExp][] = [
    ['A of another size', [{ ...module('a.q'), A: new Float32Array(5) }], /a\.q: A \[2, 3\] has 6 numbers: 5/],
    ['B of another size', [{ ...module('a.q'), B: new Float32Array(7) }], /a\.q: B \[4, 2\] has 8 numbers: 7/],
    ['a NaN', [{ ...module('a.q'), B: new Float32Array(8).fill(Number.NaN, 3) }], /a\.q: B: .* not finite: NaN at index 3/],
    ['an infinite scale', [{ ...module('a.q'), scale: Number.POSITIVE_INFINITY }], /a\.q: the scale must be finite: Infinity/],
    ['half a rank', [{ ...module('a.q'), rank: 1.5 }], /a\.q: the rank must be a whole number/],
    ['a layer without inputs', [{ ...module('a.q'), inn: 0, A: new Float32Array(0) }], /a\.q: in and out/],
    ['two modules of one name', [module('a.q'), module('a.q')], /a\.q: a module needs a name of its own/],
    ['a name that has the prefix already', [module('base_model.model.a.q')], /without base_model\.model\./],
    ['no modules', [], /no module has a rank above 0/],
  ];
  it.each(wrong)('refuses %s', (_, modules, says) => {
    expect(() => write(modules)).toThrow(says);
    expect(() => write(modules)).toThrow(CheckpointError);
  });
});

describe('reading what others wrote', () => {
  const A = (name: string, shape = [2, 3]): NewTensor => ({ name, dtype: 'F32', shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(1) });
  const pair = (path: string, rank = 2, form = '') => [A(`base_model.model.${path}.lora_A${form}.weight`, [rank, 3]), A(`base_model.model.${path}.lora_B${form}.weight`, [4, rank])];
  const minimal = { peft_type: 'LORA', r: 2, lora_alpha: 4, target_modules: ['q'] };
  const read = (config: unknown, tensors: NewTensor[] = pair('h.0.q')) =>
    readPeft(folder([{ name: 'adapter_config.json', bytes: encode(config) }, { name: 'adapter_model.safetensors', bytes: writeSafetensors(tensors) }]));
  const message = async (promise: Promise<unknown>) => {
    const error = await promise.then(() => null, (e: unknown) => e);
    expect(error).toBeInstanceOf(CheckpointError);
    return (error as CheckpointError).message;
  };
  const scales = async (config: object, tensors?: NewTensor[]) => Object.fromEntries((await read({ ...minimal, ...config }, tensors)).modules.map((m) => [m.name, m.scale]));

  it('takes the least that PEFT takes, with its defaults', async () => {
    const adapter = await read(minimal);
    expect(adapter).toMatchObject({ baseModel: '', taskType: null, notes: [], config: { use_rslora: false, bias: 'none', lora_alpha: 4 } });
    expect(adapter.modules).toMatchObject([{ name: 'h.0.q', rank: 2, scale: 2, inn: 3, out: 4, transposed: false }]);
  });

  it('knows both forms of keys, half precision and transposed weights', async () => {
    expect(await scales({}, pair('h.0.q', 2, '.default'))).toEqual({ 'h.0.q': 2 });
    const [a, b] = pair('h.0.q');
    const half = await read({ ...minimal, fan_in_fan_out: true }, [{ ...a!, dtype: 'F16' } as NewTensor, { ...b!, dtype: 'BF16' } as NewTensor]);
    expect(half.modules).toMatchObject([{ A: new Float32Array(6).fill(1), B: new Float32Array(8).fill(1), transposed: true }]);
  });

  it('keeps biases of lora_B, beside zeros where only some modules have one', async () => {
    const bias = Float32Array.of(1, -2, 0.5, 3);
    const written = write([{ ...module('h.0.q'), bias }, module('h.1.q')]);
    expect(configOf(written)).toMatchObject({ lora_bias: true });
    expect((await readPeft(folder(written.files))).modules.map((m) => m.bias)).toEqual([bias, new Float32Array(4)]);
    expect(() => write([{ ...module('h.0.q'), bias: bias.slice(1) }])).toThrow(/a bias has 4 numbers, beside a rank from 1 on: 3 numbers, rank 2/);
    expect(await message(read(minimal, [...pair('h.0.q'), { name: 'base_model.model.h.0.q.lora_B.bias', dtype: 'F32', shape: [4], data: bias }]))).toMatch(/lora_bias in adapter_config\.json is false: a lora_B\.bias/);
    expect(await message(read({ ...minimal, lora_bias: true }, [...pair('h.0.q'), { name: 'base_model.model.h.0.q.lora_B.bias', dtype: 'F32', shape: [3], data: bias.slice(1) }]))).toMatch(/lora_B\.bias must be \[4\]/);
  });

  it('resolves rsLoRA, rank_pattern and alpha_pattern as PEFT does', async () => {
    expect(await scales({ use_rslora: true })).toEqual({ 'h.0.q': 4 / Math.sqrt(2) });
    for (const init_lora_weights of [true, false, 'gaussian', 'Gaussian', 'eva', 'mica']) expect(await scales({ init_lora_weights })).toEqual({ 'h.0.q': 2 });
    const two = [...pair('h.0.q', 8), ...pair('h.1.q')];
    expect(await scales({ rank_pattern: { 'h.0.q': 8 } }, two)).toEqual({ 'h.0.q': 0.5, 'h.1.q': 2 });
    expect(await scales({ rank_pattern: { 'h\\.[02]\\..*': 8 }, alpha_pattern: { '0.q': 16 } }, two)).toEqual({ 'h.0.q': 2, 'h.1.q': 2 });
    // The first key that matches counts, and it must match after the start or a dot.
    expect(await scales({ rank_pattern: { '0.q': 8, q: 99, h: 99 }, alpha_pattern: { '.q': 5, q: 6 } }, [...pair('h.0.q', 8), ...pair('h.1.q', 99)])).toEqual({ 'h.0.q': 6 / 8, 'h.1.q': 6 / 99 });
    expect(await scales({ rank_pattern: { '^0.q': 8 } })).toEqual({ 'h.0.q': 2 });
  });

  it('knows every way to name targets', async () => {
    for (const target_modules of [['q'], ['0.q'], ['h.0.q'], '.*\\.q', 'h\\.\\d+\\.(q|v)', 'all-linear']) expect(await scales({ target_modules })).toEqual({ 'h.0.q': 2 });
    for (const target_modules of [['v'], ['uq'], ['h.0'], 'q', 'h.0']) expect(await message(read({ ...minimal, target_modules }))).toMatch(/h\.0\.q: the module is not one of target_modules/);
    expect(await message(read({ ...minimal, exclude_modules: ['q'] }))).toMatch(/not one of target_modules/);
    expect(await message(read({ ...minimal, exclude_modules: '.*0.*' }))).toMatch(/not one of target_modules/);
    expect(await scales({ exclude_modules: ['v'] })).toEqual({ 'h.0.q': 2 });
    const deep = pair('model.h.3.q');
    for (const more of [{ layers_to_transform: 3 }, { layers_to_transform: [1, 3], layers_pattern: 'h' }, { layers_to_transform: [] }, { layers_to_transform: [9], target_modules: ['model.h.3.q'] }]) {
      expect(await scales(more, deep)).toEqual({ 'model.h.3.q': 2 });
    }
    const experts = pair('model.layers.1.experts.0.q');
    expect(await scales({ layers_to_transform: 1 }, experts)).toEqual({ 'model.layers.1.experts.0.q': 2 });
    expect(await scales({ layers_to_transform: 0, layers_pattern: ['none', 'experts'] }, experts)).toEqual({ 'model.layers.1.experts.0.q': 2 });
    expect(await scales({ layers_to_transform: 3, layers_pattern: 'h' }, pair('h.3.q'))).toEqual({ 'h.3.q': 2 });
    for (const more of [{ layers_to_transform: [2] }, { layers_to_transform: [3], layers_pattern: ['layers'] }]) expect(await message(read({ ...minimal, ...more }, deep))).toMatch(/not one of target_modules/);
    expect(await message(read({ ...minimal, layers_to_transform: [3], target_modules: '.*q' }, deep))).toMatch(/wants target_modules to be a list/);
  });

  it('notes what changes nothing', async () => {
    const { notes } = await read({ ...minimal, target_modules: ['q', 'v'], rank_pattern: { v: 3 }, shiny_new: { on: true }, old: null });
    expect(notes).toEqual([
      'adapter_config.json has keys that PEFT 0.21 does not know and that were ignored: shiny_new.',
      'The adapter holds no tensors for these of its target_modules: v.',
      'adapter_config.json: rank_pattern: v matches no module of the adapter.',
    ]);
  });

  const unsupported: [object, RegExp][] = [
    [{ peft_type: 'LOHA' }, /peft_type must be LORA: LOHA/],
    [{ peft_type: undefined }, /peft_type must be LORA: undefined/],
    [{ use_dora: true }, /DoRA is not supported: use_dora true/],
    [{ lora_bias: true }, /h\.0\.q: lora_bias in adapter_config\.json is true: no lora_B\.bias/],
    [{ lora_bias: 1 }, /lora_bias must be true or false/],
    [{ bias: 'all' }, /bias must be 'none': all/],
    [{ modules_to_save: ['classifier'] }, /the file holds none of modules_to_save: \["classifier"\]/],
    [{ modules_to_save: 'classifier' }, /modules_to_save must be null or a list of module names: classifier/],
    [{ layer_replication: [[0, 4]] }, /layer_replication/],
    [{ target_parameters: ['w'] }, /target_parameters/],
    [{ trainable_token_indices: [1] }, /trained tokens/],
    [{ use_qalora: true }, /QA-LoRA/],
    [{ use_bdlora: { x: 1 } }, /BD-LoRA/],
    [{ alora_invocation_tokens: [1] }, /activated LoRA/],
    [{ arrow_config: { x: 1 } }, /Arrow/],
    [{ kasa_config: { x: 1 } }, /KaSA/],
    [{ monteclora_config: { x: 1 } }, /MonteCLoRA/],
    [{ megatron_config: { x: 1 } }, /Megatron/],
    [{ init_lora_weights: 'pissa_niter_4' }, /base that its initialisation changed: init_lora_weights pissa_niter_4; .*path_initial_model_for_weight_conversion/],
    [{ r: 0 }, /r must be a whole number from 1 on: 0/],
    [{ r: undefined }, /r must be a whole number from 1 on: undefined/],
    [{ r: 2.5 }, /r must be a whole number/],
    [{ lora_alpha: '4' }, /lora_alpha must be a number/],
    [{ rank_pattern: { q: 0 } }, /rank_pattern must be/],
    [{ rank_pattern: [] }, /rank_pattern must be/],
    [{ alpha_pattern: { q: null } }, /alpha_pattern must be/],
    [{ use_rslora: 'yes' }, /use_rslora must be true or false/],
    [{ target_modules: null }, /target_modules must be a list/],
    [{ target_modules: [] }, /target_modules must be a list/],
    [{ target_modules: [1] }, /target_modules must be a list/],
    [{ target_modules: '(q' }, /target_modules: the regular expression has a group that is not closed/],
    [{ rank_pattern: { '(q': 2 } }, /rank_pattern: the regular expression has/],
    [{ layers_to_transform: ['0'] }, /layers_to_transform must be/],
    [{ task_type: 'DREAM' }, /task_type must be null or one of/],
    [{ base_model_name_or_path: 3 }, /base_model_name_or_path must be/],
  ];
  it.each(unsupported)('refuses %j', async (config, says) => {
    expect(await message(read({ ...minimal, ...config }))).toMatch(says);
  });

  const tensors: [string, NewTensor[], RegExp][] = [
    ['no prefix', [A('model.h.0.q.lora_A.weight')], /must begin with base_model\.model\., otherwise PEFT loads the adapter without any effect/],
    ['half the prefix', [A('base_model.h.0.q.lora_A.weight')], /must begin with base_model\.model\./],
    ['A alone', pair('h.0.q').slice(0, 1), /h\.0\.q: lora_B\.weight is missing: only base_model\.model\.h\.0\.q\.lora_A\.weight/],
    ['B alone', pair('h.0.q').slice(1), /h\.0\.q: lora_A\.weight is missing/],
    ['a half twice', [...pair('h.0.q'), ...pair('h.0.q', 2, '.default')], /the module has this half twice/],
    ['another adapter name', pair('h.0.q', 2, '.other'), /an adapter that is not named 'default'/],
    ['DoRA', [...pair('h.0.q'), A('base_model.model.h.0.q.lora_magnitude_vector')], /lora_magnitude_vector: a DoRA magnitude is not supported/],
    ['an embedding', [A('base_model.model.embed_tokens.lora_embedding_A')], /an adapted embedding is not supported/],
    ['a saved base layer', [...pair('h.0.q'), A('base_model.model.embed_tokens.base_layer.weight')], /a saved base layer/],
    ['a bias of lora_A', [...pair('h.0.q'), A('base_model.model.h.0.q.lora_A.bias', [2])], /a bias in lora_A/],
    ['trained tokens', [A('base_model.model.e.token_adapter.trainable_tokens_delta')], /trained tokens/],
    ['a classifier', [...pair('h.0.q'), A('base_model.model.classifier.weight')], /classifier\.weight: a tensor that is not lora_A or lora_B is not supported/],
    ['a convolution', [A('base_model.model.h.0.q.lora_A.weight', [2, 3, 1, 1]), A('base_model.model.h.0.q.lora_B.weight', [4, 2, 1, 1])], /convolutions are not supported/],
    ['one dimension', [A('base_model.model.h.0.q.lora_A.weight', [6]), A('base_model.model.h.0.q.lora_B.weight', [4, 2])], /lora_A must be \[r, in\]/],
    ['another rank', pair('h.0.q', 3), /h\.0\.q: r and rank_pattern in adapter_config\.json say rank 2: lora_A \[3,3\], lora_B \[4,3\]/],
    ['another rank in B alone', [pair('h.0.q')[0]!, pair('h.0.q', 3)[1]!], /say rank 2/],
    ['integers', [{ name: 'base_model.model.h.0.q.lora_A.weight', dtype: 'I32', shape: [2, 3], data: new Int32Array(6) }, pair('h.0.q')[1]!], /lora_A\.weight: the tensor must hold F32/],
    ['a NaN', [pair('h.0.q')[0]!, { name: 'base_model.model.h.0.q.lora_B.weight', dtype: 'F32', shape: [4, 2], data: new Float32Array(8).fill(Number.NaN) }], /lora_B\.weight: .* not finite: NaN at index 0/],
    ['no tensors', [], /the adapter holds no tensor/],
  ];
  it.each(tensors)('refuses tensors with %s', async (_, list, says) => {
    expect(await message(read(minimal, list))).toMatch(says);
  });

  it('says which files are missing', async () => {
    expect(await message(readPeft(new Map()))).toMatch(/adapter_config\.json is missing: files seen: none/);
    const config = { name: 'adapter_config.json', bytes: encode(minimal) };
    expect(await message(readPeft(folder([config])))).toMatch(/adapter_model\.safetensors is missing/);
    expect(await message(readPeft(folder([config, { name: 'adapter_model.bin', bytes: new Uint8Array(1) }])))).toMatch(/safe_serialization=True/);
    const twice = new Map([...folder([config], 'one/'), ...folder([config], 'two/')]);
    expect(await message(readPeft(twice))).toMatch(/stands in several folders: one\/, two\//);
    expect(await message(readPeft(folder([{ ...config, bytes: encode([1]) }, { name: 'adapter_model.safetensors', bytes: new Uint8Array(0) }])))).toMatch(/must be one JSON object/);
  });
});
