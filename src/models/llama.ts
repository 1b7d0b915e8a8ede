// The Llama layout: RMSNorm, rotary positions, grouped-query attention, SwiGLU (Touvron et al. 2023).
import type { Scope } from '../engine/nn/network';
import { add, ropeBoth, ropeTables, swiglu } from '../engine/ops';
import type { Tensor } from '../engine/tensor/tensor';
import { ConfigError } from '../util/errors';
import { ConfigReader, type Architecture } from './model';

export interface LlamaConfig {
  hidden: number;
  layers: number;
  heads: number;
  kvHeads: number;
  headSize: number;
  ffn: number;
  vocab: number;
  context: number;
  eps: number;
  theta: number;
  tied: boolean;
  attentionBias: boolean;
  mlpBias: boolean;
}

export const llama: Architecture<LlamaConfig> = {
  id: 'llama',
  kind: 'decoder',
  classes: { 'causal-lm': 'LlamaForCausalLM' },

  parse(json) {
    const c = new ConfigReader(json);
    c.only('hidden_act', 'silu');
    c.only('rope_scaling', null);
    c.only('pretraining_tp', 1);
    const ropes = c.object('rope_parameters');
    ropes?.only('rope_type', 'default');
    const hidden = c.size('hidden_size');
    const heads = c.size('num_attention_heads');
    const config = {
      hidden, heads,
      layers: c.size('num_hidden_layers'),
      kvHeads: c.size('num_key_value_heads', heads),
      headSize: c.size('head_dim', hidden / heads),
      ffn: c.size('intermediate_size'),
      vocab: c.size('vocab_size'),
      context: c.size('max_position_embeddings', 2048),
      eps: c.number('rms_norm_eps', 1e-6),
      theta: c.number('rope_theta', ropes?.number('rope_theta', 10000) ?? 10000),
      tied: c.flag('tie_word_embeddings', false),
      attentionBias: c.flag('attention_bias', false),
      mlpBias: c.flag('mlp_bias', false),
    };
    if (config.headSize % 4 !== 0) throw new ConfigError(`config.json: head_dim = ${config.headSize} is not supported`, 'Head sizes must be multiples of 4.');
    if (heads % config.kvHeads !== 0) throw new ConfigError(`config.json: num_attention_heads = ${heads} is no multiple of num_key_value_heads = ${config.kvHeads}`);
    return config;
  },

  info: (c) => ({ layers: c.layers, hidden: c.hidden, heads: c.heads, kvHeads: c.kvHeads, vocab: c.vocab, context: c.context }),

  trunk(m, c) {
    const model = m.at('model');
    let x = model.embedding('embed_tokens', m.call.ids, c.vocab, c.hidden);
    for (let i = 0; i < c.layers; i++) x = model.block(() => block(model.at(`layers.${i}`), x, c));
    return model.rmsNorm('norm', x, c.eps);
  },

  head: (m, c, x) => (c.tied ? m.at('model').tiedHead('embed_tokens', x, c.vocab) : m.linear('lm_head', x, c.vocab)),

  // Old checkpoints store the rotary frequencies; a tied head may be stored twice.
  ignores: (name, c) => name.endsWith('rotary_emb.inv_freq') || (c.tied && name === 'lm_head.weight'),
};

function block(m: Scope, x: Tensor, c: LlamaConfig): Tensor {
  const attn = m.at('self_attn');
  const tables = ropeTables(c.theta, c.headSize, c.context);
  const bias = c.attentionBias;
  const h = m.rmsNorm('input_layernorm', x, c.eps);
  const [q0, k0] = [attn.linear('q_proj', h, c.heads * c.headSize, { bias }), attn.linear('k_proj', h, c.kvHeads * c.headSize, { bias })];
  const { q, k } = ropeBoth(q0, k0, tables, m.positions(), c.headSize);
  const v = attn.linear('v_proj', h, c.kvHeads * c.headSize, { bias });
  const y = add(x, attn.linear('o_proj', attn.attention(q, k, v, c.heads, c.kvHeads), c.hidden, { bias }));
  const mlp = m.at('mlp');
  const f = m.rmsNorm('post_attention_layernorm', y, c.eps);
  const gated = swiglu(mlp.linear('gate_proj', f, c.ffn, { bias: c.mlpBias }), mlp.linear('up_proj', f, c.ffn, { bias: c.mlpBias }));
  return add(y, mlp.linear('down_proj', gated, c.hidden, { bias: c.mlpBias }));
}
