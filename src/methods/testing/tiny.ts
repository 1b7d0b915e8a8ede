// Tiny models made on the fly, as folders in memory that go through the real readers and checks.
import type { Device } from '../../engine/gpu/device';
import { Network } from '../../engine/nn/network';
import { noAdapters } from '../../engine/nn/site';
import { Graph } from '../../engine/tensor/graph';
import type { Files } from '../../formats/folder';
import { openHfFolder } from '../../formats/hf-folder';
import { type NewTensor, bytesSource, writeSafetensors } from '../../formats/safetensors';
import type { Task } from '../../models/model';
import { modelFor, taskOf } from '../../models/registry';
import { type LoadedModel, describeModel, uploadWeights } from '../../training/loaded';
import { batchTensors, callOf } from '../../training/task';
import { callModel } from '../../training/task-loss';
import { normals } from './random';

/** Two blocks of grouped-query attention, so that every kind of linear layer stands there twice. */
export const LLAMA = {
  architectures: ['LlamaForCausalLM'], model_type: 'llama', vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2,
  num_attention_heads: 4, num_key_value_heads: 2, head_dim: 8, hidden_act: 'silu', max_position_embeddings: 32, rms_norm_eps: 1e-5,
  tie_word_embeddings: false, rope_theta: 10000, attention_bias: false, mlp_bias: false,
};
/** Its checkpoint stores every layer as [in, out]. */
export const GPT2 = {
  architectures: ['GPT2LMHeadModel'], model_type: 'gpt2', activation_function: 'gelu_new', vocab_size: 64, n_embd: 32, n_head: 4, n_layer: 2,
  n_positions: 32, n_inner: 48, layer_norm_epsilon: 1e-5, tie_word_embeddings: true,
};
/** An encoder: every token sees every other. No head but that of masked language modelling. */
export const BERT = {
  architectures: ['BertForMaskedLM'], model_type: 'bert', vocab_size: 64, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4,
  hidden_act: 'gelu', max_position_embeddings: 32, type_vocab_size: 2, layer_norm_eps: 1e-12, initializer_range: 0.02, tie_word_embeddings: true,
};
/** Pictures of 8 × 8 in four patches, without a head. */
export const VIT = { architectures: ['ViTModel'], model_type: 'vit', image_size: 8, patch_size: 4, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, hidden_act: 'gelu' };
/** Its texts are tokens of the built-in WordPiece, read at [SEP]. */
export const CLIP = {
  architectures: ['CLIPModel'], model_type: 'clip', projection_dim: 16,
  text_config: { vocab_size: 8192, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 1, num_attention_heads: 4, max_position_embeddings: 12, eos_token_id: 3 },
  vision_config: { image_size: 8, patch_size: 4, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4 },
};
/** Models of texts. */
export type TextConfig = typeof LLAMA | typeof GPT2 | typeof BERT;
export type TinyConfig = TextConfig | typeof VIT | typeof CLIP;

type Shapes = [name: string, shape: number[]][];

function llamaShapes(c: typeof LLAMA): Shapes {
  const [width, kv] = [c.hidden_size, c.num_key_value_heads * c.head_dim];
  const block = (i: number): Shapes => [
    ['input_layernorm', [width]], ['post_attention_layernorm', [width]],
    ['self_attn.q_proj', [width, width]], ['self_attn.k_proj', [kv, width]], ['self_attn.v_proj', [kv, width]], ['self_attn.o_proj', [width, width]],
    ['mlp.gate_proj', [c.intermediate_size, width]], ['mlp.up_proj', [c.intermediate_size, width]], ['mlp.down_proj', [width, c.intermediate_size]],
  ].map(([name, shape]) => [`model.layers.${i}.${name}.weight`, shape]) as Shapes;
  return [
    ['model.embed_tokens.weight', [c.vocab_size, width]], ['model.norm.weight', [width]], ['lm_head.weight', [c.vocab_size, width]],
    ...Array.from({ length: c.num_hidden_layers }, (_, i) => block(i)).flat(),
  ];
}

function gpt2Shapes(c: typeof GPT2): Shapes {
  const width = c.n_embd;
  const norm = (name: string): Shapes => [[`${name}.weight`, [width]], [`${name}.bias`, [width]]];
  const linear = (name: string, inn: number, out: number): Shapes => [[`${name}.weight`, [inn, out]], [`${name}.bias`, [out]]];
  const block = (at: string): Shapes => [
    ...norm(`${at}.ln_1`), ...linear(`${at}.attn.c_attn`, width, 3 * width), ...linear(`${at}.attn.c_proj`, width, width),
    ...norm(`${at}.ln_2`), ...linear(`${at}.mlp.c_fc`, width, c.n_inner), ...linear(`${at}.mlp.c_proj`, c.n_inner, width),
  ];
  return [
    ['transformer.wte.weight', [c.vocab_size, width]], ['transformer.wpe.weight', [c.n_positions, width]], ...norm('transformer.ln_f'),
    ...Array.from({ length: c.n_layer }, (_, i) => block(`transformer.h.${i}`)).flat(),
  ];
}

