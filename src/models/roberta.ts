// RoBERTa (Liu et al. 2019): BERT's blocks with positions counted from behind the padding token, one token type, and heads of its own.
import { addColumns, addPositions, gelu, reshape, sliceColumns, tanh } from '../engine/ops';
import type { Scope } from '../engine/nn/network';
import type { Tensor } from '../engine/tensor/tensor';
import { type BertConfig, bertBlocks, parseBert } from './bert';
import { type Architecture, ConfigReader } from './model';
import { encoderHead, firstToken } from './shared';

export interface RobertaConfig extends BertConfig {
  /** The row of the position table for the first token. */
  firstPosition: number;
}

export const roberta: Architecture<RobertaConfig> = {
  id: 'roberta',
  kind: 'encoder',
  classes: { 'masked-lm': 'RobertaForMaskedLM', 'sequence-classification': 'RobertaForSequenceClassification', 'token-classification': 'RobertaForTokenClassification', 'sentence-embedding': 'RobertaModel' },
  headless: ['RobertaModel'],
  prefix: 'roberta',

  parse(json) {
    const c = new ConfigReader(json);
    // With more types a pair's second text would need one, and its tokenizer gives none.
    c.only('type_vocab_size', 1);
    const firstPosition = c.whole('pad_token_id', 1) + 1;
    const rows = c.size('max_position_embeddings');
    c.holds(rows > firstPosition, `max_position_embeddings = ${rows} leaves no place behind pad_token_id = ${firstPosition - 1}`);
    return { ...parseBert(c), types: 1, firstPosition, context: rows - firstPosition };
  },

  info: (c) => ({ layers: c.layers, hidden: c.hidden, heads: c.heads, kvHeads: c.heads, vocab: c.vocab, context: c.context }),

  heads: (c, { kind }) => (kind.endsWith('classification') ? [{ module: 'classifier', always: true, std: c.initStd }] : []),

  trunk(m, c) {
    const model = m.at('roberta');
    return bertBlocks(model, embed(model.at('embeddings'), c), c);
  },

  head(m, c, x, task) {
    const shared = encoderHead(m, x, task);
    if (shared) return shared;
    if (task.kind === 'sequence-classification') {
      const pooled = tanh(m.linear('classifier.dense', firstToken(x), c.hidden, { bias: true }));
      return m.linear('classifier.out_proj', pooled, task.labels.length, { bias: true });
    }
    const head = m.at('lm_head');
    const turned = head.layerNorm('layer_norm', gelu(head.linear('dense', x, c.hidden, { bias: true })), c.eps);
    return addColumns(m.at('roberta').tiedHead('embeddings.word_embeddings', turned, c.vocab), head.param('bias', [c.vocab]));
  },

  // Positions stored as a buffer, the tied head's second copy, a pooler that neither task reads, and the heads of other tasks.
  ignores: (name, _, { kind }) => /^(roberta\.)?(embeddings\.position_ids$|pooler\.)/.test(name) || name.startsWith('lm_head.decoder.') || (kind !== 'sequence-classification' && name.startsWith('classifier.')) || (kind !== 'masked-lm' && name.startsWith('lm_head.')),
};

/** Padding stands behind the text, so the token at place t has position t + firstPosition. */
function embed(m: Scope, c: RobertaConfig): Tensor {
  const words = m.embedding('word_embeddings', m.ids(), c.vocab, c.hidden);
  const typed = addColumns(words, reshape(m.param('token_type_embeddings.weight', [1, c.hidden]), [c.hidden]));
  const [time, rows] = [words.shape[1] as number, c.context + c.firstPosition];
  const table = reshape(m.param('position_embeddings.weight', [rows, c.hidden]), [1, rows * c.hidden]);
  const used = reshape(sliceColumns(table, c.firstPosition * c.hidden, time * c.hidden), [time, c.hidden]);
  return m.layerNorm('LayerNorm', addPositions(typed, used), c.eps);
}
