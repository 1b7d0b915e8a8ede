// Full fine-tuning: the weights themselves train, as copies in f32 that stand in for the model's. What adapters are compared with.
import type { Adapter, LinearSite, NamedWeight, Param } from '../engine/nn/site';
import type { Tensor } from '../engine/tensor/tensor';
import { defineMethod } from '../training/contract';
import { fineTune } from '../training/recipes/fine-tune';
import { fresh, pretrain } from '../training/recipes/pretrain';

const elementsOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const standIn = (at: LinearSite | NamedWeight, name: string, of: Tensor, start: string): Param => at.param(name, of.shape, start === 'fresh' ? fresh(of) : { kind: 'copy', of });

export const full = defineMethod({
  info: {
    slug: 'full',
    name: 'Full fine-tuning',
    summary: 'Trains every weight of the model. No adapter: four times the memory of the weights, and a file as large as the model.',
    goodFor: 'small models, and an upper bound: how far training every weight can go.',
    formula: 'y = W x, W trained',
    paper: { title: 'Universal Language Model Fine-tuning for Text Classification', authors: 'Howard, Ruder', year: 2018, venue: 'ACL 2018', url: 'https://arxiv.org/abs/1801.06146' },
    family: 'baseline',
    models: ['decoder', 'encoder'],
    wantsF32: true,
    exports: 'native',
    fields: {
      norms: { kind: 'bool', label: 'Norms', help: 'Weights and biases of the normalisation layers train, too.', default: true },
      start: {
        kind: 'choice', label: 'Weights begin', default: 'checkpoint', help: 'As the checkpoint has them; or at random, to train a model of this layout from nothing.',
        options: [{ value: 'checkpoint', label: 'as in the checkpoint' }, { value: 'fresh', label: 'at random' }],
      },
      embeddings: { kind: 'bool', label: 'Embeddings and head', help: 'Tables of tokens and positions, and an output layer outside the blocks, train too.', default: true },
    },
    series: [],
    views: [],
  },

  attach(site, { start }): Adapter {
    const weight = standIn(site, 'full_weight', site.weight, start);
    const bias = site.bias && standIn(site, 'full_bias', site.bias, start);
    return { params: { weight, ...(bias ? { bias } : {}) }, weight: () => weight.tensor, ...(bias ? { bias: () => bias.tensor } : {}) };
  },

  attachWeight(weight, { norms, embeddings, start }) {
    // A layer of the blocks that was not chosen stays as it is.
    const inside = weight.depth >= 0;
    const isNorm = !weight.linear && weight.shape.length === 1;
    if (isNorm ? !norms : inside || !embeddings) return null;
    const value = standIn(weight, 'full_value', weight.tensor, start);
    return { params: { value }, weight: () => value.tensor };
  },

  recipe: (run, { start }) => (start === 'fresh' ? pretrain : fineTune)(run),

  trainable: ([out, inn], _, biased) => out * inn + (biased ? out : 0),
  trainableWeight: elementsOf,
});
