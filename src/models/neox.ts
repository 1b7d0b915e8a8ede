// GPT-NeoX and Pythia (Black et al. 2022): LayerNorm, queries, keys and values of a head side by side, rotary positions on a part of
// each head, and attention beside the feed-forward layers rather than before them.
import type { Scope } from '../engine/nn/network';
import { add, gelu, geluTanh, placeColumns, reshape, ropeBoth, sliceColumns, tablesOf } from '../engine/ops';
import type { Tensor } from '../engine/tensor/tensor';
import { type Architecture, ConfigReader, headSize } from './model';
import { frequenciesOf } from './rope';

export interface NeoxConfig {
  hidden: number;
  layers: number;
  heads: number;
  ffn: number;
  vocab: number;
  context: number;
  eps: number;
  /** θ of the pairs that turn: the first 2·length numbers of a head. */
  frequencies: readonly number[];
  parallel: boolean;
  bias: boolean;
  tanhForm: boolean;
}

export const neox: Architecture<NeoxConfig> = {
  id: 'gpt_neox',
  kind: 'decoder',
  classes: { 'causal-lm': 'GPTNeoXForCausalLM' },

  parse(json) {
    const c = new ConfigReader(json);
    c.only('hidden_act', 'gelu', 'gelu_new', 'gelu_fast', 'gelu_pytorch_tanh');
    c.only('tie_word_embeddings', false);
    const [hidden, heads] = [c.size('hidden_size'), c.size('num_attention_heads')];
    const share = c.number('rotary_pct', c.object('rope_parameters')?.number('partial_rotary_factor', 0.25) ?? 0.25);
    const turned = Math.floor(headSize(hidden, heads) * share);
    c.holds(turned > 0 && turned % 2 === 0 && share <= 1, `rotary_pct = ${share} turns ${turned} of the ${hidden / heads} numbers of a head; wanted an even number of them`);
    return {
      hidden, heads,
      layers: c.size('num_hidden_layers'), ffn: c.size('intermediate_size'), vocab: c.size('vocab_size'), context: c.size('max_position_embeddings', 2048),
      eps: c.number('layer_norm_eps', 1e-5), frequencies: frequenciesOf(c, turned, 'rotary_emb_base'),
      parallel: c.flag('use_parallel_residual', true), bias: c.flag('attention_bias', true), tanhForm: !c.is('hidden_act', 'gelu'),
    };
  },

  info: (c) => ({ layers: c.layers, hidden: c.hidden, heads: c.heads, kvHeads: c.heads, vocab: c.vocab, context: c.context }),

  trunk(m, c) {
    const model = m.at('gpt_neox');
    let x = model.embedding('embed_in', m.ids(), c.vocab, c.hidden);
    for (let i = 0; i < c.layers; i++) x = model.block(() => block(model.at(`layers.${i}`), x, c));
    return model.layerNorm('final_layer_norm', x, c.eps);
  },

  head: (m, c, x) => m.linear('embed_out', x, c.vocab),

  // Causal masks and rotary frequencies stored as buffers.
  ignores: (name) => /\.attention\.(masked_bias|bias|rotary_emb\.inv_freq)$/.test(name),
};

function block(m: Scope, x: Tensor, c: NeoxConfig): Tensor {
  const mixed = attention(m.at('attention'), m.layerNorm('input_layernorm', x, c.eps), c);
  const y = add(x, mixed);
  const mlp = m.at('mlp');
  const inner = mlp.linear('dense_h_to_4h', m.layerNorm('post_attention_layernorm', c.parallel ? x : y, c.eps), c.ffn, { bias: true });
  return add(y, mlp.linear('dense_4h_to_h', c.tanhForm ? geluTanh(inner) : gelu(inner), c.hidden, { bias: true }));
}

function attention(m: Scope, x: Tensor, c: NeoxConfig): Tensor {
  const [batch, time] = x.shape as [number, number];
  const [d, turned] = [c.hidden / c.heads, 2 * c.frequencies.length];
  // [batch, time · heads, 3 d]: in every head first the query, then the key, then the value.
  const qkv = reshape(m.linear('query_key_value', x, 3 * c.hidden, { bias: c.bias }), [batch, time * c.heads, 3 * d]);
  const part = (start: number, width: number) => sliceColumns(qkv, start, width);
  const joined = (t: Tensor) => reshape(t, [batch, time, c.heads * (t.shape[2] as number)]);
  const { q, k } = ropeBoth(joined(part(0, turned)), joined(part(d, turned)), tablesOf(c.frequencies, c.context), m.positions(), turned);
  /** The turned part of every head with the rest behind it. */
  const whole = (t: Tensor, start: number): Tensor => {
    if (turned === d) return t;
    const front = placeColumns(reshape(t, [batch, time * c.heads, turned]), 0, d);
    return joined(add(front, placeColumns(part(start + turned, d - turned), turned, d)));
  };
  return m.linear('dense', m.attention(whole(q, 0), whole(k, d), joined(part(2 * d, d)), c.heads, c.heads), c.hidden, { bias: c.bias });
}
