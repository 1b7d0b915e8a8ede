// NLoRA: does a middle matrix, and a start from slices of the weight, train faster or better than LoRA of as many parameters, each at its
// own best learning rate? The paper's arms may differ in rate alone; the table of one shared rate is printed too.
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: [3e-4, 1e-3, 3e-3, 1e-2, 3e-2],
  arms: [
    // 235,824 parameters; SLoRA and NLoRA have 232,704, IntTune 10,752.
    { name: 'LoRA r 17', method: 'lora', fields: { rank: 17, alpha: 17 } },
    { name: 'PiSSA r 17', method: 'pissa', fields: { rank: 17, alpha: 17 } },
    { name: 'SLoRA r 16', method: 'nlora', fields: { variant: 'slora', rank: 16, alpha: 16 } },
    { name: 'NLoRA r 16', method: 'nlora', fields: { rank: 16, alpha: 16 } },
    { name: 'NLoRA r 16, start taken away', method: 'nlora', fields: { rank: 16, alpha: 16, residual: true } },
    { name: 'IntTune r 16', method: 'nlora', fields: { variant: 'inttune', rank: 16, alpha: 16 } },
  ],
  columns: ['parameters', 'start'],
  measure: async ({ events }) => ({ parameters: events.at(-1).trainable, start: events.find((e) => e.event === 'eval').loss }),
  /** Every arm at every one of the shared rates. */
  conclude(rows, results) {
    const mean = (xs) => xs.reduce((a, b) => a + b, 0) / xs.length;
    return [...new Set(results.map((r) => r.lr))].sort((a, b) => a - b).map((lr) =>
      `all at ${lr}: ${rows.map(({ arm }) => `${arm} ${mean(results.filter((r) => r.arm === arm && r.lr === lr).map((r) => r.test)).toPrecision(5)}`).join(' · ')}`);
  },
};
