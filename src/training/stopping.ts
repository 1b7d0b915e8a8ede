// When a run ends before its last step: at a validation loss that is good enough, or once it has not improved for a while.
import type { TrainingConfig } from './config';

/** What the rules have seen; kept in checkpoints, so that a resumed run stops where an uninterrupted one does. */
export interface StoppingState {
  /** Lowest validation loss so far; null before the first. */
  best: number | null;
  /** Evaluations since then. */
  since: number;
}

export const unseen: StoppingState = { best: null, since: 0 };

export function afterEvaluation({ best, since }: StoppingState, loss: number): StoppingState {
  return best === null || loss < best ? { best: loss, since: 0 } : { best, since: since + 1 };
}

/** The sentence that says why the run ends now, or null where it goes on. */
export function reasonToStop({ stopAt = 0, patience = 0 }: Pick<TrainingConfig, 'stopAt' | 'patience'>, { best, since }: StoppingState, loss: number): string | null {
  if (stopAt > 0 && loss <= stopAt) return `Validation loss ${loss.toFixed(3)} reached the goal of ${stopAt}: stopped.`;
  if (patience > 0 && since >= patience) return `No validation loss below ${(best as number).toFixed(3)} in ${patience} evaluation${patience === 1 ? '' : 's'}: stopped.`;
  return null;
}
