// Architectures against forward passes in double precision on the host (testing/reference.ts), their gradients against differences of
// those, equalities between relatives, and what a config may not say.
import { beforeAll, describe, expect, test } from 'vitest';
import { noAdapters } from '../engine/nn/site';
import type { Device } from '../engine/gpu/device';
import { Graph } from '../engine/tensor/graph';
import { compile } from '../engine/tensor/step';
import type { Tensor } from '../engine/tensor/tensor';
import { testDevice } from '../engine/testing/device';
import { type ByteSource, bytesSource, writeSafetensors } from '../formats/safetensors';
import { openHfFolder } from '../formats/hf-folder';
import { normals } from '../methods/testing/random';
import { Evaluator } from '../training/evaluate';
import { type LoadedModel, describeModel, freeWeights, uploadWeights } from '../training/loaded';
import { batchTensors, callOf, hostInputs } from '../training/task';
import { callModel, lossOf } from '../training/task-loss';
import { type Task, labelsOf } from './model';
import { modelFor, taskOf } from './registry';
import { Store, distilbertHost, llamaHost, neoxHost, robertaHost, visionHost } from './testing/reference';

const [VOCAB, BATCH, TIME] = [40, 2, 9];
const base = { vocab_size: VOCAB, hidden_size: 32, intermediate_size: 48, num_hidden_layers: 2, num_attention_heads: 4, max_position_embeddings: 32 };
const llama = { ...base, architectures: ['LlamaForCausalLM'], num_key_value_heads: 2, hidden_act: 'silu', rms_norm_eps: 1e-5, tie_word_embeddings: false };
const LLAMA3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };
const neox = { ...base, architectures: ['GPTNeoXForCausalLM'], hidden_act: 'gelu', rotary_pct: 0.25, use_parallel_residual: true, tie_word_embeddings: false };
const roberta = { ...base, architectures: ['RobertaForMaskedLM'], hidden_act: 'gelu', type_vocab_size: 1, pad_token_id: 1, layer_norm_eps: 1e-5 };
const distilbert = { architectures: ['DistilBertForMaskedLM'], vocab_size: VOCAB, dim: 32, hidden_dim: 48, n_layers: 2, n_heads: 4, max_position_embeddings: 32, activation: 'gelu' };
const classes: Task = { kind: 'sequence-classification', labels: ['a', 'b', 'c'] };
const words: Task = { kind: 'token-classification', labels: ['a', 'b', 'c'] };

const CASES = [
  ['Llama', llama, llamaHost],
  ['Llama with biases and a head size of its own', { ...llama, attention_bias: true, head_dim: 12 }, llamaHost],
  ['Llama 3.1, slow waves slowed', { ...llama, rope_theta: 500000, rope_scaling: LLAMA3 }, llamaHost],
  ['Llama with linear scaling', { ...llama, rope_scaling: { type: 'linear', factor: 4 } }, llamaHost],
  ['Mistral', { ...llama, architectures: ['MistralForCausalLM'], sliding_window: null }, llamaHost],
  ['Qwen2', { ...llama, architectures: ['Qwen2ForCausalLM'], use_sliding_window: false, sliding_window: 8 }, llamaHost],
  ['Qwen3', { ...llama, architectures: ['Qwen3ForCausalLM'], head_dim: 16 }, llamaHost],
  ['Pythia, a quarter of each head turned', { ...neox, hidden_size: 64 }, neoxHost],
  ['GPT-NeoX, one after the other, whole heads', { ...neox, rotary_pct: 1, use_parallel_residual: false }, neoxHost],
  ['RoBERTa', roberta, robertaHost],
  ['RoBERTa, classes', roberta, robertaHost, classes],
  ['RoBERTa, a tag a word', roberta, robertaHost, words],
  ['DistilBERT', distilbert, distilbertHost],
  ['DistilBERT, classes', distilbert, distilbertHost, classes],
  ['DistilBERT, a tag a word', distilbert, distilbertHost, words],
] as const;

let device: Device;
beforeAll(async () => { device = await testDevice(); });

const sources = (config: object, tensors: Iterable<{ name: string; shape: number[]; data: Float32Array }>): Map<string, ByteSource> => new Map([
  ['config.json', bytesSource('config.json', new TextEncoder().encode(JSON.stringify(config)))],
  ['model.safetensors', bytesSource('model.safetensors', writeSafetensors([...tensors].map((t) => ({ ...t, dtype: 'F32' as const, data: t.data as Float32Array<ArrayBuffer> })), { format: 'pt' }))],
]);
async function load(config: object, store: Store, task?: Task): Promise<LoadedModel> {
  const loaded = describeModel('tiny', await openHfFolder(sources(config, store.tensors.values())), task);
  await uploadWeights(device, loaded);
  return loaded;
}

