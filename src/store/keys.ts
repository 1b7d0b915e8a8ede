// Keys that say whether what is loaded is what the draft wants. Equal key: nothing to do.
import type { RunConfig } from './contract';
import type { Vault } from './vault';

export function modelKey(draft: RunConfig, vault: Vault): string {
  const { model, weights = 'f32' } = draft;
  if (model.kind === 'builtin') return `builtin:${model.id} ${weights}`;
  return model.kind === 'hub' ? `hub:${model.name}#${vault.againRevision(model.name)} ${weights}` : `files:${model.name}#${vault.folderRevision(model.name)} ${weights}`;
}

/** Tokens depend on the model's tokenizer; the cut and the split depend on seq, holdout and seed, and a batch must fit the rows. */
export function dataKey(draft: RunConfig, vault: Vault): string {
  const { data, holdout, test = 0, pack = false, columns = {}, training, task, template, scale, symmetric } = draft;
  const source = data.kind === 'builtin' ? `builtin:${data.id}` : data.kind === 'hub' ? `hub:${data.name}#${vault.againRevision(data.name)}` : `file:${data.name}#${vault.fileRevision(data.name)}`;
  // The first part is the choice of data, which is read at once; a setting may still be moving.
  return [`${source} ${JSON.stringify([columns, task, template, scale, symmetric])} ${pack}`, modelKey(draft, vault), holdout, test, training.seq, training.seed, training.batch].join('|');
}

/** Everything that a plan may depend on; the prompt and the name are not among it. */
export function planKey(draft: RunConfig, vault: Vault): string {
  const { method, targets, training, holdout, data, sample, columns, pack, test, task, template, scale, symmetric } = draft;
  return JSON.stringify([modelKey(draft, vault), method, targets, training, holdout, data, sample.maxTokens, columns, pack, test, task, template, scale, symmetric]);
}
