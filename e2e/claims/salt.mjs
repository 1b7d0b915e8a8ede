// SALT: better than LoRA with as many parameters, and not below LoRA with three times as many? The paper segments vessels with SAM; the
// studio has no such model, so this asks only whether the parametrisation helps a decoder that learns a text of another style.
export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: 300, batch: 8, seq: 128, seeds: 3,
  lrs: [3e-4, 1e-3, 3e-3, 1e-2, 3e-2],
  arms: [
    // 41,616 parameters and 124,848; SALT has 41,472.
    { name: 'LoRA, same count', method: 'lora', fields: { rank: 3, alpha: 6 } },
    { name: 'LoRA, three times', method: 'lora', fields: { rank: 9, alpha: 18 } },
    { name: 'values alone', method: 'salt', fields: { top: 1 } },
    { name: 'SALT', method: 'salt', fields: {} },
    { name: 'SALT, signs kept', method: 'salt', fields: { signed: true } },
  ],
  columns: ['parameters'],
  measure: async ({ events }) => ({ parameters: events.at(-1).trainable }),
  /** Differences of test losses, seed by seed, at each arm's best rate. */
  conclude(rows, results) {
    const best = (arm, seed) => results.find((r) => r.arm === arm && r.seed === seed && r.lr === rows.find((row) => row.arm === arm).lr).test;
    const seeds = [...new Set(results.map((r) => r.seed))].sort((a, b) => a - b);
    return ['LoRA, same count', 'LoRA, three times'].map((arm) => `SALT − ${arm}: ${seeds.map((seed) => (best('SALT', seed) - best(arm, seed)).toFixed(4)).join(', ')}, seed by seed (less is better)`);
  },
};
