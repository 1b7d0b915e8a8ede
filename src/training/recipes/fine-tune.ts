// The recipe of most methods: the phases one after another.
import type { Trainer } from '../host';

export async function fineTune(run: Trainer): Promise<void> {
  for (const phase of run.phases) if (!(await run.train(phase))) return;
}
