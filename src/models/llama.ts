// The Llama layout: RMSNorm, rotary positions, grouped-query attention, SwiGLU (Touvron et al. 2023). Mistral, Qwen2 and Qwen3 are
// the same but for biases, norms of queries and keys, and what their configs leave out.
import type { Scope } from '../engine/nn/network';
import { add, reshape, ropeBoth, swiglu, tablesOf } from '../engine/ops';
import type { Tensor } from '../engine/tensor/tensor';
import { ConfigError } from '../util/errors';
import { type Architecture, ConfigReader } from './model';
import { frequenciesOf } from './rope';

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
  /** θ of every pair of a head. */
  frequencies: readonly number[];
  tied: boolean;
  /** Of the layers to queries, keys and values. */
  qkvBias: boolean;
  outBias: boolean;
  mlpBias: boolean;
  /** RMSNorm of every head's queries and keys, before they are turned. */
  qkNorm: boolean;
}

/** What a config means where it says nothing. */
export interface LlamaDefaults {
  readonly context: number;
  /** Default: as many as heads. */
  readonly kvHeads?: number;
  readonly headSize?: number;
}

export function parseLlama(c: ConfigReader, defaults: LlamaDefaults): LlamaConfig {
  c.only('hidden_act', 'silu');
  c.only('partial_rotary_factor', 1);
  const [hidden, heads] = [c.size('hidden_size'), c.size('num_attention_heads')];
  const headSize = c.size('head_dim', defaults.headSize ?? hidden / heads);
  if (headSize % 4 !== 0) throw new ConfigError(`config.json: head_dim = ${headSize} is not supported`, 'Head sizes must be multiples of 4.');
  const kvHeads = c.size('num_key_value_heads', defaults.kvHeads ?? heads);
  if (heads % kvHeads !== 0) throw new ConfigError(`config.json: num_attention_heads = ${heads} is no multiple of num_key_value_heads = ${kvHeads}`);
  return {
    hidden, heads, kvHeads, headSize,
    layers: c.size('num_hidden_layers'), ffn: c.size('intermediate_size'), vocab: c.size('vocab_size'),
    context: c.size('max_position_embeddings', defaults.context),
    eps: c.number('rms_norm_eps', 1e-6), frequencies: frequenciesOf(c, headSize), tied: c.flag('tie_word_embeddings', false),
    qkvBias: false, outBias: false, mlpBias: false, qkNorm: false,
  };
}

export const llama: Architecture<LlamaConfig> = {
  id: 'llama',
  kind: 'decoder',
  classes: { 'causal-lm': 'LlamaForCausalLM' },

  parse(json) {
    const c = new ConfigReader(json);
    c.only('pretraining_tp', 1);
    const bias = c.flag('attention_bias', false);
    return { ...parseLlama(c, { context: 2048 }), qkvBias: bias, outBias: bias, mlpBias: c.flag('mlp_bias', false) };
  },

  info: (c) => ({ layers: c.layers, hidden: c.hidden, heads: c.heads, kvHeads: c.kvHeads, vocab: c.vocab, context: c.context }),

  trunk(m, c) {
    const model = m.at('model');
    let x = model.embedding('embed_tokens', m.ids(), c.vocab, c.hidden);
    for (let i = 0; i < c.layers; i++) x = model.block(() => block(model.at(`layers.${i}`), x, c));
    return model.rmsNorm('norm', x, c.eps);
  },

  head: (m, c, x) => (c.tied ? m.at('model').tiedHead('embed_tokens', x, c.vocab) : m.linear('lm_head', x, c.vocab)),

  // Old checkpoints store the rotary frequencies; a tied head may be stored twice.
  ignores: (name, c) => name.endsWith('rotary_emb.inv_freq') || (c.tied && name === 'lm_head.weight'),
};

function block(m: Scope, x: Tensor, c: LlamaConfig): Tensor {
  const attn = m.at('self_attn');
  const bias = c.qkvBias;
  const h = m.rmsNorm('input_layernorm', x, c.eps);
  const [q0, k0] = [attn.linear('q_proj', h, c.heads * c.headSize, { bias }), attn.linear('k_proj', h, c.kvHeads * c.headSize, { bias })];
  const { q, k } = ropeBoth(headNorm(attn, 'q_norm', q0, c), headNorm(attn, 'k_norm', k0, c), tablesOf(c.frequencies, c.context), m.positions(), c.headSize);
  const v = attn.linear('v_proj', h, c.kvHeads * c.headSize, { bias });
  const y = add(x, attn.linear('o_proj', attn.attention(q, k, v, c.heads, c.kvHeads), c.hidden, { bias: c.outBias }));
  const mlp = m.at('mlp');
  const f = m.rmsNorm('post_attention_layernorm', y, c.eps);
  const gated = swiglu(mlp.linear('gate_proj', f, c.ffn, { bias: c.mlpBias }), mlp.linear('up_proj', f, c.ffn, { bias: c.mlpBias }));
  return add(y, mlp.linear('down_proj', gated, c.hidden, { bias: c.mlpBias }));
}

/** x [batch, time, heads·d], each head's d numbers normed by themselves. */
function headNorm(m: Scope, name: string, x: Tensor, { qkNorm, headSize, eps }: LlamaConfig): Tensor {
  if (!qkNorm) return x;
  const [batch, time, width] = x.shape as [number, number, number];
  return reshape(m.rmsNorm(name, reshape(x, [batch, (time * width) / headSize, headSize]), eps), x.shape);
}
