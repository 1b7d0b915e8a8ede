// BitFit: only biases train (Ben Zaken, Goldberg, Ravfogel 2022, arXiv 2106.10199).
import { defineMethod } from '../training/contract';
import { ConfigError } from '../util/errors';

export const bitfit = defineMethod({
  info: {
    slug: 'bitfit',
    name: 'BitFit',
    summary: 'Trains biases and nothing else. The smallest change that still adapts; layers without a bias get one.',
    goodFor: 'a lower bound: how far biases alone can go.',
    formula: 'y = W x + b, b trained',
    paper: { title: 'BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked Language-models', authors: 'Ben Zaken, Goldberg, Ravfogel', year: 2022, venue: 'ACL 2022', url: 'https://arxiv.org/abs/2106.10199' },
    family: 'baseline',
    models: ['decoder', 'encoder'],
    exports: 'native',
    fields: {
      add: { kind: 'bool', label: 'Add missing biases', help: 'Layers without a bias get one that starts at zero. The result cannot be merged into a model file that has no place for it.', default: true },
      norms: { kind: 'bool', label: 'Biases of norms', help: 'Those of layer normalisation train, too, as in the paper.', default: true },
    },
    series: [],
    views: [],
  },

  check(sites, { add }) {
    if (!add && sites.every(({ bias }) => !bias)) throw new ConfigError('add: none of the chosen layers has a bias', 'Turn on "Add missing biases", or choose another model.');
  },

  attach(site, { add }) {
    const [out] = site.shape;
    if (!site.bias && !add) return null;
    const bias = site.param('bitfit_bias', [out], site.bias ? { kind: 'copy', of: site.bias } : { kind: 'zeros' });
    return { params: { bias }, weight: () => site.weight, bias: () => bias.tensor };
  },

  attachWeight(weight, { norms }) {
    if (!norms || weight.linear || !weight.name.endsWith('.bias')) return null;
    const bias = weight.param('bitfit_bias', weight.shape, { kind: 'copy', of: weight.tensor });
    return { params: { bias }, weight: () => bias.tensor };
  },

  trainable: ([out]) => out,
  trainableWeight: ([size = 0]) => size,
});
