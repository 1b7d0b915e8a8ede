// Rank-stabilised LoRA: the update is scaled by α / √r, so that it keeps its size as the rank grows (Kalajdzievski 2023, arXiv 2312.03732).
import { defineMethod } from '../training/contract';
import { alphaField, checkRank, dropoutField, rankField, scaleOf } from './shared/low-rank';
import { plainLora } from './shared/plain-lora';

const scaleFor = (config: { rank: number; alpha: number }) => scaleOf({ ...config, scaling: 'alpha/sqrt(r)' });

export const rslora = defineMethod({
  info: {
    slug: 'rslora',
    name: 'rsLoRA',
    summary: 'LoRA scaled by α / √r instead of α / r: higher ranks learn as strongly as low ones.',
    goodFor: 'ranks of 32 and more, which a scale of α / r holds back.',
    formula: 'y = W x + (α/√r) B A x',
    paper: { title: 'A Rank Stabilization Scaling Factor for Fine-Tuning with LoRA', authors: 'Kalajdzievski', year: 2023, venue: 'arXiv', url: 'https://arxiv.org/abs/2312.03732' },
    family: 'baseline',
    models: ['decoder', 'encoder'],
    exports: 'lora-exact',
    fields: {
      rank: rankField('Rank', 'Columns of B and rows of A: how many directions each layer may change in.'),
      alpha: { ...alphaField, help: 'Strength of the adapter: ΔW is scaled by alpha / √rank.' },
      dropout: dropoutField,
    },
    series: [],
    views: [],
  },

  check: (sites, { rank }) => checkRank(sites, rank),
  attach: (site, config, context) => plainLora(site, { ...config, scale: scaleFor(config) }, context),
  trainable: ([out, inn], { rank }) => rank * (out + inn),
});
