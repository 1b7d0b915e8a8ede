// SoRA: at about 70 % of the ranks kept, is it as good as LoRA of full rank and better than LoRA of the kept count?
// The paper trains an encoder on GLUE; here a small decoder learns a text of another style. Arms with the same number of steps.
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 400, batch: 8, seq: 128, seeds: 3,
  lrs: [5e-4, 1e-3, 2e-3, 4e-3, 8e-3],
  arms: [
    { name: 'LoRA r 8', method: 'lora', fields: { rank: 8 } },
    { name: 'LoRA r 6', method: 'lora', fields: { rank: 6, alpha: 12 } },
    { name: 'LoRA r 4', method: 'lora', fields: { rank: 4, alpha: 8 } },
    { name: 'LoRA r 2', method: 'lora', fields: { rank: 2, alpha: 4 } },
    { name: 'SoRA ξ 1e-4', method: 'sora', fields: { rank: 8, xi: 1e-4 } },
    { name: 'SoRA ξ 2e-4', method: 'sora', fields: { rank: 8, xi: 2e-4 } },
    { name: 'SoRA ξ 3e-4', method: 'sora', fields: { rank: 8, xi: 3e-4 } },
    { name: 'SoRA ξ 4e-4', method: 'sora', fields: { rank: 8, xi: 4e-4 } },
    { name: 'SoRA ξ 6e-4', method: 'sora', fields: { rank: 8, xi: 6e-4 } },
  ],
  columns: ['ranks', 'variation', 'parameters'],
  /** Ranks kept in the exported adapter, their coefficient of variation over modules, and its parameters. */
  async measure({ dir, lowrank }) {
    const events = await lowrank('inspect', dir);
    const ranks = events.filter((e) => e.event === 'module').map((e) => e.rank);
    // Modules that lost every rank are not in the file at all.
    while (ranks.length < 42) ranks.push(0);
    const mean = ranks.reduce((a, b) => a + b, 0) / ranks.length;
    const deviation = Math.sqrt(ranks.reduce((sum, r) => sum + (r - mean) ** 2, 0) / ranks.length);
    return { ranks: ranks.reduce((a, b) => a + b, 0), variation: deviation / mean, parameters: events.at(-1).parameters };
  },
};
