// What the page asks of the engine, with the answers put where the page looks for them.
import { parseRunConfig } from '../training/config';
import { type EngineClient, readFailure } from '../worker/client';
import type { Connection } from './connect';
import type { ExportRequest, Failure, Found, HubCard, HubSettings, Judged, Looked, NamedFile, PictureChoice, RunConfig, RunId, WriteRequest, Written } from './contract';
import { fitted } from './edits';
import type { History } from './history';
import type { MetricLog } from './metric-log';
import type { Reconciler } from './reconcile';
import { type ExportRecord, exportKey } from './slices/artifacts';
import { queueRuns } from './slices/queue';
import { activeRun, isActive, type PendingRun, type RunRecord, withoutRun, withRun } from './slices/runs';
import { freshName } from './slices/runs';
import { patch, type StudioStore } from './studio';
import { trainsElsewhere } from './tab-lock';
import { settledBlock, trainBlock } from './train-block';
import type { Vault } from './vault';

export interface Commands {
  /** Says hello to the engine, reads the history, and fits the draft to the catalogues; answers which parts of the draft had to be replaced. */
  begin(): Promise<string[]>;
  train(): Promise<void>;
  /** Makes a whole setup the draft, loads what it names, and trains it. */
  trainSetup(config: RunConfig): Promise<Failure | null>;
  /** Starts a run on what is loaded, without showing it; `from` is an adapter on the model, to be trained on. */
  startNow(run: PendingRun, from?: string): Promise<Failure | null>;
  /** Goes on with a run that was stopped, interrupted or failed, from its kept state: loads its model and data first. */
  goOn(run: RunId): Promise<Failure | null>;
  /** Makes a run of an earlier visit ready for texts and exports: loads its model and data first. */
  wake(run: RunId): Promise<Failure | null>;
  pause(run: RunId): Promise<Failure | null>;
  resume(run: RunId): Promise<Failure | null>;
  stop(run: RunId): Promise<Failure | null>;
  sample(run: RunId, prompt: string): Promise<Failure | null>;
  /** Writes an adapter; `run` is the one it stems from, if any. */
  exportAs(request: ExportRequest, run: RunId | null): Promise<void>;
  select(run: RunId): void;
  /** Tags and words of the user on a run. */
  describe(run: RunId, change: Partial<Pick<RunRecord, 'tags' | 'remark' | 'name'>>): void;
  /** Takes a run away; `untrash` brings it back until `purge` deletes it for good. */
  trash(run: RunId): void;
  untrash(run: RunId): void;
  purge(run: RunId): Promise<void>;
  /** Deletes an entry of the history that cannot be read. */
  removeEntry(key: string): Promise<void>;
  /** A new device in place of a lost one, and the run that it interrupted goes on. */
  recover(): Promise<void>;
  giveText(name: string, text: string): void;
  giveFile(name: string, file: Blob | NamedFile[]): void;
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
  /** What the model makes of a picture, with the adapter of a run or without one. */
  look(picture: PictureChoice, texts: string[] | null, run: RunId | null): Promise<Looked | Failure>;
  /** Which held-out pictures a text belongs to, with the adapter of a run or without one. */
  find(text: string, run: RunId | null): Promise<Found | Failure>;
  /** What an encoder makes of a text, or of two, with the adapter of a run or without one. */
  judge(text: { text: string; second?: string }, run: RunId | null): Promise<Judged | Failure>;
  /** A whole setup from a file; answers what is wrong with it. */
  giveConfig(json: unknown): Failure | null;
  /** Back to the last model or data that loaded. */
  goBack(what: 'model' | 'data'): void;
}

/** Devices lost within this time of one another, in ms, and how many before the page stops asking for a new one. */
const LOSSES = { within: 60_000, most: 3 };

