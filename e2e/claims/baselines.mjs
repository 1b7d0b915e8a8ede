// LoRA and its next of kin at equal rank on one small task: the arms that other methods are compared with. Each has a grid of its own,
// since a rate that suits LoRA is sixteen times too high for B in LoRA+.
const rates = [5e-4, 1e-3, 2e-3, 4e-3];
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: rates,
  arms: [
    { name: 'LoRA r 8', method: 'lora', fields: { rank: 8 } },
    { name: 'LoRA+ r 8', method: 'lora-plus', fields: { rank: 8 }, lrs: rates.map((lr) => lr / 4) },
    { name: 'rsLoRA r 8', method: 'rslora', fields: { rank: 8 } },
    { name: 'PiSSA r 8', method: 'pissa', fields: { rank: 8 }, lrs: rates.map((lr) => lr / 4) },
    { name: 'DoRA r 8', method: 'dora', fields: { rank: 8 } },
  ],
  columns: ['trainable'],
};
