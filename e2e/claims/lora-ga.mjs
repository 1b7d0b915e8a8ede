// LoRA-GA: does it reach the training loss that LoRA ends at in half of the steps, and is that due to the gradient's directions?
// The control starts from random orthogonal factors of the same lengths. The paper trains T5 on GLUE; here a decoder learns another style.
const STEPS = 300;
const rank = { rank: 8, alpha: 16, scaling: 'alpha/sqrt(r)' };

/** Mean training loss of the 20 steps up to each tenth step. */
function curve(events) {
  const losses = events.filter((e) => e.event === 'step').map((e) => e.loss);
  return losses.flatMap((_, i) => ((i + 1) % 10 === 0 ? [losses.slice(Math.max(0, i - 19), i + 1).reduce((a, b) => a + b, 0) / Math.min(20, i + 1)] : []));
}

export const claim = {
  model: 'public/models/tale-1m',
  data: 'public/data/king-james/data.txt',
  steps: STEPS, batch: 8, seq: 128, seeds: 3,
  lrs: [3e-5, 1e-4, 3e-4, 1e-3, 3e-3],
  arms: [
    { name: 'LoRA', method: 'lora', fields: rank },
    { name: 'LoRA-GA', method: 'lora-ga', fields: rank },
    { name: 'random orthogonal', method: 'lora-ga', fields: { ...rank, direction: 'orthogonal' } },
    { name: 'LoRA-GA as PEFT has it', method: 'lora-ga', fields: { ...rank, size: 'peft' } },
    { name: 'full', method: 'full', fields: {} },
  ],
  columns: ['early', 'initialisation'],
  /** The training curve, its mean over the first third, and the seconds of the initialisation. */
  async measure({ dir, events }) {
    const { readFile } = await import('node:fs/promises');
    const { initialisationSeconds = 0 } = JSON.parse(await readFile(`${dir}/run.json`, 'utf8'));
    const losses = events.filter((e) => e.event === 'step').map((e) => e.loss);
    const third = losses.slice(0, Math.ceil(losses.length / 3));
    return { curve: curve(events), early: third.reduce((a, b) => a + b, 0) / third.length, initialisation: initialisationSeconds };
  },
  /** Steps to the loss that LoRA, at its best rate, ends at with the same seed. */
  conclude(rows, results) {
    const best = new Map(rows.map(({ arm, lr }) => [arm, results.filter((r) => r.arm === arm && r.lr === lr)]));
    return rows.filter(({ arm }) => arm !== 'LoRA').map(({ arm }) => {
      const steps = best.get(arm).map(({ seed, curve: own }) => {
        const target = best.get('LoRA').find((r) => r.seed === seed).curve.at(-1);
        const at = own.findIndex((loss) => loss <= target);
        return at < 0 ? 'never' : 10 * (at + 1);
      });
      return `${arm}: LoRA's loss at the end reached after ${steps.join(', ')} steps, seed by seed`;
    });
  },
};
