// TriAdaptLoRA: does it matter which layers grow? The same budget for LoRA, AdaLoRA, growth by score and by lot, and a core of full side.
// The paper tunes encoders on GLUE; here a small decoder learns a text of another style.
const grown = (fields) => ({ method: 'triadaptlora', fields: { reference: 8, maxRank: 32, ...fields } });
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: [1e-3, 3e-3, 1e-2, 3e-2],
  arms: [
    { name: 'LoRA r 8', method: 'lora', fields: { rank: 8 } },
    { name: 'AdaLoRA 12 to 8', method: 'adalora', fields: { rank: 12, target: 8, alpha: 24 } },
    { name: 'TriAdapt, steps of 4', ...grown({ step: 4 }) },
    { name: 'TriAdapt, steps of 1', ...grown({ step: 1 }) },
    { name: 'steps of 1, non-linear', ...grown({ step: 1, threshold: 'exponential' }) },
    { name: 'steps of 1, by lot', ...grown({ step: 1, choice: 'lot' }) },
    { name: 'side 8 from the start', ...grown({ initRank: 8, maxRank: 8 }) },
  ],
  columns: ['trainable'],
};
