// Layouts of well-known sizes, for benches: config.json contents without weights.
const llama = (hidden: number, layers: number, heads: number, kvHeads: number, ffn: number, vocab: number) => ({
  architectures: ['LlamaForCausalLM'], model_type: 'llama', hidden_size: hidden, num_hidden_layers: layers, num_attention_heads: heads, num_key_value_heads: kvHeads,
  intermediate_size: ffn, vocab_size: vocab, max_position_embeddings: 2048, rms_norm_eps: 1e-5, rope_theta: 10000, tie_word_embeddings: true, hidden_act: 'silu',
});

export const shapes: Readonly<Record<string, object>> = {
  'tale-1m': llama(128, 6, 4, 2, 344, 4096),
  'tale-16m': llama(384, 10, 6, 2, 1024, 4096),
  'lm-8m': llama(256, 8, 8, 8, 688, 4096),
  'smollm2-135m': llama(576, 30, 9, 3, 1536, 49152),
  gpt2: { architectures: ['GPT2LMHeadModel'], n_embd: 768, n_layer: 12, n_head: 12, n_positions: 1024, vocab_size: 50257, activation_function: 'gelu_new' },
};
