// LaMDA: how much of LoRA's gain is kept with a core of r² numbers and a B that is frozen over the first 30 % of the steps?
// The paper tunes BART and LLaMA; here a small decoder learns a text of another style.
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: [1e-3, 3e-3, 1e-2],
  arms: [
    { name: 'LoRA r 8', method: 'lora', fields: { rank: 8 } },
    { name: 'LoRA r 1', method: 'lora', fields: { rank: 1, alpha: 2 } },
    { name: 'LaMDA r 16', method: 'lamda', fields: {} },
    { name: 'zero core', method: 'lamda', fields: { init: 'spectral-zero' } },
    { name: 'random start', method: 'lamda', fields: { init: 'repo' } },
    { name: 'B frozen from the start', method: 'lamda', fields: { freezeShare: 0 } },
    { name: 'B never frozen', method: 'lamda', fields: { freezeShare: 1 } },
    { name: 'LaMDA++ 16', method: 'lamda', fields: { plus: true } },
  ],
  columns: ['trainable'],
};
