// Keys that say whether what is loaded is what the draft wants. Equal key: nothing to do.
import type { RunConfig } from './contract';
import type { Vault } from './vault';

export function modelKey(draft: RunConfig, vault: Vault): string {
  return draft.model.kind === 'builtin' ? `builtin:${draft.model.id}` : `files:${draft.model.name}#${vault.folderRevision(draft.model.name)}`;
}

/** Tokens depend on the model's tokenizer; the cut and the split depend on seq, holdout and seed, and a batch must fit the rows. */
export function dataKey(draft: RunConfig, vault: Vault): string {
  const source = draft.data.kind === 'builtin' ? `builtin:${draft.data.id}` : `file:${draft.data.name}#${vault.textRevision(draft.data.name)}`;
  return [source, modelKey(draft, vault), draft.holdout, draft.training.seq, draft.training.seed, draft.training.batch].join('|');
}

/** Everything that a plan may depend on; the prompt and the name are not among it. */
export function planKey(draft: RunConfig, vault: Vault): string {
  const { method, targets, training, holdout, data, sample } = draft;
  return JSON.stringify([modelKey(draft, vault), method, targets, training, holdout, data, sample.maxTokens]);
}
