// Full fine-tuning: the weights themselves train, as copies in f32 that stand in for the model's. What adapters are compared with.
import type { Adapter, LinearSite, NamedWeight, Param } from '../engine/nn/site';
import type { Tensor } from '../engine/tensor/tensor';
import { defineMethod } from '../training/contract';

const elementsOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const copyOf = (at: LinearSite | NamedWeight, name: string, of: Tensor): Param => at.param(name, of.shape, { kind: 'copy', of });

export const full = defineMethod({
  info: {
    slug: 'full',
    name: 'Full fine-tuning',
    summary: 'Trains every weight of the model. No adapter: four times the memory of the weights, and a file as large as the model.',
    formula: 'y = W x, W trained',
    paper: { title: 'Universal Language Model Fine-tuning for Text Classification', authors: 'Howard, Ruder', year: 2018, venue: 'ACL 2018', url: 'https://arxiv.org/abs/1801.06146' },
    family: 'baseline',
    models: ['decoder'],
    exports: 'native',
    fields: {
      norms: { kind: 'bool', label: 'Norms', help: 'Weights and biases of the normalisation layers train, too.', default: true },
      embeddings: { kind: 'bool', label: 'Embeddings and head', help: 'Tables of tokens and positions, and an output layer outside the blocks, train too.', default: true },
    },
    series: [],
    views: [],
  },

  attach(site): Adapter {
    const weight = copyOf(site, 'full_weight', site.weight);
    const bias = site.bias && copyOf(site, 'full_bias', site.bias);
    return { params: { weight, ...(bias ? { bias } : {}) }, weight: () => weight.tensor, ...(bias ? { bias: () => bias.tensor } : {}) };
  },

  attachWeight(weight, { norms, embeddings }) {
    // A layer of the blocks that was not chosen stays as it is.
    const inside = weight.depth >= 0;
    const isNorm = !weight.linear && weight.shape.length === 1;
    if (isNorm ? !norms : inside || !embeddings) return null;
    const value = copyOf(weight, 'full_value', weight.tensor);
    return { params: { value }, weight: () => value.tensor };
  },

  trainable: ([out, inn], _, biased) => out * inn + (biased ? out : 0),
  trainableWeight: elementsOf,
});
