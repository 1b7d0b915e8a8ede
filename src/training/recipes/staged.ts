// Phases between which something changes: what trains, what is frozen, which ranks there are.
import type { Trainer } from '../host';

/**
 * `enter[i]` runs once before phase i, also where a run is resumed later: what was entered is part of the run's state. It changes
 * `state`, by which the method attaches, and the run attaches anew when it returns.
 */
export async function staged(run: Trainer, enter: readonly (((run: Trainer) => Promise<void> | void) | null)[]): Promise<void> {
  for (const [i, phase] of run.phases.entries()) {
    if (phase.steps === 0) continue;
    if (i > Number(run.state.stage ?? 0) || (i === 0 && run.state.stage === undefined)) {
      run.state.stage = i;
      const change = enter[i];
      if (change) {
        await change(run);
        await run.reattach();
      }
    }
    if (!(await run.train(phase))) return;
  }
}
