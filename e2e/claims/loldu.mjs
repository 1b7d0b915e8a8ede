// LoLDU: how much of what LoRA gains over the untouched base do r numbers a layer recover, and is it LU that does it? The control has
// random fixed directions of the same lengths. The paper adapts classifiers; here a decoder learns a text of another style.
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: [3e-4, 1e-3, 3e-3, 1e-2],
  arms: [
    { name: 'LoRA r 8', method: 'lora', fields: { rank: 8 } },
    { name: 'LoRA r 1', method: 'lora', fields: { rank: 1, alpha: 2 } },
    { name: 'LoLDU r 64', method: 'loldu', fields: { rank: 64 } },
    { name: 'LoLDU, full rank', method: 'loldu', fields: { rank: 128 } },
    { name: 'random directions, full rank', method: 'loldu', fields: { rank: 128, directions: 'random' } },
  ],
  columns: ['parameters', 'start'],
  /** Trained numbers, and the validation loss before the first step. */
  measure: async ({ events }) => ({ parameters: events.at(-1).trainable, start: events.find((e) => e.event === 'eval').loss }),
  /** The share of LoRA's gain that each arm has. */
  conclude(rows) {
    const lora = rows[0];
    return rows.slice(1).map((row) => `${row.arm}: ${((100 * (row.start - row.validation)) / (lora.start - lora.validation)).toFixed(1)} % of LoRA's gain on validation with 1/${(lora.parameters / row.parameters).toFixed(0)} of its parameters`);
  },
};