function bertShapes(c: typeof BERT): Shapes {
  const width = c.hidden_size;
  const norm = (name: string): Shapes => [[`${name}.weight`, [width]], [`${name}.bias`, [width]]];
  const linear = (name: string, inn: number, out: number): Shapes => [[`${name}.weight`, [out, inn]], [`${name}.bias`, [out]]];
  const block = (at: string): Shapes => [
    ...['query', 'key', 'value'].flatMap((name) => linear(`${at}.attention.self.${name}`, width, width)), ...linear(`${at}.attention.output.dense`, width, width), ...norm(`${at}.attention.output.LayerNorm`),
    ...linear(`${at}.intermediate.dense`, width, c.intermediate_size), ...linear(`${at}.output.dense`, c.intermediate_size, width), ...norm(`${at}.output.LayerNorm`),
  ];
  return [
    ['bert.embeddings.word_embeddings.weight', [c.vocab_size, width]], ['bert.embeddings.position_embeddings.weight', [c.max_position_embeddings, width]],
    ['bert.embeddings.token_type_embeddings.weight', [c.type_vocab_size, width]], ...norm('bert.embeddings.LayerNorm'),
    ...Array.from({ length: c.num_hidden_layers }, (_, i) => block(`bert.encoder.layer.${i}`)).flat(),
    ...linear('cls.predictions.transform.dense', width, width), ...norm('cls.predictions.transform.LayerNorm'), ['cls.predictions.bias', [c.vocab_size]],
  ];
}

/** Every weight that the architecture asks for, with the head of the task left to be made. */
function askedShapes(config: TinyConfig): Shapes {
  const [model, task] = [modelFor(config), taskOf(config)];
  const parsed = model.parse(config);
  const network = new Network(model.heads?.(parsed, task));
  const info = model.info(parsed);
  new Graph().record(() => callModel({ model, network, config: parsed, task }, noAdapters, callOf(batchTensors({ model, info, task }, [1, 2]), { training: false })));
  return [...network.weights].filter(([name]) => !network.headOf(name)).map(([name, { tensor: t }]) => [name, [...t.shape]]);
}

/** Norm weights about 1, biases small, matrices N(0, 1.5² / width): signals keep their size, and logits differ by a few nats. */
function values(name: string, shape: readonly number[], width: number, seed: number): Float32Array {
  const size = shape.reduce((a, b) => a * b, 1);
  const [mean, std] = shape.length === 2 ? [0, 1.5 / Math.sqrt(width)] : name.endsWith('bias') ? [0, 0.1] : [1, 0.1];
  return normals(size, `${seed} ${name}`, std).map((x) => x + mean);
}

/** The tensors of a model of this config, as its checkpoint holds them. */
export function tinyTensors(config: TinyConfig, seed = 1): NewTensor[] {
  const [shapes, width] = !('vocab_size' in config) ? [askedShapes(config), 32] : 'n_embd' in config ? [gpt2Shapes(config), config.n_embd] : [config.model_type === 'bert' ? bertShapes(config as typeof BERT) : llamaShapes(config as typeof LLAMA), config.hidden_size];
  return shapes.map(([name, shape]) => ({ name, dtype: 'F32', shape, data: values(name, shape, width, seed) }));
}

/** A Hugging Face folder of a config and the bytes of model.safetensors. */
export function folderOf(config: TinyConfig, weights: Uint8Array): Files {
  const text = new TextEncoder().encode(JSON.stringify(config));
  return new Map([['config.json', bytesSource('config.json', text)], ['model.safetensors', bytesSource('model.safetensors', weights)]]);
}

/** The way of every model: folder, dry run, checks, weights to the device. */
export async function loadFolder(device: Device, files: Files, task?: Task): Promise<LoadedModel> {
  const loaded = describeModel('tiny', await openHfFolder(files), task);
  await uploadWeights(device, loaded);
  return loaded;
}

export const loadTiny = (device: Device, config: TinyConfig = LLAMA, seed = 1, task?: Task): Promise<LoadedModel> => loadFolder(device, folderOf(config, writeSafetensors(tinyTensors(config, seed), { format: 'pt' })), task);
