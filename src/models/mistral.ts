// Mistral (Jiang et al. 2023) where its window spans the whole context: then it is Llama, head size and all.
import { type LlamaConfig, llama, parseLlama } from './llama';
import { type Architecture, ConfigReader } from './model';

export const mistral: Architecture<LlamaConfig> = {
  ...llama,
  id: 'mistral',
  classes: { 'causal-lm': 'MistralForCausalLM' },
  parse(json) {
    const c = new ConfigReader(json);
    const config = parseLlama(c, { context: 4096 * 32, kvHeads: 8 });
    // null is no window; a config that does not speak of one means 4096.
    const window = c.isNull('sliding_window') ? null : c.size('sliding_window', 4096);
    c.holds(window === null || window >= config.context, `sliding_window = ${window} is below max_position_embeddings = ${config.context}, and attention within a window is not supported`);
    return config;
  },
};