export function commands(store: StudioStore, client: EngineClient, connection: Connection, vault: Vault, log: MetricLog, history: History, reconciler: () => Reconciler): Commands {
  const draft = () => store.getState().project.draft;
  const edit = (change: Partial<RunConfig>) => patch(store, 'project', { draft: { ...draft(), ...change }, startError: null });
  /** The whole of it: what a setup leaves out is not what the one before had. */
  const replaceDraft = (next: RunConfig) => patch(store, 'project', { draft: next, startError: null });
  const attempt = async (work: () => Promise<void>): Promise<Failure | null> => {
    try {
      await work();
      return null;
    } catch (error) {
      return readFailure(error);
    }
  };
  const giveFile = (name: string, file: Blob | NamedFile[]) => {
    vault.putFile(name, file);
    edit({ data: { kind: 'file', name }, columns: undefined });
    reconciler().poke();
  };
  const recordOf = (run: RunId): RunRecord => store.getState().runs.byId[run] as RunRecord;
  const losses: number[] = [];

  /** Loads the model and data of a run by making its setup the draft; the run before is the only one that may be trained then. */
  const load = async (config: RunConfig): Promise<void> => {
    const { runs, queue } = store.getState();
    if (activeRun(runs) || queueRuns(queue)) throw { name: 'ConfigError', message: 'Another run is going on.', hint: 'This one can be loaded when it ends or is stopped.' };
    await loadNow(config);
  };
  const loadNow = async (config: RunConfig): Promise<void> => {
    replaceDraft({ ...config, name: '' });
    reconciler().poke();
    const block = await settledBlock(store, vault);
    if (block === null) return;
    const { model, data, plan } = store.getState().project;
    const error = block === 'model-failed' ? model.error : block === 'data-failed' ? data.error : block === 'plan-failed' ? plan.error : null;
    throw error ?? { name: 'ConfigError', message: BLOCKED[block] ?? `The run cannot be loaded now: ${block}.`, hint: block === 'data-missing' || block === 'model-missing' ? 'Choose it again in Build; links and the history name files, they never carry them.' : '' };
  };
  const wake = (run: RunId) =>
    attempt(async () => {
      const record = recordOf(run);
      if (record.live) return;
      await load(record.config);
      await client.restore(run, record.config);
      connection.update(run, (now) => ({ ...now, live: true }));
    });
  /** The page may have ended between the keeping of a state and the writing of the entry that names it: what lies in storage counts. */
  const lookAfterInterrupted = async () => {
    for (const { id, interrupted, live } of Object.values(store.getState().runs.byId)) {
      if (!interrupted || live) continue;
      const found = await client.kept(id).catch(() => null);
      if (recordOf(id).live) continue;
      connection.update(id, (run) => ({ ...run, saved: found && { ...found, problem: null }, step: Math.max(run.step, found?.step ?? 0) }));
    }
  };
  const again = (run: RunId, loading: (config: RunConfig) => Promise<void> = load) =>
    attempt(async () => {
      const before = recordOf(run);
      await loading(before.config);
      const from = before.saved?.step ?? 0;
      connection.update(run, (now) => ({
        ...now, status: 'preparing', error: null, interrupted: false, live: true, notes: now.notes.filter((note) => note.step <= from),
        secondsBefore: log.secondsAt(run, from) ?? (from === 0 ? 0 : (now.seconds ?? 0)),
      }));
      try {
        await client.start(before.config, { again: run });
      } catch (error) {
        connection.abandon(before);
        throw error;
      }
    });
  const startNow = async (pending: PendingRun, from?: string): Promise<Failure | null> => {
    const run = { ...pending, name: freshName(store.getState().runs, pending.name) };
    const config = { ...run.config, name: run.name };
    connection.expect({ ...run, config });
    try {
      connection.adopt(await client.start(config, from === undefined ? {} : { from }));
      connection.flush();
      return null;
    } catch (error) {
      connection.abandon();
      return readFailure(error);
    }
  };
  const drop = (run: RunId) => patch(store, 'runs', withoutRun(store.getState().runs, run));

  const all: Commands = {
    begin: async () => {
      client.onCrash((failure) => connection.crashed(failure));
      const kept = history.open();
      try {
        const hello = await client.hello((event) => {
          connection.receive(event);
          if (event.kind === 'lost') void all.recover();
        });
        const fit = fitted(draft(), hello);
        // The draft first: the moment the engine is ready, what the draft names is loaded.
        patch(store, 'project', { draft: fit.draft });
        connection.hello(hello);
        void kept.then((gone) => {
          for (const run of gone) void client.forget(run).catch(() => {});
          return lookAfterInterrupted();
        });
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
      patch(store, 'project', { startError: null });
      patch(store, 'layout', { panel: 'train' });
      const failure = await startNow({ name, config: draft(), labels, facts: factsOf(state.project.plan.plan) }, state.sources.trainOn ?? undefined);
      if (!failure) return;
      patch(store, 'project', { startError: failure });
      patch(store, 'layout', { panel: 'build' });
    },
    trainSetup: async (config) =>
      (await attempt(() => load(config))) ?? (await all.train().then(() => store.getState().project.startError)),
    startNow,
    goOn: async (run) => {
      if (activeRun(store.getState().runs)) return { name: 'ConfigError', message: 'Another run is going on.', hint: 'Stop it first.' };
      if (await trainsElsewhere(run)) return { name: 'ConfigError', message: 'This run trains in another tab.', hint: 'Look there, or close that tab first.' };
      patch(store, 'layout', { panel: 'train' });
      connection.select(run);
      return again(run);
    },
    wake,
    pause: (run) => attempt(() => client.pause(run)),
    resume: (run) => attempt(() => client.resume(run)),
    stop: (run) => attempt(() => client.stop(run)),
    sample: async (run, prompt) =>
      (await wake(run)) ??
      attempt(async () => {
        const { maxTokens, temperature } = recordOf(run).config.sample;
        connection.answer(run, await client.sample(run, prompt, maxTokens, temperature));
      }),
    exportAs: async (request, run) => {
      const key = exportKey(request);
      const put = (record: ExportRecord) => patch(store, 'artifacts', { exports: { ...store.getState().artifacts.exports, [key]: record } });
      const step = run === null ? 0 : (store.getState().runs.byId[run]?.step ?? 0);
      put({ status: 'writing', step, result: store.getState().artifacts.exports[key]?.result ?? null, error: null });
      const asleep = run === null ? null : await wake(run);
      if (asleep) return put({ status: 'failed', step, result: null, error: asleep });
      try {
        put({ status: 'ready', step, result: await client.exportAs(request), error: null });
      } catch (error) {
        put({ status: 'failed', step, result: null, error: readFailure(error) });
      }
    },
    select: (run) => connection.select(run),
    describe: (run, change) => connection.update(run, (now) => ({ ...now, ...change })),
    trash: (run) => {
      const record = recordOf(run);
      if (isActive(record.status)) return;
      patch(store, 'history', { trash: { ...store.getState().history.trash, [run]: { run: record, at: store.getState().runs.order.indexOf(run) } } });
      drop(run);
    },
    untrash: (run) => {
      const { [run]: kept, ...trash } = store.getState().history.trash;
      if (!kept) return;
      patch(store, 'history', { trash });
      const { runs } = store.getState();
      const order = runs.order.toSpliced(kept.at, 0, run);
      patch(store, 'runs', { ...withRun(runs, kept.run), order, selected: run });
    },
    purge: async (run) => {
      const { [run]: kept, ...trash } = store.getState().history.trash;
      if (!kept) return;
      patch(store, 'history', { trash });
      log.drop(run);
      await history.remove(run);
      await client.forget(run).catch(() => {});
    },
    removeEntry: (key) => history.remove(key),
    recover: async () => {
      if (store.getState().engine.status !== 'lost') return;
      losses.push(Date.now());
      const recent = losses.filter((at) => Date.now() - at < LOSSES.within);
      // A device that goes again and again is not asked for again by itself; the user may.
      if (recent.length > LOSSES.most) return;
      const reason = store.getState().engine.failure?.message ?? '';
      const { runs, engine } = store.getState();
      patch(store, 'engine', { ...engine, status: 'recovering' });
      const hit = runs.order.map((id) => runs.byId[id] as RunRecord).find((run) => isActive(run.status) || (run.error?.name === 'DeviceLostError' && run.recovery?.seconds !== null));
      const paused = hit?.status === 'paused';
      if (hit) connection.update(hit.id, (run) => ({ ...run, status: 'stopped', secondsPerStep: null, error: null, interrupted: true, recovery: { reason, lostAt: run.step, from: run.saved?.step ?? 0, seconds: null, repeats: null } }));
      try {
        connection.recovered(await client.recover());
      } catch (error) {
        patch(store, 'engine', { status: 'lost', failure: readFailure(error) });
        if (hit) connection.update(hit.id, (run) => ({ ...run, recovery: null }));
        return;
      }
      if (!hit) return;
      const own = draft();
      const failure = await again(hit.id, loadNow);
      if (failure) connection.update(hit.id, (run) => ({ ...run, status: 'failed', error: failure, recovery: null }));
      else if (paused) await attempt(() => client.pause(hit.id));
      // What the user was setting up meanwhile comes back; it is loaded when the run ends.
      replaceDraft(own);
    },
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
    write: async (request, onText) => {
      for (const run of new Set(request.voices.flatMap(({ parts }) => parts.flatMap((part) => (part.weight === 0 ? [] : (part.run ?? [])))))) {
        const asleep = await wake(run);
        if (asleep) return asleep;
      }
      return client.write(request, onText).catch(readFailure);
    },
    stopWriting: () => void client.stopWriting(),
    look: (picture, texts, run) => client.look(picture, texts, run).catch(readFailure),
    find: (text, run) => client.find(text, run).catch(readFailure),
    judge: (text, run) => client.judge(text, run).catch(readFailure),
    giveConfig: (json) => {
      try {
        const { draft: fit } = fitted(parseRunConfig(json), store.getState().engine);
        replaceDraft({ ...fit, name: '' });
        reconciler().poke();
        return null;
      } catch (error) {
        return readFailure(error);
      }
    },
    goBack: (what) => {
      const { model, data } = store.getState().project;
      if (what === 'model' && model.good) edit({ model: model.good });
      if (what === 'data' && data.good) edit({ data: data.good });
      reconciler().poke();
    },
  };
  return all;
}

const BLOCKED: Record<string, string> = {
  'run-active': 'Another run is going on.',
  'queue-active': 'A comparison is going on.',
  'engine-gone': 'There is no graphics device.',
  'model-missing': 'The model’s folder is not here any more.',
  'data-missing': 'The data file is not here any more.',
  'plan-problem': 'It does not fit this device.',
};

export const factsOf = (plan: { trainable: number; peakBytes: number; flopsPerStep: number } | null): RunRecord['facts'] =>
  plan && { trainable: plan.trainable, peakBytes: plan.peakBytes, flopsPerStep: plan.flopsPerStep };

/** The labels of a run that starts now, and a name that says them. */
export function naming(store: StudioStore): { labels: RunRecord['labels']; name: string } {
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
