// LoRA: y = W x + s B A x with A and B trained and W frozen (Hu et al. 2021, arXiv 2106.09685).
import { defineMethod } from '../training/contract';
import { alphaField, checkRank, dropoutField, rankField, scaleOf, scalingField } from './shared/low-rank';
import { plainLora } from './shared/plain-lora';

export const lora = defineMethod({
  info: {
    slug: 'lora',
    name: 'LoRA',
    summary: 'Two thin matrices beside each frozen layer: the baseline that everything is compared with.',
    goodFor: 'a first run, and the measure that every other method is held against.',
    formula: 'y = W x + (α/r) B A x',
    paper: { title: 'LoRA: Low-Rank Adaptation of Large Language Models', authors: 'Hu et al.', year: 2021, venue: 'ICLR 2022', url: 'https://arxiv.org/abs/2106.09685' },
    family: 'baseline',
    models: ['decoder', 'encoder', 'vit', 'clip'],
    exports: 'lora-exact',
    fields: {
      rank: rankField('Rank', 'Columns of B and rows of A: how many directions each layer may change in.'),
      alpha: alphaField,
      scaling: scalingField,
      dropout: dropoutField,
    },
    series: [],
    views: [],
  },

  check: (sites, { rank }) => checkRank(sites, rank),

  attach: (site, config, context) => plainLora(site, { ...config, scale: scaleOf(config) }, context),

  trainable: ([out, inn], { rank }) => rank * (out + inn),
});
