// Qwen2 and Qwen2.5 (Yang et al. 2024): Llama with biases on queries, keys and values. Qwen3 (2025) norms queries and keys instead.
import { type LlamaConfig, llama, parseLlama } from './llama';
import { type Architecture, ConfigReader } from './model';

function reader(json: unknown): ConfigReader {
  const c = new ConfigReader(json);
  // Without it sliding_window has no effect, whatever stands there.
  c.only('use_sliding_window', false);
  c.every('layer_types', 'full_attention');
  return c;
}

export const qwen2: Architecture<LlamaConfig> = {
  ...llama,
  id: 'qwen2',
  classes: { 'causal-lm': 'Qwen2ForCausalLM' },
  parse: (json) => ({ ...parseLlama(reader(json), { context: 32768, kvHeads: 32 }), qkvBias: true }),
};

export const qwen3: Architecture<LlamaConfig> = {
  ...llama,
  id: 'qwen3',
  classes: { 'causal-lm': 'Qwen3ForCausalLM' },
  parse(json) {
    const c = reader(json);
    const bias = c.flag('attention_bias', false);
    return { ...parseLlama(c, { context: 32768, kvHeads: 32, headSize: 128 }), qkNorm: true, qkvBias: bias, outBias: bias };
  },
};
