// Why Train cannot be pressed now, as a code; null when it can. The words are the page's.
import { dataKey, modelKey } from './keys';
import { activeRun } from './slices/runs';
import type { StudioState } from './studio';
import { NO_SITE } from './targets';
import type { Vault } from './vault';

export type TrainBlock =
  | 'engine-starting' | 'engine-gone' | 'run-active'
  | 'model-missing' | 'model-loading' | 'model-failed'
  | 'data-missing' | 'data-loading' | 'data-failed'
  | 'no-sites' | 'planning' | 'plan-failed' | 'plan-problem';

export function trainBlock(state: StudioState, vault: Vault): TrainBlock | null {
  const { draft, model, data, plan } = state.project;
  if (state.engine.status === 'starting') return 'engine-starting';
  if (state.engine.status !== 'ready') return 'engine-gone';
  if (activeRun(state.runs)) return 'run-active';
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
