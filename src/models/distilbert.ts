// DistilBERT (Sanh et al. 2019): BERT at half the depth, without token types and pooler.
import type { Scope } from '../engine/nn/network';
import { add, addColumns, addPositions, gelu, relu } from '../engine/ops';
import type { Tensor } from '../engine/tensor/tensor';
import { type Architecture, ConfigReader, headSize } from './model';
import { encoderHead, firstToken } from './shared';

export interface DistilBertConfig {
  hidden: number;
  layers: number;
  heads: number;
  ffn: number;
  vocab: number;
  context: number;
  initStd: number;
}

/** Its config has no key for it. */
const EPS = 1e-12;

export const distilbert: Architecture<DistilBertConfig> = {
  id: 'distilbert',
  kind: 'encoder',
  classes: { 'masked-lm': 'DistilBertForMaskedLM', 'sequence-classification': 'DistilBertForSequenceClassification', 'token-classification': 'DistilBertForTokenClassification', 'sentence-embedding': 'DistilBertModel' },
  headless: ['DistilBertModel'],
  prefix: 'distilbert',

  parse(json) {
    const c = new ConfigReader(json);
    c.only('activation', 'gelu');
    c.only('tie_word_embeddings', true);
    const [hidden, heads] = [c.size('dim', 768), c.size('n_heads', 12)];
    headSize(hidden, heads, 'dim', 'n_heads');
    return { hidden, heads, layers: c.size('n_layers', 6), ffn: c.size('hidden_dim', 3072), vocab: c.size('vocab_size', 30522), context: c.size('max_position_embeddings', 512), initStd: c.number('initializer_range', 0.02) };
  },

  info: (c) => ({ layers: c.layers, hidden: c.hidden, heads: c.heads, kvHeads: c.heads, vocab: c.vocab, context: c.context }),

  heads: (c, { kind }) => {
    if (kind === 'sequence-classification') return [{ module: 'pre_classifier', always: false, std: c.initStd }, { module: 'classifier', always: true, std: c.initStd }];
    return kind === 'token-classification' ? [{ module: 'classifier', always: true, std: c.initStd }] : [];
  },

  trunk(m, c) {
    const model = m.at('distilbert');
    const at = model.at('embeddings');
    const words = at.embedding('word_embeddings', m.ids(), c.vocab, c.hidden);
    let x = at.layerNorm('LayerNorm', addPositions(words, at.positionEmbedding('position_embeddings', c.context, c.hidden)), EPS);
    for (let i = 0; i < c.layers; i++) x = model.block(() => block(model.at(`transformer.layer.${i}`), x, c));
    return x;
  },

  head(m, c, x, task) {
    const shared = encoderHead(m, x, task);
    if (shared) return shared;
    if (task.kind === 'sequence-classification') {
      const pooled = relu(m.linear('pre_classifier', firstToken(x), c.hidden, { bias: true }));
      return m.linear('classifier', pooled, task.labels.length, { bias: true });
    }
    const turned = m.layerNorm('vocab_layer_norm', gelu(m.linear('vocab_transform', x, c.hidden, { bias: true })), EPS);
    return addColumns(m.at('distilbert').tiedHead('embeddings.word_embeddings', turned, c.vocab), m.param('vocab_projector.bias', [c.vocab]));
  },

  // The tied head's second copy, and the heads of other tasks.
  ignores: (name, _, { kind }) => name === 'vocab_projector.weight' || /^(pre_classifier|classifier|qa_outputs)\./.test(name) || (kind !== 'masked-lm' && /^vocab_(layer_norm|transform|projector)\./.test(name)),
};

function block(m: Scope, x: Tensor, c: DistilBertConfig): Tensor {
  const bias = true;
  const attn = m.at('attention');
  const [q, k, v] = ['q_lin', 'k_lin', 'v_lin'].map((name) => attn.linear(name, x, c.hidden, { bias })) as [Tensor, Tensor, Tensor];
  const y = m.layerNorm('sa_layer_norm', add(attn.linear('out_lin', attn.attentionToAll(q, k, v, c.heads), c.hidden, { bias }), x), EPS);
  const inner = gelu(m.linear('ffn.lin1', y, c.ffn, { bias }));
  return m.layerNorm('output_layer_norm', add(m.linear('ffn.lin2', inner, c.hidden, { bias }), y), EPS);
}