/** The second row's last two tokens are padding where the model is an encoder. */
function batchFor(encoder: boolean, byClass: boolean, most = VOCAB) {
  const lengths = [TIME, encoder ? TIME - 2 : TIME];
  const ids = Array.from({ length: BATCH }, (_, b) => Array.from({ length: TIME }, (_, t) => (t < (lengths[b] as number) ? 2 + ((7 * t * t + 5 * b + t) % (VOCAB - 2)) : 1)));
  const labels = byClass ? [2, 0] : ids.flatMap((row, b) => row.map((_, t) => (encoder && (t >= (lengths[b] as number) || t % 3 !== 1) ? -100 : (3 * t + b) % most)));
  const mask = ids.flatMap((row, b) => row.map((_, t) => Number(t < (lengths[b] as number))));
  return { ids, lengths, host: { input_ids: Uint32Array.from(ids.flat()), labels: Int32Array.from(labels), attention_mask: Uint32Array.from(mask) } };
}

/** Logits, loss and gradients of all weights. */
async function outcome(loaded: LoadedModel, host: ReturnType<typeof batchFor>['host'], batch = BATCH) {
  const tensors = batchTensors(loaded, [batch, TIME]);
  const weights = [...loaded.network.weights];
  const graph = new Graph();
  const { logits, grads } = graph.record(() => {
    const logits = callModel(loaded, noAdapters, callOf(tensors, { training: true }));
    const { loss } = lossOf(loaded, logits, tensors.labels);
    return { logits, grads: graph.grad(loss, weights.map(([, w]) => w.tensor)) };
  });
  const step = await compile(device, graph, { keep: [logits, ...grads] });
  step.run(hostInputs(tensors, host));
  const gradients = new Map<string, Float32Array>();
  for (const [i, [name]] of weights.entries()) gradients.set(name, await step.read(grads[i] as Tensor));
  const result = { logits: await step.read(logits), gradients };
  step.dispose();
  return result;
}

/** Mean cross-entropy of the rows of logits that have a label; of causal models the label of the next token. */
function hostLoss(rows: readonly (readonly number[])[], labels: readonly number[]): number {
  const losses = rows.flatMap((row, i) => {
    const label = labels[i] as number;
    if (label < 0) return [];
    const top = Math.max(...row);
    return [top + Math.log(row.reduce((sum, x) => sum + Math.exp(x - top), 0)) - (row[label] as number)];
  });
  return losses.reduce((a, b) => a + b, 0) / losses.length;
}

/** The slope of the loss along a direction in all weights: by these gradients, and by differences of the loss on the host. */
function slopes(store: Store, gradients: ReadonlyMap<string, Float32Array>, lossOn: (store: Store) => number): { slope: number; differences: number } {
  const directions = new Map([...store.tensors.values()].map(({ name, data }) => [name, normals(data.length, `direction ${name}`, 1)]));
  const slope = [...directions].reduce((all, [name, direction]) => all + (gradients.get(name) as Float32Array).reduce((sum, g, i) => sum + g * (direction[i] as number), 0), 0);
  const moved = (h: number) => {
    const other = new Store();
    for (const { name, shape, data } of store.tensors.values()) other.tensors.set(name, { name, shape, data: Float64Array.from(data, (x, i) => x + h * (directions.get(name)?.[i] as number)) as never });
    return lossOn(other);
  };
  return { slope, differences: (moved(1e-5) - moved(-1e-5)) / 2e-5 };
}

describe.each(CASES)('%s', (_, config, hostForward, task?: Task) => {
  const chosen = task ?? taskOf(config);
  const [encoder, byClass] = [chosen.kind !== 'causal-lm', chosen.kind === 'sequence-classification'];
  const { ids, lengths, host } = batchFor(encoder, byClass, labelsOf(chosen)?.length);
  const hostRows = (store: Store) => ids.flatMap((row, b) => hostForward(config as never, store, row, lengths[b] as number, chosen.kind));

  test('logits, and the slope of the loss along a direction in all weights', async () => {
    const store = new Store();
    const want = hostRows(store);
    const loaded = await load(config, store, chosen);
    expect([...loaded.network.created]).toEqual([]);
    const { logits, gradients } = await outcome(loaded, host);
    // What padding gives is nobody's business.
    const real = want.flatMap((row, i) => (byClass || host.attention_mask[i] === 1 ? row.map((value, j) => [value, logits[i * row.length + j] as number] as const) : []));
    const largest = Math.max(...real.map(([value]) => Math.abs(value)));
    for (const [value, got] of real) expect(Math.abs(got - value)).toBeLessThan(5e-6 * largest);

    const labels = [...host.labels];
    const shifted = encoder ? labels : labels.map((_, i) => (i % TIME === TIME - 1 ? -100 : (labels[i + 1] as number)));
    const { slope, differences } = slopes(store, gradients, (other) => hostLoss(hostRows(other), shifted));
    expect(Math.abs(slope - differences)).toBeLessThan(5e-5 * Math.max(1, Math.abs(differences)));
    freeWeights(device, loaded);
  });
});

