// LoRA+: LoRA whose B learns faster than A (Hayou, Ghosh, Yu 2024, arXiv 2402.12354).
import { defineMethod } from '../training/contract';
import { alphaField, checkRank, dropoutField, rankField, scaleOf, scalingField } from './shared/low-rank';
import { plainLora } from './shared/plain-lora';

const GROUP_B = 'B';

export const loraPlus = defineMethod({
  info: {
    slug: 'lora-plus',
    name: 'LoRA+',
    summary: 'LoRA with a learning rate of its own for B, several times that of A, so that both factors learn in wide layers.',
    goodFor: 'wide layers and long runs, where B learns too slowly at the rate of A.',
    formula: 'y = W x + (α/r) B A x, η_B = λ η_A',
    paper: { title: 'LoRA+: Efficient Low Rank Adaptation of Large Models', authors: 'Hayou, Ghosh, Yu', year: 2024, venue: 'ICML 2024', url: 'https://arxiv.org/abs/2402.12354' },
    family: 'baseline',
    models: ['decoder', 'encoder'],
    exports: 'lora-exact',
    fields: {
      rank: rankField('Rank', 'Columns of B and rows of A: how many directions each layer may change in.'),
      alpha: alphaField,
      scaling: scalingField,
      ratio: { kind: 'float', label: 'Rate of B over A', help: 'The learning rate is A’s; B’s is this many times as large. 1 is LoRA. Choose a lower learning rate than for LoRA.', source: 'Hayou et al. 2024: about 16', default: 16, min: 1, max: 256, log: true },
      dropout: dropoutField,
    },
    series: [],
    views: [],
  },

  check: (sites, { rank }) => checkRank(sites, rank),
  attach: (site, config, context) => plainLora(site, { ...config, scale: scaleOf(config), groupOfB: GROUP_B }, context),
  groups: ({ ratio }, { weightDecay }) => ({ [GROUP_B]: { lrScale: ratio, weightDecay } }),
  trainable: ([out, inn], { rank }) => rank * (out + inn),
});
