// kohya's names, there and back, and their limits.
import { expect, test } from 'vitest';
import { normal } from '../util/random';
import { kohyaName, readKohya, writeKohya } from './kohya';
import type { LoraModule } from './peft';
import { bytesSource, openSafetensors } from './safetensors';

const numbers = (count: number, stream: number) => Float32Array.from({ length: count }, (_, i) => normal(4, stream, i));
const module = (name: string, rank: number, scale: number): LoraModule => ({ name, rank, scale, out: 6, inn: 4, A: numbers(rank * 4, rank), B: numbers(6 * rank, rank + 9) });
const modules = [module('text_encoder.text_model.encoder.layers.0.self_attn.q_proj', 2, 0.5), module('unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q', 3, 2)];

test('names by part of the pipeline; a language model has none', () => {
  expect(modules.map((m) => kohyaName(m.name))).toEqual(['lora_te_text_model_encoder_layers_0_self_attn_q_proj', 'lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q']);
  expect(kohyaName('text_model.encoder.layers.0.mlp.fc1')).toBe('lora_te_text_model_encoder_layers_0_mlp_fc1');
  expect(kohyaName('down_blocks.0.attentions.0.proj_in')).toBe('lora_unet_down_blocks_0_attentions_0_proj_in');
  expect(kohyaName('model.layers.0.self_attn.q_proj')).toBeNull();
});

test('written and read back, the modules are the same', async () => {
  const file = await openSafetensors(bytesSource('k.safetensors', writeKohya(modules)));
  expect(file.byName.get('lora_te_text_model_encoder_layers_0_self_attn_q_proj.alpha')?.shape).toEqual([]);
  expect(file.metadata).toMatchObject({ ss_network_module: 'networks.lora', ss_network_dim: '3', ss_network_alpha: '6' });
  const back = await readKohya(file, modules.map((m) => m.name));
  expect(back.sort((a, b) => a.rank - b.rank)).toEqual(modules);
});

test('with two text encoders both are counted', async () => {
  const both = [modules[0]!, module('text_encoder_2.text_model.encoder.layers.0.self_attn.q_proj', 1, 1)];
  const file = await openSafetensors(bytesSource('k.safetensors', writeKohya(both)));
  expect(file.entries.map((e) => e.name.split('_text')[0])).toEqual(expect.arrayContaining(['lora_te1', 'lora_te2']));
  expect((await readKohya(file, both.map((m) => m.name))).map((m) => m.name).sort()).toEqual(both.map((m) => m.name).sort());
});

test('a language model is refused by the name of its layer', () => {
  expect(() => writeKohya([module('model.layers.0.self_attn.q_proj', 1, 1)])).toThrow(/image models only.*q_proj.*export as PEFT/);
});