test.each([false, true])('pairs of texts by their cosines, and the slope of their loss; symmetric: %s', async (symmetric) => {
  const [scale, pairs] = [7, 3];
  const task: Task = { kind: 'sentence-embedding', scale, symmetric };
  // Three pairs and a place without one.
  const ids = Array.from({ length: 8 }, (_, b) => Array.from({ length: TIME }, (_, t) => 2 + ((7 * t * t + 5 * b + t) % (VOCAB - 2))));
  const lengths = ids.map((_, b) => (b % 4 === 3 ? 0 : TIME - (b % 4)));
  const host = { input_ids: Uint32Array.from(ids.flat()), labels: Int32Array.from([0, 1, 2, -100]), attention_mask: Uint32Array.from(ids.flatMap((row, b) => row.map((_, t) => Number(t < (lengths[b] as number))))) };
  const cosines = (store: Store) => {
    const means = ids.map((row, b) => (lengths[b] === 0 ? [] : (robertaHost(roberta, store, row, lengths[b] as number, task.kind)[0] as number[])));
    const dot = (x: number[], y: number[]) => x.reduce((sum, v, i) => sum + v * (y[i] as number), 0);
    return Array.from({ length: pairs }, (_, i) => Array.from({ length: pairs }, (_, j) => {
      const [a, b] = [means[i], means[4 + j]] as [number[], number[]];
      return (scale * dot(a, b)) / Math.sqrt(dot(a, a) * dot(b, b));
    }));
  };
  const lossOn = (store: Store) => {
    const rows = cosines(store);
    const back = rows.map((_, j) => rows.map((row) => row[j] as number));
    return symmetric ? (hostLoss(rows, [0, 1, 2]) + hostLoss(back, [0, 1, 2])) / 2 : hostLoss(rows, [0, 1, 2]);
  };
  const store = new Store();
  const want = cosines(store);
  const bare = new Store();
  for (const t of store.tensors.values()) bare.tensors.set(t.name.slice('roberta.'.length), { ...t, name: t.name.slice('roberta.'.length) });
  const loaded = await load({ ...roberta, architectures: ['RobertaModel'] }, bare, task);
  const { logits, gradients } = await outcome(loaded, host, 4);
  want.forEach((row, i) => row.forEach((value, j) => expect(Math.abs((logits[4 * i + j] as number) - value)).toBeLessThan(5e-6 * scale)));
  const { slope, differences } = slopes(store, new Map([...gradients].map(([name, g]) => [`roberta.${name}`, g])), lossOn);
  expect(Math.abs(slope - differences)).toBeLessThan(5e-5 * Math.max(1, Math.abs(differences)));
  freeWeights(device, loaded);
});

test('DeiT: logits of two pictures', async () => {
  const config = { ...base, architectures: ['DeiTForImageClassification'], hidden_act: 'gelu', image_size: 12, patch_size: 4, id2label: { 0: 'a', 1: 'b', 2: 'c' } };
  const [store, pixels] = [new Store(), normals(2 * 3 * 12 * 12, 'pixels', 1)];
  const want = [0, 1].flatMap((b) => visionHost(config, store, pixels.subarray(b * 432, (b + 1) * 432), 'deit', ['cls_token', 'distillation_token'], 3));
  const loaded = await load(config, store);
  const evaluator = await Evaluator.create(device, loaded, noAdapters, [2, 1]);
  const got = await evaluator.logitsOf({ input_ids: new Uint32Array(), pixel_values: pixels, labels: Int32Array.of(0, 1) });
  const largest = Math.max(...want.map(Math.abs));
  want.forEach((value, i) => expect(Math.abs(value - (got[i] as number))).toBeLessThan(5e-6 * largest));
  evaluator.dispose();
  freeWeights(device, loaded);
});

