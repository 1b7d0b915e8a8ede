// What the page asks of the engine, with the answers put where the page looks for them.
import { type EngineClient, readFailure } from '../worker/client';
import type { Connection } from './connect';
import type { ExportRequest, Failure, NamedFile, RunConfig, RunId } from './contract';
import { fitted } from './edits';
import type { Reconciler } from './reconcile';
import { type ExportRecord, exportKey } from './slices/artifacts';
import type { RunRecord } from './slices/runs';
import { freshName } from './slices/runs';
import { patch, type StudioStore } from './studio';
import { trainBlock } from './train-block';
import type { Vault } from './vault';

export interface Commands {
  /** Says hello to the engine and fits the draft to its catalogues; answers which parts of the draft had to be replaced. */
  begin(): Promise<string[]>;
  train(): Promise<void>;
  pause(run: RunId): Promise<Failure | null>;
  resume(run: RunId): Promise<Failure | null>;
  stop(run: RunId): Promise<Failure | null>;
  sample(run: RunId, prompt: string): Promise<Failure | null>;
  /** Writes an adapter; `run` is the one it stems from, if any. */
  exportAs(request: ExportRequest, run: RunId | null): Promise<void>;
  select(run: RunId): void;
  giveText(name: string, text: string): void;
  giveFolder(name: string, files: NamedFile[]): void;
  /** Back to the last model or data that loaded. */
  goBack(what: 'model' | 'data'): void;
}

export function commands(store: StudioStore, client: EngineClient, connection: Connection, vault: Vault, reconciler: () => Reconciler): Commands {
  const draft = () => store.getState().project.draft;
  const edit = (change: Partial<RunConfig>) => patch(store, 'project', { draft: { ...draft(), ...change }, startError: null });
  const attempt = async (work: () => Promise<void>): Promise<Failure | null> => {
    try {
      await work();
      return null;
    } catch (error) {
      return readFailure(error);
    }
  };
  return {
    begin: async () => {
      client.onCrash((failure) => connection.crashed(failure));
      try {
        const hello = await client.hello((event) => connection.receive(event));
        const fit = fitted(draft(), hello);
        // The draft first: the moment the engine is ready, what the draft names is loaded.
        patch(store, 'project', { draft: fit.draft });
        connection.hello(hello);
        return fit.replaced;
      } catch (error) {
        connection.crashed(readFailure(error));
        return [];
      }
    },
    train: async () => {
      const state = store.getState();
      if (trainBlock(state, vault)) return;
      const { labels, name } = naming(store);
      const config: RunConfig = { ...draft(), name };
      connection.expect({ name, config, labels });
      patch(store, 'project', { startError: null });
      patch(store, 'layout', { panel: 'train' });
      try {
        const run = await client.start(config);
        connection.adopt(run);
        connection.flush();
      } catch (error) {
        connection.abandon();
        patch(store, 'project', { startError: readFailure(error) });
        patch(store, 'layout', { panel: 'build' });
      }
    },
    pause: (run) => attempt(() => client.pause(run)),
    resume: (run) => attempt(() => client.resume(run)),
    stop: (run) => attempt(() => client.stop(run)),
    sample: (run, prompt) =>
      attempt(async () => {
        const { maxTokens, temperature } = (store.getState().runs.byId[run] as RunRecord).config.sample;
        connection.answer(run, await client.sample(run, prompt, maxTokens, temperature));
      }),
    exportAs: async (request, run) => {
      const key = exportKey(request);
      const put = (record: ExportRecord) => patch(store, 'artifacts', { exports: { ...store.getState().artifacts.exports, [key]: record } });
      const step = run === null ? 0 : (store.getState().runs.byId[run]?.step ?? 0);
      put({ status: 'writing', step, result: store.getState().artifacts.exports[key]?.result ?? null, error: null });
      try {
        put({ status: 'ready', step, result: await client.exportAs(request), error: null });
      } catch (error) {
        put({ status: 'failed', step, result: null, error: readFailure(error) });
      }
    },
    select: (run) => connection.select(run),
    giveText: (name, text) => {
      vault.putText(name, text);
      edit({ data: { kind: 'file', name } });
      reconciler().poke();
    },
    giveFolder: (name, files) => {
      vault.putFolder(name, files);
      edit({ model: { kind: 'files', name } });
      reconciler().poke();
    },
    goBack: (what) => {
      const { model, data } = store.getState().project;
      if (what === 'model' && model.good) edit({ model: model.good });
      if (what === 'data' && data.good) edit({ data: data.good });
      reconciler().poke();
    },
  };
}

/** The labels of a run that starts now, and a name that says them. */
function naming(store: StudioStore): { labels: RunRecord['labels']; name: string } {
  const { engine, project, runs } = store.getState();
  const { draft } = project;
  const builtinData = draft.data.kind === 'builtin' ? draft.data.id : draft.data.name;
  const labels = {
    method: engine.methods.find((method) => method.slug === draft.method.slug)?.name ?? draft.method.slug,
    model: project.model.card?.name ?? (draft.model.kind === 'builtin' ? draft.model.id : draft.model.name),
    data: project.data.card?.name ?? builtinData,
  };
  const stem = builtinData.replace(/\.[a-z0-9]+$/i, '').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-|-$/g, '');
  return { labels, name: freshName(runs, draft.name || `${draft.method.slug}-${stem}`) };
}
