// Baselines of other kinds beside LoRA on the task of baselines.mjs: how far vectors, biases and all weights go. Parameters differ by
// what the methods are; the table shows them.
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: [5e-4, 1e-3, 2e-3, 4e-3],
  arms: [
    { name: 'LoRA r 8', method: 'lora', fields: { rank: 8 } },
    { name: 'AdaLoRA 12 to 8', method: 'adalora', fields: { rank: 12, target: 8, deltaT: 10 }, lrs: [2e-3, 4e-3, 8e-3, 1.6e-2] },
    { name: 'VeRA r 256', method: 'vera', fields: { rank: 256 }, lrs: [5e-3, 1e-2, 2e-2, 4e-2] },
    { name: 'BitFit', method: 'bitfit', fields: {}, lrs: [2e-3, 4e-3, 8e-3, 1.6e-2] },
    { name: 'full', method: 'full', fields: {}, lrs: [1e-4, 2e-4, 4e-4, 8e-4] },
  ],
  columns: ['trainable'],
};
