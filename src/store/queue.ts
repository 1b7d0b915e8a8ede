// Trains what waits in the queue, one run after the other, each as soon as the one before it ended.
import type { EngineClient } from '../worker/client';
import { type Commands, factsOf } from './commands';
import { initialQueue, loadedFor, type QueueItem, queueRuns } from './slices/queue';
import { activeRun, comingBack, freshName } from './slices/runs';
import { patch, type StudioStore } from './studio';
import { armOf, type Arm, type SweepPlan, sweepRuns } from './sweep';
import type { MethodCard, RunConfig } from './contract';

export interface Queue {
  /** Puts the runs of a comparison in line behind what waits already, and begins. */
  add(sweep: SweepPlan): void;
  /** Holds the queue, and the run that trains. */
  pause(): Promise<void>;
  resume(): Promise<void>;
  /** Leaves the runs that wait untrained; the one that trains is stopped and kept. */
  cancel(): Promise<void>;
  /** A method at a wanted number of trainable parameters, for the draft's model. */
  arm(card: MethodCard, base: RunConfig, wanted: number): Promise<Arm>;
  /** A method at a rank: the size that others are to have. */
  size(card: MethodCard, base: RunConfig, rank: number): Promise<Arm>;
}

export function driveQueue(store: StudioStore, client: Pick<EngineClient, 'plan'>, ask: Commands): Queue {
  let starting = false;

  const next = async (item: QueueItem) => {
    starting = true;
    const failure = await ask.startNow({ ...item, name: item.config.name });
    starting = false;
    const now = store.getState().queue;
    // Cancelled meanwhile: there is nothing left to count.
    if (now.items[0] !== item) return;
    const items = now.items.slice(1);
    patch(store, 'queue', { items, failed: failure ? [...now.failed, { name: item.config.name, failure }] : now.failed, state: items.length === 0 ? 'idle' : now.state });
    // Paused while it started: it waits with the others.
    const run = activeRun(store.getState().runs);
    if (now.state === 'paused' && run) await ask.pause(run.id);
  };
  const look = () => {
    const { queue, engine, runs, project } = store.getState();
    const item = queue.items[0];
    if (starting || !item || !queueRuns(queue) || engine.status !== 'ready' || activeRun(runs) || comingBack(runs)) return;
    if (loadedFor(project, item.config)) void next(item);
    else if (!wants(project.draft, item.config)) patch(store, 'project', { draft: { ...project.draft, model: item.config.model, data: item.config.data, columns: item.config.columns } });
    else if (project.model.status === 'failed' || project.data.status === 'failed') patch(store, 'queue', { state: 'paused' });
  };
  store.subscribe(look);

  return {
    add: (sweep) => {
      const { engine, project, queue } = store.getState();
      const labelsOf = (slug: string) => ({
        method: engine.methods.find((method) => method.slug === slug)?.name ?? slug,
        model: project.model.card?.name ?? '', data: project.data.card?.name ?? '',
      });
      const items = sweepRuns(sweep).map(({ arm, config }): QueueItem => ({ config, labels: labelsOf(arm.slug), facts: factsOf(arm.plan), tags: [sweep.name] }));
      const waiting = queue.items.length > 0;
      patch(store, 'queue', { name: sweep.name, state: 'running', items: [...queue.items, ...items], total: (waiting ? queue.total : 0) + items.length, failed: waiting ? queue.failed : [] });
    },
    pause: async () => {
      patch(store, 'queue', { state: 'paused' });
      const run = activeRun(store.getState().runs);
      if (run) await ask.pause(run.id);
    },
    resume: async () => {
      patch(store, 'queue', { state: 'running' });
      const run = activeRun(store.getState().runs);
      if (run?.status === 'paused') await ask.resume(run.id);
    },
    cancel: async () => {
      patch(store, 'queue', initialQueue);
      const run = activeRun(store.getState().runs);
      if (run) await ask.stop(run.id);
    },
    size: async (card, base, rank) => {
      const fields = { ...(base.method.slug === card.slug ? base.method.fields : {}), rank };
      const plan = await client.plan({ ...base, method: { slug: card.slug, fields } });
      return { slug: card.slug, fields, trainable: plan.trainable, plan, off: 0 };
    },
    arm: (card, base, wanted) => armOf(card, base, wanted, (config) => client.plan(config)),
  };
}

const wants = (draft: RunConfig, config: RunConfig) => JSON.stringify([draft.model, draft.data]) === JSON.stringify([config.model, config.data]);

/** A name for a comparison that no run is tagged with yet. */
export function sweepName(store: StudioStore, stem: string): string {
  const { byId } = store.getState().runs;
  const tags = Object.values(byId).flatMap((run) => run.tags);
  return freshName({ byId: Object.fromEntries(tags.map((tag) => [tag, { name: tag }])) as never, order: [], selected: null }, stem);
}
