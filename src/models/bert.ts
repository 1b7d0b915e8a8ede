// BERT (Devlin et al. 2018): learned positions, attention to all tokens, LayerNorm after each sum, GELU.
import type { Scope } from '../engine/nn/network';
import { add, addColumns, addPositions, gelu, geluTanh, tanh } from '../engine/ops';
import type { Tensor } from '../engine/tensor/tensor';
import { type Architecture, ConfigReader, headSize } from './model';
import { encoderHead, firstToken } from './shared';

export interface BertConfig {
  hidden: number;
  layers: number;
  heads: number;
  ffn: number;
  vocab: number;
  context: number;
  types: number;
  eps: number;
  tanhForm: boolean;
  initStd: number;
}

/** What BERT and RoBERTa say in the same words. */
export function parseBert(c: ConfigReader): BertConfig {
  c.only('hidden_act', 'gelu', 'gelu_new', 'gelu_pytorch_tanh');
  c.only('position_embedding_type', 'absolute');
  c.only('is_decoder', false);
  c.only('add_cross_attention', false);
  c.only('tie_word_embeddings', true);
  const [hidden, heads] = [c.size('hidden_size'), c.size('num_attention_heads')];
  headSize(hidden, heads);
  return {
    hidden, heads,
    layers: c.size('num_hidden_layers'), ffn: c.size('intermediate_size'), vocab: c.size('vocab_size'), context: c.size('max_position_embeddings'),
    types: c.size('type_vocab_size', 2), eps: c.number('layer_norm_eps', 1e-12), tanhForm: !c.is('hidden_act', 'gelu'), initStd: c.number('initializer_range', 0.02),
  };
}

export const bert: Architecture<BertConfig> = {
  id: 'bert',
  kind: 'encoder',
  classes: { 'masked-lm': 'BertForMaskedLM', 'sequence-classification': 'BertForSequenceClassification', 'token-classification': 'BertForTokenClassification', 'sentence-embedding': 'BertModel' },
  // MiniLM and other encoders of sentences are stored so.
  headless: ['BertModel'],
  prefix: 'bert',

  parse: (json) => parseBert(new ConfigReader(json)),

  info: (c) => ({ layers: c.layers, hidden: c.hidden, heads: c.heads, kvHeads: c.heads, vocab: c.vocab, context: c.context }),

  // The pooler reads the first token. Checkpoints of masked language models often come without one.
  heads: (c, { kind }) => [
    ...(kind.endsWith('classification') ? [{ module: 'classifier', always: true, std: c.initStd }] : []),
    ...(kind === 'sequence-classification' ? [{ module: 'bert.pooler', always: false, std: c.initStd }] : []),
  ],

  trunk(m, c) {
    const model = m.at('bert');
    return bertBlocks(model, embed(model.at('embeddings'), c), c);
  },

  head(m, c, x, task) {
    const shared = encoderHead(m, x, task);
    if (shared) return shared;
    const model = m.at('bert');
    if (task.kind === 'sequence-classification') {
      const pooled = tanh(model.linear('pooler.dense', firstToken(x), c.hidden, { bias: true }));
      return m.linear('classifier', pooled, task.labels.length, { bias: true });
    }
    const head = m.at('cls.predictions');
    const turned = activation(head.linear('transform.dense', x, c.hidden, { bias: true }), c);
    const scores = model.tiedHead('embeddings.word_embeddings', head.layerNorm('transform.LayerNorm', turned, c.eps), c.vocab);
    return addColumns(scores, head.param('bias', [c.vocab]));
  },

  // Positions stored as a buffer, the tied head's second copy, and the heads of other tasks.
  ignores: (name, _, { kind }) =>
    /^(bert\.)?embeddings\.position_ids$/.test(name) || name.startsWith('cls.predictions.decoder.') || name.startsWith('cls.seq_relationship.') ||
    (kind === 'sequence-classification' ? /^cls\./ : kind === 'masked-lm' ? /^((bert\.)?pooler|classifier)\./ : /^((bert\.)?pooler|classifier|cls)\./).test(name),
};

function embed(m: Scope, c: BertConfig): Tensor {
  const words = m.embedding('word_embeddings', m.ids(), c.vocab, c.hidden);
  const typed = add(words, m.embedding('token_type_embeddings', m.types(), c.types, c.hidden));
  return m.layerNorm('LayerNorm', addPositions(typed, m.positionEmbedding('position_embeddings', c.context, c.hidden)), c.eps);
}

export function bertBlocks(m: Scope, embedded: Tensor, c: BertConfig): Tensor {
  let x = embedded;
  for (let i = 0; i < c.layers; i++) x = m.block(() => block(m.at(`encoder.layer.${i}`), x, c));
  return x;
}

function block(m: Scope, x: Tensor, c: BertConfig): Tensor {
  const bias = true;
  const attn = m.at('attention');
  const [q, k, v] = ['query', 'key', 'value'].map((name) => attn.linear(`self.${name}`, x, c.hidden, { bias })) as [Tensor, Tensor, Tensor];
  const mixed = attn.linear('output.dense', attn.attentionToAll(q, k, v, c.heads), c.hidden, { bias });
  const y = attn.layerNorm('output.LayerNorm', add(mixed, x), c.eps);
  const inner = activation(m.linear('intermediate.dense', y, c.ffn, { bias }), c);
  return m.layerNorm('output.LayerNorm', add(m.linear('output.dense', inner, c.hidden, { bias }), y), c.eps);
}

const activation = (x: Tensor, { tanhForm }: BertConfig): Tensor => (tanhForm ? geluTanh(x) : gelu(x));
