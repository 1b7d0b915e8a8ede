// Keeps model, data and plan equal to what the draft wants: one call to the engine at a time, the newest draft wins.
import type { EngineClient } from '../worker/client';
import { readFailure } from '../worker/client';
import { tasksFor } from './contract';
import { dataKey, modelKey, planKey } from './keys';
import { queueHolds } from './slices/queue';
import { activeRun } from './slices/runs';
import { patch, type StudioStore } from './studio';
import type { Vault } from './vault';

/** Reading data again waits until a slider has come to rest, in ms. */
const REST = 250;

export interface Reconciler {
  /** Looks again, e.g. after a file of the same name was given anew. */
  poke(): void;
  /** Resolves when nothing is left to do. */
  settled(): Promise<void>;
  stop(): void;
}

export function reconcile(store: StudioStore, client: Pick<EngineClient, 'loadModel' | 'loadData' | 'cancelLoad' | 'plan'>, vault: Vault): Reconciler {
  let working: Promise<void> | null = null;
  let stopped = false;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let wantedData = '';
  let wantedSince = 0;

  const loadModel = async (key: string) => {
    const { draft, model } = store.getState().project;
    patch(store, 'project', { model: { ...model, status: 'loading', key, error: null } });
    try {
      const files = draft.model.kind === 'files' ? vault.folder(draft.model.name) : undefined;
      const card = await client.loadModel(draft.model, files, draft.weights);
      const now = store.getState().project.draft;
      // A task that this model cannot learn makes way for what it was made for.
      const task = card.kind === 'conv' || tasksFor(card.kind).includes(now.task) ? now.task : card.task;
      // The plan of the model before says nothing about this one.
      patch(store, 'project', { ...(task === now.task ? {} : { draft: { ...now, task } }), model: { status: 'ready', key, card, error: null, good: draft.model }, ...(model.card?.name === card.name ? {} : { plan: { status: 'idle', key: '', plan: null, error: null } }) });
      patch(store, 'sources', { adapters: [], adapterError: null, trainOn: null });
    } catch (error) {
      patch(store, 'project', { model: { ...model, status: 'failed', key, error: readFailure(error) } });
    }
  };
  const loadData = async (key: string) => {
    const { draft, data } = store.getState().project;
    patch(store, 'project', { data: { ...data, status: 'loading', key, error: null } });
    try {
      const file = draft.data.kind === 'file' ? vault.file(draft.data.name) : undefined;
      const { holdout, test, columns, pack, task, template, scale, symmetric, training: { seq, seed, batch } } = draft;
      const card = await client.loadData(draft.data, { holdout, test, columns, pack, task, template, scale, symmetric, seq, seed, batch }, file);
      patch(store, 'project', { data: { status: 'ready', key, card, error: null, good: draft.data } });
    } catch (error) {
      patch(store, 'project', { data: { ...data, status: 'failed', key, error: readFailure(error) } });
    }
  };
  const plan = async (key: string) => {
    const { draft, plan: old } = store.getState().project;
    patch(store, 'project', { plan: { ...old, status: 'planning', key } });
    try {
      patch(store, 'project', { plan: { status: 'ready', key, plan: await client.plan(draft), error: null } });
    } catch (error) {
      patch(store, 'project', { plan: { status: 'failed', key, plan: null, error: readFailure(error) } });
    }
  };

  /** The first thing that is not as wanted, or null. */
  const next = (): (() => Promise<void>) | null => {
    const state = store.getState();
    const { draft, model, data, plan: planned } = state.project;
    if (stopped || state.engine.status !== 'ready') return null;
    // A run trains on the loaded model and data: both stay until it ends.
    const free = activeRun(state.runs) === null && !queueHolds(state.queue, state.project);
    const wanted = modelKey(draft, vault);
    if (model.key !== wanted) {
      if (!free || (draft.model.kind === 'files' && !vault.folder(draft.model.name))) return null;
      return () => loadModel(wanted);
    }
    if (model.status !== 'ready') return null;
    const wantedPlan = planKey(draft, vault);
    const needsPlan = planned.key !== wantedPlan;
    const key = dataKey(draft, vault);
    if (data.key !== key && free && !(draft.data.kind === 'file' && !vault.file(draft.data.name))) {
      const changed = key !== wantedData;
      if (changed) {
        // Choosing other data reads them at once; only a setting that is still moving waits.
        wantedSince = data.key.split('|')[0] === key.split('|')[0] ? Date.now() : 0;
        wantedData = key;
      }
      const rest = wantedSince + REST - Date.now();
      if (rest <= 0) return () => loadData(key);
      clearTimeout(timer);
      timer = setTimeout(poke, rest);
    }
    return needsPlan ? () => plan(wantedPlan) : null;
  };

  const work = async () => {
    for (let job = next(); job; job = next()) await job();
  };
  /** What is being read is not wanted any more: the next choice need not wait for it. */
  const outdated = (): boolean => {
    const { draft, model, data } = store.getState().project;
    const other = (now: string, wanted: string) => now.split('|')[0] !== wanted.split('|')[0];
    return (model.status === 'loading' && other(model.key, modelKey(draft, vault))) || (data.status === 'loading' && (other(data.key, dataKey(draft, vault)) || model.key !== modelKey(draft, vault)));
  };
  const poke = () => {
    if (working) {
      if (outdated()) void client.cancelLoad();
      return;
    }
    working = work().finally(() => {
      working = null;
      // A change that came with the very last answer must not be lost.
      if (next()) poke();
    });
  };

  const unsubscribe = store.subscribe((state, before) => {
    if (state.project.draft !== before.project.draft || state.engine.status !== before.engine.status || state.runs !== before.runs || state.queue !== before.queue) poke();
  });
  poke();
  return {
    poke,
    settled: async () => {
      while (working) await working;
    },
    stop: () => {
      stopped = true;
      clearTimeout(timer);
      unsubscribe();
    },
  };
}
