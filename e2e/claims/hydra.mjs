// Hydra: with as many parameters, are a head on the input and one on the output better than either alone?
// The paper adapts images and GLUE; here a small decoder learns a text of another style, on its output projections as in the paper.
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  targets: 'o_proj|down_proj',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: [1e-3, 3e-3, 9e-3],
  arms: [
    { name: 'Hydra 2 + 2, s 1', method: 'hydra', fields: { dropout: 0 } },
    { name: 'Hydra 2 + 2, s 2', method: 'hydra', fields: { dropout: 0, scale: 2 } },
    { name: 'sequential 5, s 1', method: 'hydra', fields: { dropout: 0, parallelRank: 0, sequentialRank: 5 } },
    { name: 'LoRA r 3, s 1', method: 'lora', fields: { rank: 3, alpha: 3 } },
    { name: 'LoRA r 3, s 2', method: 'lora', fields: { rank: 3, alpha: 6 } },
    { name: 'LoRA r 4, s 1', method: 'lora', fields: { rank: 4, alpha: 4 } },
  ],
  columns: ['trainable'],
};
