// Why Train cannot be pressed now, as a code; null when it can. The words are the page's.
import { dataKey, modelKey } from './keys';
import { queueRuns } from './slices/queue';
import { activeRun, comingBack } from './slices/runs';
import type { StudioState, StudioStore } from './studio';
import { NO_SITE } from './targets';
import type { Vault } from './vault';

export type TrainBlock =
  | 'engine-starting' | 'engine-gone' | 'run-active' | 'queue-active'
  | 'model-missing' | 'model-loading' | 'model-failed'
  | 'data-missing' | 'data-loading' | 'data-failed'
  | 'no-sites' | 'planning' | 'plan-failed' | 'plan-problem';

export function trainBlock(state: StudioState, vault: Vault): TrainBlock | null {
  if (state.engine.status === 'starting' || state.engine.status === 'recovering') return 'engine-starting';
  if (state.engine.status !== 'ready') return 'engine-gone';
  if (activeRun(state.runs) || comingBack(state.runs)) return 'run-active';
  if (queueRuns(state.queue)) return 'queue-active';
  return setupBlock(state, vault);
}

/** What is amiss with the setup itself where more runs may wait: one that trains is no hindrance. */
export const setupTrainBlock = (state: StudioState, vault: Vault): TrainBlock | null => (state.engine.status === 'ready' ? (activeRun(state.runs) || queueRuns(state.queue) ? null : setupBlock(state, vault)) : 'engine-gone');

/** What is amiss with the setup itself, whatever trains now. */
function setupBlock(state: StudioState, vault: Vault): TrainBlock | null {
  const { draft, model, data, plan } = state.project;
  if (draft.model.kind === 'files' && !vault.folder(draft.model.name)) return 'model-missing';
  if (model.key === modelKey(draft, vault) && model.status === 'failed') return 'model-failed';
  if (model.key !== modelKey(draft, vault) || model.status !== 'ready') return 'model-loading';
  if (draft.data.kind === 'file' && !vault.file(draft.data.name)) return 'data-missing';
  if (data.key === dataKey(draft, vault) && data.status === 'failed') return 'data-failed';
  if (data.key !== dataKey(draft, vault) || data.status !== 'ready') return 'data-loading';
  if (draft.targets === NO_SITE) return 'no-sites';
  if (plan.status === 'failed') return 'plan-failed';
  // While a new plan is on its way, the answer of the last one stands: the button must not flicker.
  if (!plan.plan) return 'planning';
  return plan.plan.problem ? 'plan-problem' : null;
}

const PASSING: readonly (TrainBlock | null)[] = ['engine-starting', 'model-loading', 'data-loading', 'planning'];

/** The block that stays once everything under way is done; null when the draft's model and data are loaded and planned. */
export function settledBlock(store: StudioStore, vault: Vault): Promise<TrainBlock | null> {
  const now = () => {
    const state = store.getState();
    const block = state.engine.status === 'ready' || state.engine.status === 'starting' || state.engine.status === 'recovering' ? setupBlock(state, vault) : 'engine-gone';
    return block === null && state.project.plan.status === 'planning' ? 'planning' : block;
  };
  return new Promise((resolve) => {
    const block = now();
    if (!PASSING.includes(block)) return resolve(block);
    const unsubscribe = store.subscribe(() => {
      const next = now();
      if (PASSING.includes(next)) return;
      unsubscribe();
      resolve(next);
    });
  });
}
