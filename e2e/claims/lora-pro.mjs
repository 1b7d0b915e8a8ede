// LoRA-Pro: better than LoRA with each at its own best rate, at a rank of a quarter of the width and at a low one? Full
// fine-tuning says how much of the gap is closed; every rate of all is printed, since equal rates flatter LoRA-Pro.
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: [3e-5, 1e-4, 3e-4, 1e-3, 3e-3],
  arms: [
    { name: 'LoRA r 32', method: 'lora', fields: { rank: 32, alpha: 64 } },
    { name: 'LoRA-Pro r 32', method: 'lora-pro', fields: { rank: 32, alpha: 64 } },
    { name: 'LoRA r 8', method: 'lora', fields: { rank: 8, alpha: 16 } },
    { name: 'LoRA-Pro r 8', method: 'lora-pro', fields: { rank: 8, alpha: 16 } },
    { name: 'full', method: 'full', fields: {} },
  ],
  columns: ['seconds', 'memory'],
  /** Seconds of the run, and bytes on the device at their most. */
  measure: async ({ events }) => ({ seconds: events.at(-1).seconds, memory: events.at(-1).peak_bytes }),
  /** Every arm at every one of the shared rates. */
  conclude(rows, results) {
    const mean = (xs) => xs.reduce((a, b) => a + b, 0) / xs.length;
    return [...new Set(results.map((r) => r.lr))].sort((a, b) => a - b).map((lr) =>
      `all at ${lr}: ${rows.map(({ arm }) => `${arm} ${mean(results.filter((r) => r.arm === arm && r.lr === lr).map((r) => r.test)).toPrecision(5)}`).join(' · ')}`);
  },
};
