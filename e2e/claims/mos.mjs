// MoS: at the parameters of a LoRA of rank 2, is it better than that LoRA, and what do its differences bring?
// The paper tunes LLaMA-2 on instructions; here a small decoder of six layers learns a text of another style.
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: [3e-4, 1e-3, 3e-3, 9e-3],
  arms: [
    { name: 'LoRA r 2', method: 'lora', fields: { rank: 2 } },
    { name: 'LoRA r 16', method: 'lora', fields: { rank: 16 } },
    { name: 'MoS e 2, r 7', method: 'mos', fields: {} },
    { name: 'without private shards', method: 'mos', fields: { privateRank: 0, rank: 7 } },
    { name: 'A and B paired', method: 'mos', fields: { apart: false } },
    { name: 'pure sharing, r 12', method: 'mos', fields: { privateRank: 0, shards: 1, ownPicks: false, apart: false, rank: 12 } },
  ],
  columns: ['trainable'],
};