describe('relatives', () => {
  const plain = new Store();
  llamaHost(llama, plain, [1, 2], 2);
  const { host } = batchFor(false, false);
  const logitsOf = async (config: object, store: Store) => {
    const loaded = await load(config, store);
    const { logits } = await outcome(loaded, host);
    freeWeights(device, loaded);
    return logits;
  };

  test('Mistral is Llama; so is Qwen2 with biases of zero', async () => {
    const want = await logitsOf(llama, plain);
    expect(await logitsOf({ ...llama, architectures: ['MistralForCausalLM'], sliding_window: 32 }, plain)).toEqual(want);
    const zero = new Store();
    for (const t of plain.tensors.values()) zero.tensors.set(t.name, t);
    for (const i of [0, 1]) for (const [part, size] of [['q', 32], ['k', 16], ['v', 16]] as const) {
      const name = `model.layers.${i}.self_attn.${part}_proj.bias`;
      zero.tensors.set(name, { name, shape: [size], data: new Float32Array(size) });
    }
    expect(await logitsOf({ ...llama, architectures: ['Qwen2ForCausalLM'] }, zero)).toEqual(want);
  });

  test('a checkpoint without a head is read without the prefix, and its head is made', async () => {
    const store = new Store();
    robertaHost(roberta, store, [3, 4], 2);
    const bare = new Store();
    for (const t of store.tensors.values()) if (t.name.startsWith('roberta.')) bare.tensors.set(t.name.slice(8), { ...t, name: t.name.slice(8) });
    const { host: masked } = batchFor(true, true);
    const run = async (config: object, from: Store) => {
      const loaded = await load(config, from, classes);
      const { logits } = await outcome(loaded, masked);
      freeWeights(device, loaded);
      return { logits, created: [...loaded.network.created] };
    };
    const [whole, without] = [await run(roberta, store), await run({ ...roberta, architectures: ['RobertaModel'] }, bare)];
    expect(without.created).toEqual(['classifier.dense.weight', 'classifier.dense.bias', 'classifier.out_proj.weight', 'classifier.out_proj.bias']);
    expect(without.logits).toEqual(whole.logits);
    expect(taskOf({ ...roberta, architectures: ['RobertaModel'] }).kind).toBe('sequence-classification');
    expect(taskOf({ architectures: ['BertModel'] }).kind).toBe('sequence-classification');
    expect(taskOf({ architectures: ['DistilBertModel'] }).kind).toBe('sequence-classification');
  });
});

describe('what a config may not say', () => {
  test.each([
    [{ ...llama, rope_scaling: { rope_type: 'dynamic', factor: 2 } }, /rope_scaling\.rope_type = "dynamic" is not supported/],
    [{ ...llama, rope_scaling: { type: 'yarn', factor: 2 } }, /rope_scaling\.type = "yarn" is not supported/],
    [{ ...llama, rope_parameters: { rope_type: 'longrope' } }, /rope_type = "longrope" is not supported/],
    [{ ...llama, rope_scaling: { type: 'linear' } }, /factor: wanted a number/],
    [{ ...llama, rope_scaling: { ...LLAMA3, low_freq_factor: 4 } }, /low_freq_factor = 4 is not below high_freq_factor = 4/],
    [{ ...llama, rope_scaling: { type: 'linear', factor: -1 } }, /factor: wanted a number above 0, got -1/],
    [{ ...llama, architectures: ['MistralForCausalLM'], max_position_embeddings: 32768 }, /sliding_window = 4096 is below max_position_embeddings = 32768/],
    [{ ...llama, architectures: ['Qwen2ForCausalLM'], use_sliding_window: true }, /use_sliding_window = true is not supported/],
    [{ ...llama, architectures: ['Qwen3ForCausalLM'], layer_types: ['full_attention', 'sliding_attention'] }, /layer_types with "sliding_attention" is not supported/],
    [{ ...llama, architectures: ['GemmaForCausalLM'] }, /architecture "GemmaForCausalLM" is not supported/],
    [{ ...neox, rotary_pct: 0.1 }, /rotary_pct = 0\.1 turns 0 of the 8 numbers/],
    [{ ...neox, hidden_act: 'relu' }, /hidden_act = "relu" is not supported/],
    [{ ...roberta, type_vocab_size: 2 }, /type_vocab_size = 2 is not supported/],
    [{ ...roberta, pad_token_id: 40 }, /max_position_embeddings = 32 leaves no place behind pad_token_id = 40/],
    [{ ...distilbert, activation: 'relu' }, /activation = "relu" is not supported/],
    [{ architectures: ['CLIPModel'], text_config: {} }, /vision_config is missing/],
    [{ architectures: ['CLIPModel'], text_config: { hidden_act: 'relu' }, vision_config: {} }, /hidden_act = "relu" is not supported/],
    [{ architectures: ['ViTForImageClassification'], image_size: 30, patch_size: 4 }, /image_size = 30 is no multiple of patch_size = 4/],
  ])('%o', (config, message) => {
    expect(() => modelFor(config).parse(config)).toThrow(message);
  });
});
