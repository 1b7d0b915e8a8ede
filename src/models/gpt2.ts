// GPT-2 (Radford et al. 2019): LayerNorm, learned positions, fused qkv, GELU in its tanh form. The checkpoint stores [in, out].
import type { Scope } from '../engine/nn/network';
import { add, addPositions, geluTanh, sliceColumns } from '../engine/ops';
import type { Tensor } from '../engine/tensor/tensor';
import { type Architecture, ConfigReader, headSize } from './model';

export interface Gpt2Config {
  width: number;
  layers: number;
  heads: number;
  inner: number;
  vocab: number;
  context: number;
  eps: number;
}

export const gpt2: Architecture<Gpt2Config> = {
  id: 'gpt2',
  kind: 'decoder',
  classes: { 'causal-lm': 'GPT2LMHeadModel' },

  parse(json) {
    const c = new ConfigReader(json);
    c.only('activation_function', 'gelu_new', 'gelu_pytorch_tanh');
    c.only('scale_attn_weights', true);
    c.only('scale_attn_by_inverse_layer_idx', false);
    c.only('reorder_and_upcast_attn', false, true);
    c.only('add_cross_attention', false);
    c.only('tie_word_embeddings', true);
    const width = c.size('n_embd');
    const heads = c.size('n_head');
    headSize(width, heads, 'n_embd', 'n_head');
    return { width, heads, layers: c.size('n_layer'), inner: c.size('n_inner', 4 * width), vocab: c.size('vocab_size'), context: c.size('n_positions'), eps: c.number('layer_norm_epsilon', 1e-5) };
  },

  info: (c) => ({ layers: c.layers, hidden: c.width, heads: c.heads, kvHeads: c.heads, vocab: c.vocab, context: c.context }),

  trunk(m, c) {
    const model = m.at('transformer');
    let x = addPositions(model.embedding('wte', m.ids(), c.vocab, c.width), model.positionEmbedding('wpe', c.context, c.width));
    for (let i = 0; i < c.layers; i++) x = model.block(() => block(model.at(`h.${i}`), x, c));
    return model.layerNorm('ln_f', x, c.eps);
  },

  head: (m, c, x) => m.at('transformer').tiedHead('wte', x, c.vocab),

  // Causal masks stored as buffers, and the tied head.
  ignores: (name) => /\.attn\.(masked_)?bias$/.test(name) || name === 'lm_head.weight',
};

function block(m: Scope, x: Tensor, c: Gpt2Config): Tensor {
  const stored = { bias: true, transposed: true };
  const attn = m.at('attn');
  const qkv = attn.linear('c_attn', m.layerNorm('ln_1', x, c.eps), 3 * c.width, stored);
  const [q, k, v] = [0, 1, 2].map((i) => sliceColumns(qkv, i * c.width, c.width)) as [Tensor, Tensor, Tensor];
  const y = add(x, attn.linear('c_proj', attn.attention(q, k, v, c.heads, c.heads), c.width, stored));
  const mlp = m.at('mlp');
  return add(y, mlp.linear('c_proj', geluTanh(mlp.linear('c_fc', m.layerNorm('ln_2', y, c.eps), c.inner, stored)), c.width, stored));
}
