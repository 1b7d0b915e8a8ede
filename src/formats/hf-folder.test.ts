import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { CheckpointError } from '../util/errors';
import { openHfFolder } from './hf-folder';
import { type ByteSource, bytesSource, writeSafetensors } from './safetensors';

const model = join(import.meta.dirname, '../../public/models/tale-1m');
const weights = writeSafetensors([{ name: 'w', dtype: 'F32', shape: [1], data: Float32Array.of(5) }]);

function folder(files: Record<string, string | Uint8Array>): Map<string, ByteSource> {
  return new Map(Object.entries(files).map(([name, content]) => [name, bytesSource(name, typeof content === 'string' ? new TextEncoder().encode(content) : content)]));
}

async function message(files: Record<string, string | Uint8Array>): Promise<string> {
  const error = await openHfFolder(folder(files)).then(() => null, (e: unknown) => e);
  expect(error).toBeInstanceOf(CheckpointError);
  return (error as CheckpointError).message;
}

describe('a folder of Hugging Face', () => {
  it('opens a real one', async () => {
    const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'chat_template.jinja', 'model.safetensors', 'generation_config.json'];
    const opened = await openHfFolder(folder(Object.fromEntries(names.map((name) => [name, new Uint8Array(readFileSync(join(model, name)))]))));
    expect(opened.config).toMatchObject({ hidden_size: 128 });
    expect(opened.tokenizer).toMatchObject({ model: { vocab: {} } });
    expect(opened.tokenizerConfig).toBeTypeOf('object');
    expect(opened.chatTemplate).toBe(readFileSync(join(model, 'chat_template.jinja'), 'utf8'));
    expect(opened.weights.byName.has('model.embed_tokens.weight')).toBe(true);
  });

  it('finds it below the name of a dropped folder, and not in deeper ones', async () => {
    const opened = await openHfFolder(folder({ 'm/config.json': '{"a":1}', 'm/model.safetensors': weights, 'm/onnx/config.json': '{"a":2}', 'm/onnx/tokenizer.json': '{}' }));
    expect(opened).toMatchObject({ config: { a: 1 }, tokenizer: null, tokenizerConfig: null, chatTemplate: null });
    expect(await opened.weights.f32('w')).toEqual(Float32Array.of(5));
  });

  it('opens shards beside their index', async () => {
    const opened = await openHfFolder(folder({ 'm/config.json': '{}', 'm/model.safetensors.index.json': '{"weight_map":{"w":"model-00001-of-00001.safetensors"}}', 'm/model-00001-of-00001.safetensors': weights }));
    expect(await opened.weights.f32('w')).toEqual(Float32Array.of(5));
  });

  it('takes the chat template from where there is one', async () => {
    const open = async (files: Record<string, string>) => (await openHfFolder(folder({ 'config.json': '{}', 'model.safetensors': weights, ...files }))).chatTemplate;
    expect(await open({ 'tokenizer_config.json': '{"chat_template":"old"}' })).toBe('old');
    expect(await open({ 'tokenizer_config.json': '{"chat_template":"old"}', 'chat_template.jinja': 'new' })).toBe('new');
    expect(await open({ 'tokenizer_config.json': '{"chat_template":[{"name":"tool","template":"t"},{"name":"default","template":"d"}]}' })).toBe('d');
    expect(await open({ 'tokenizer_config.json': '{"chat_template":[]}' })).toBeNull();
    expect(await open({ 'tokenizer_config.json': '{}' })).toBeNull();
  });

  it('says what is missing, what was seen and what to do', async () => {
    expect(await message({})).toMatch(/^model folder: config\.json is missing: files seen: none; choose the whole folder/);
    expect(await message({ 'model.safetensors': weights })).toMatch(/files seen: model\.safetensors;/);
    expect(await message({ 'adapter_config.json': '{}' })).toMatch(/this is an adapter: open its base model first/);
    expect(await message({ 'config.json': '{}' })).toMatch(/model\.safetensors is missing, and so is .*index\.json: files seen: config\.json/);
    expect(await message({ 'config.json': '{}', 'pytorch_model.bin': 'x' })).toMatch(/safe_serialization=True/);
    expect(await message({ 'config.json': '{}', 'model.gguf': 'x' })).toMatch(/GGUF/);
    expect(await message({ 'config.json': '{}', 'model-00001-of-00002.safetensors': weights })).toMatch(/add model\.safetensors\.index\.json/);
    expect(await message({ 'config.json': '{}', 'model.safetensors.index.json': '{"weight_map":{"w":"b.safetensors"}}' })).toMatch(/the shard b\.safetensors is missing: files seen: config\.json, model\.safetensors\.index\.json;/);
    expect(await message({ 'a/config.json': '{}', 'b/config.json': '{}' })).toMatch(/config\.json: stands in several folders/);
  });

  it('names the file that is damaged', async () => {
    const right = { 'config.json': '{}', 'model.safetensors': weights, 'tokenizer.json': '{}', 'tokenizer_config.json': '{}' };
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json']) {
      expect(await message({ ...right, [name]: '{' })).toMatch(new RegExp(`^${name}: is not valid JSON`));
      expect(await message({ ...right, [name]: Uint8Array.of(0xff) })).toMatch(new RegExp(`^${name}: is not UTF-8`));
    }
    expect(await message({ ...right, 'config.json': '{"a":1,"a":2}' })).toMatch(/config\.json: a: the key stands twice/);
    expect(await message({ ...right, 'model.safetensors': 'short' })).toMatch(/model\.safetensors: a safetensors file has at least 8 bytes/);
  });
});
