// What the page asks of the engine, with the answers put where the page looks for them.
import { type EngineClient, readFailure } from '../worker/client';
import type { Connection } from './connect';
import type { ExportRequest, Failure, HubCard, HubSettings, NamedFile, RunConfig, RunId, WriteRequest, Written } from './contract';
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
  giveFile(name: string, file: Blob): void;
  giveFolder(name: string, files: NamedFile[]): void;
  /** How the Hub is reached from now on. */
  setHub(settings: HubSettings): Promise<void>;
  /** Looks a repository up; nothing large is fetched. */
  lookUp(kind: HubCard['kind'], name: string): Promise<void>;
  /** Takes a repository, or a file of it, as the model or the data. */
  takeHub(kind: HubCard['kind'], name: string): void;
  /** Tries once more what did not load. */
  retry(what: 'model' | 'data'): void;
  /** Ends what is being loaded; what was loaded before stays. */
  cancelLoad(): void;
  addAdapter(name: string, files: NamedFile[]): Promise<void>;
  removeAdapter(id: string): Promise<void>;
  /** The adapter that the next run goes on from; null for a fresh start. */
  trainOn(id: string | null): void;
  write(request: WriteRequest, onText: (voice: number, piece: string) => void): Promise<Written[] | Failure>;
  stopWriting(): void;
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
  const giveFile = (name: string, file: Blob) => {
    vault.putFile(name, file);
    edit({ data: { kind: 'file', name }, columns: undefined });
    reconciler().poke();
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
        const run = await client.start(config, state.sources.trainOn ?? undefined);
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
      giveFile(name, new Blob([text]));
    },
    giveFile,
    giveFolder: (name, files) => {
      vault.putFolder(name, files);
      edit({ model: { kind: 'files', name } });
      reconciler().poke();
    },
    setHub: (settings) => client.setHub(settings),
    lookUp: async (kind, name) => {
      const put = (found: Partial<ReturnType<StudioStore['getState']>['sources']['hub']['model']>) => {
        const { hub } = store.getState().sources;
        patch(store, 'sources', { hub: { ...hub, [kind]: { ...hub[kind], ...found } } });
      };
      put({ status: 'looking', name, card: null, error: null });
      try {
        put({ status: 'found', card: await client.lookUp(kind, name, draft()) });
      } catch (error) {
        put({ status: 'failed', error: readFailure(error) });
      }
    },
    takeHub: (kind, name) => {
      vault.again(name);
      if (kind === 'model') edit({ model: { kind: 'hub', name } });
      else edit({ data: { kind: 'hub', name }, columns: undefined });
      reconciler().poke();
    },
    retry: (what) => {
      const { project } = store.getState();
      patch(store, 'project', { [what]: { ...project[what], key: '' } });
      reconciler().poke();
    },
    cancelLoad: () => void client.cancelLoad(),
    addAdapter: async (name, files) => {
      try {
        const card = await client.addAdapter(name, files);
        patch(store, 'sources', { adapters: [...store.getState().sources.adapters, card], adapterError: null });
      } catch (error) {
        patch(store, 'sources', { adapterError: readFailure(error) });
      }
    },
    removeAdapter: async (id) => {
      await client.removeAdapter(id);
      const { adapters, trainOn } = store.getState().sources;
      patch(store, 'sources', { adapters: adapters.filter((adapter) => adapter.id !== id), trainOn: trainOn === id ? null : trainOn });
    },
    trainOn: (id) => {
      patch(store, 'sources', { trainOn: id });
      // A run goes on with the rank that the adapter has.
      const adapter = store.getState().sources.adapters.find((card) => card.id === id);
      if (adapter?.ranks) edit({ method: { slug: 'lora', fields: { ...draft().method.fields, rank: adapter.ranks[1] } } });
    },
    write: (request, onText) => client.write(request, onText).catch(readFailure),
    stopWriting: () => void client.stopWriting(),
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
