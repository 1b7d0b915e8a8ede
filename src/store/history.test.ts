// Runs that outlive a visit, over a real IndexedDB implementation: what comes back, what is refused, and what is never lost.
import 'fake-indexeddb/auto';
import { openDB } from 'idb';
import { describe, expect, it, vi } from 'vitest';
import { createApp } from './app';
import { type HistoryBox, openHistoryBox } from './history-box';
import { handClock, recordedClient } from './recorded.testing';

let databases = 0;
const freshName = () => `history-${++databases}`;

async function visit(name: string, answers: Parameters<typeof recordedClient>[0] = {}, box: () => Promise<HistoryBox> = () => openHistoryBox(name)) {
  const engine = recordedClient(answers);
  const hand = handClock();
  const app = createApp(engine.client, hand.clock, { history: box });
  await app.ask.begin();
  await app.reconciler.settled();
  await vi.waitFor(() => expect(app.store.getState().history.status).not.toBe('loading'));
  return { app, ...engine, ...hand, state: () => app.store.getState() };
}
type Visit = Awaited<ReturnType<typeof visit>>;

async function someRun({ app, send, state, tick }: Visit, steps = 40, ends = true): Promise<string> {
  await app.ask.train();
  const run = state().runs.selected as string;
  send({ kind: 'status', run, status: 'running', step: 0 });
  send({ kind: 'eval', run, step: 0, loss: 5, metrics: {} });
  send({ kind: 'sample', run, sample: { prompt: 'p', off: 'a', on: 'a', step: 0 } });
  send({ kind: 'metrics', run, from: 1, series: ['loss', 'lr'], values: Float32Array.from({ length: 2 * steps }, (_, i) => i / 7), seconds: 4, tokensPerSecond: 10 });
  send({ kind: 'view', run, id: 'gates', step: 20, data: { rows: ['a'], columns: 2, values: new Float32Array([1, 0]) } });
  send({ kind: 'note', run, step: 21, text: 'a gate closed' });
  send({ kind: 'eval', run, step: steps, loss: 4, metrics: {} });
  send({ kind: 'saved', run, step: 20, bytes: 1234 });
  tick();
  if (ends) send({ kind: 'ended', run, reason: 'finished', step: steps, seconds: 4 });
  tick();
  return run;
}

describe('a finished run', () => {
  it('is there after a reload, with its numbers, texts, notes, tags and words, bit for bit', async () => {
    const name = freshName();
    const first = await visit(name);
    const run = await someRun(first);
    first.app.ask.describe(run, { tags: ['mine'], remark: 'the good one' });
    await first.app.history.flush();
    const second = await visit(name);
    const kept = second.state().runs.byId[run];
    expect(kept).toMatchObject({ name: 'lora-king-james', status: 'finished', step: 40, seconds: 4, tags: ['mine'], remark: 'the good one', live: false, interrupted: false, facts: { trainable: 1 } });
    expect(kept?.samples).toEqual(first.state().runs.byId[run]?.samples);
    expect(kept?.notes).toEqual([{ step: 21, text: 'a gate closed' }]);
    expect(second.app.log.column(run, 'loss')).toEqual(first.app.log.column(run, 'loss'));
    expect(second.app.log.evals(run)).toEqual({ steps: [0, 40], losses: [5, 4] });
    expect(second.app.log.snapshots(run, 'gates')).toEqual(first.app.log.snapshots(run, 'gates'));
    expect(second.app.log.secondsAt(run, 20)).toBeCloseTo(2);
    expect(second.state().runs.selected).toBe(run);
  });

  it('answers a prompt after a reload: its model, data and state are loaded first', async () => {
    const name = freshName();
    const first = await visit(name);
    const run = await someRun(first);
    await first.app.history.flush();
    const second = await visit(name);
    second.calls.length = 0;
    expect(await second.app.ask.sample(run, 'Hello')).toBeNull();
    expect(second.calls).toEqual([`restore ${run}`, 'sample']);
    second.tick();
    expect(second.state().runs.byId[run]?.own.length).toBe(1);
  });

  it('is woken before it is exported, taken apart or written with', async () => {
    const name = freshName();
    const first = await visit(name);
    const run = await someRun(first);
    await first.app.history.flush();
    const uses: [string, (at: Visit) => Promise<unknown>][] = [
      ['exportAs', ({ app }) => app.ask.exportAs({ source: { kind: 'run', run }, format: 'peft', dtype: 'F32' }, run)],
      ['exploreOpen', ({ app }) => app.explore.open({ kind: 'run', run }, { name: 'kept', step: 40, prompt: 'Hello' })],
      ['write', ({ app }) => app.ask.write({ prompt: 'Hello', chat: false, maxTokens: 1, temperature: 0, topK: 0, topP: 1, stop: [], seed: 1, voices: [{ parts: [{ run, weight: 1 }] }] }, () => {})],
    ];
    for (const [call, use] of uses) {
      const next = await visit(name);
      next.calls.length = 0;
      void use(next);
      await vi.waitFor(() => expect(next.calls.map((one) => one.split(' ')[0])).toContain(call));
      expect(next.calls.slice(0, 2).map((one) => one.split(' ')[0])).toEqual(['restore', call]);
    }
  });

  it('is not lost where its state is gone: the failure says so', async () => {
    const name = freshName();
    const first = await visit(name);
    const run = await someRun(first);
    await first.app.history.flush();
    const second = await visit(name, { restore: async () => { throw { name: 'CheckpointError', message: 'the state is gone', hint: 'train it again' }; } });
    expect(await second.app.ask.sample(run, 'Hello')).toMatchObject({ message: 'the state is gone' });
    expect(second.state().runs.byId[run]?.live).toBe(false);
  });
});

describe('an interrupted run', () => {
  it('is offered again, and goes on from its kept state under its own name', async () => {
    const name = freshName();
    const first = await visit(name);
    const run = await someRun(first, 40, false);
    await first.app.history.flush();
    const second = await visit(name);
    expect(second.state().runs.byId[run]).toMatchObject({ status: 'stopped', interrupted: true, step: 40, saved: { step: 20 } });
    second.calls.length = 0;
    expect(await second.app.ask.goOn(run)).toBeNull();
    expect(second.calls).toEqual([`start again ${run}`]);
    expect(second.state().runs.order).toEqual([run]);
    second.send({ kind: 'status', run, status: 'running', step: 20 });
    second.send({ kind: 'metrics', run, from: 21, series: ['loss', 'lr'], values: new Float32Array([7, 8]), seconds: 0.5, tokensPerSecond: 10 });
    second.tick();
    const now = second.state().runs.byId[run];
    expect(now).toMatchObject({ status: 'running', step: 21, interrupted: false, notes: [] });
    // Two seconds had been trained up to step 20.
    expect(now?.seconds).toBeCloseTo(2.5);
    expect(second.app.log.column(run, 'loss').length).toBe(21);
  });

  it('is offered from what lies in storage, whatever its entry says', async () => {
    const name = freshName();
    const first = await visit(name);
    const run = await someRun(first, 10, false);
    await first.app.history.flush();
    for (const [found, step] of [[{ step: 30, bytes: 99 }, 30], [null, 30]] as const) {
      const next = await visit(name, { kept: async () => found });
      await vi.waitFor(() => expect(next.calls).toContain(`kept ${run}`));
      await vi.waitFor(() => expect(next.state().runs.byId[run]).toMatchObject({ interrupted: true, step, saved: found && { ...found, problem: null } }));
      await next.app.history.flush();
    }
  });

  it('stands as it stood when it cannot go on', async () => {
    const name = freshName();
    const first = await visit(name);
    const run = await someRun(first, 40, false);
    await first.app.history.flush();
    const second = await visit(name, { start: async () => { throw { name: 'CheckpointError', message: 'other data', hint: '' }; } });
    const before = second.state().runs.byId[run];
    expect(await second.app.ask.goOn(run)).toMatchObject({ message: 'other data' });
    expect(second.state().runs.byId[run]).toEqual(before);
  });
});

describe('entries that cannot be read', () => {
  it('are named with the reason, stay where they are, and hide nothing else', async () => {
    const name = freshName();
    const first = await visit(name);
    const run = await someRun(first);
    await first.app.history.flush();
    const db = await openDB(name);
    const good = await db.get('runs', run);
    await db.put('runs', { format: 'lowrank-run-9', anything: 1 }, 'later');
    await db.put('runs', { ...good, record: { ...good.record, id: 'x', step: 'many' } }, 'bent');
    await db.put('runs', { ...good, record: { ...good.record, id: 'y' }, log: { ...good.log, length: 41 } }, 'short');
    await db.put('runs', 'not a run at all', 'foreign');
    await db.put('runs', { ...good, record: { ...good.record, id: 'z', config: { ...good.record.config, holdout: 9 } } }, 'config');
    db.close();
    const second = await visit(name);
    expect(second.state().runs.order).toEqual([run]);
    expect(Object.fromEntries(second.state().history.unreadable.map((entry) => [entry.key, entry.problem]))).toEqual({
      later: 'written in another format: "lowrank-run-9", this version reads lowrank-run-1',
      bent: expect.stringContaining('record.step'),
      short: 'log.columns.loss: 40 values for 41 steps',
      foreign: expect.stringContaining('another format: null'),
      config: expect.stringContaining('holdout'),
    });
    await second.app.history.flush();
    await second.app.ask.removeEntry('foreign');
    const third = await visit(name);
    expect(third.state().history.unreadable.map((entry) => entry.key).sort()).toEqual(['bent', 'config', 'later', 'short']);
  });
});

describe('deleting', () => {
  it('can be undone with all numbers in place, and is kept so', async () => {
    const name = freshName();
    const first = await visit(name);
    const [a, b] = [await someRun(first), await someRun(first)];
    first.app.ask.trash(a);
    expect(first.state().runs.order).toEqual([b]);
    first.app.ask.untrash(a);
    expect(first.state().runs.order).toEqual([a, b]);
    await first.app.history.flush();
    const second = await visit(name);
    expect(second.state().runs.order.length).toBe(2);
    expect(second.app.log.length(a)).toBe(40);
  });

  it('is done for good at the purge, or at the next visit', async () => {
    const name = freshName();
    const first = await visit(name);
    const [a, b] = [await someRun(first), await someRun(first)];
    first.app.ask.trash(a);
    await first.app.ask.purge(a);
    expect(first.calls).toContain(`forget ${a}`);
    first.app.ask.trash(b);
    await first.app.history.flush();
    const second = await visit(name);
    expect(second.state().runs.order).toEqual([]);
    await vi.waitFor(() => expect(second.calls).toContain(`forget ${b}`));
    const third = await visit(name);
    expect(third.calls.some((call) => call.startsWith('forget'))).toBe(false);
  });

  it('never takes a run that trains', async () => {
    const first = await visit(freshName());
    const run = await someRun(first, 40, false);
    first.app.ask.trash(run);
    expect(first.state().runs.order).toEqual([run]);
  });
});

it('says why nothing is kept where there is no storage, and trains all the same', async () => {
  const first = await visit('', {}, () => Promise.reject(new Error('The user denied permission to access the database.')));
  expect(first.state().history).toMatchObject({ status: 'unavailable', problem: 'The user denied permission to access the database.' });
  await someRun(first);
  expect(first.state().runs.order.length).toBe(1);
});

it('says that the storage is full, keeps the run in memory, and takes the word back once there is room', async () => {
  const name = freshName();
  let full = true;
  const box = await openHistoryBox(name);
  const first = await visit(name, {}, async () => ({ ...box, put: async (key, value) => { if (full) throw new Error('QuotaExceededError'); await box.put(key, value); } }));
  const run = await someRun(first);
  await first.app.history.flush();
  expect(first.state().history.problem).toBe('QuotaExceededError');
  full = false;
  first.app.ask.describe(run, { remark: 'again' });
  await first.app.history.flush();
  expect(first.state().history.problem).toBeNull();
  expect((await box.all()).length).toBe(1);
});

it('says that the state of a run could not be kept, and keeps the one before', async () => {
  const first = await visit(freshName());
  const run = await someRun(first, 40, false);
  first.send({ kind: 'saved', run, step: 40, bytes: 9, problem: 'no room' });
  first.tick();
  expect(first.state().runs.byId[run]?.saved).toEqual({ step: 20, bytes: 1234, problem: 'no room' });
});

describe('a queue left behind', () => {
  const queue = async (name: string, change: (queue: { items: { config: unknown }[] }) => void = () => {}) => {
    const first = await visit(name);
    first.app.queue.add({ name: 'equal', base: first.state().project.draft, arms: [{ slug: 'lora', fields: { rank: 8 }, trainable: 1, plan: { trainable: 1, total: 1, byModule: [], bytes: [], peakBytes: 1, largestBuffer: 1, flopsPerStep: 1, dispatchesPerStep: 1 }, off: 0 }], rates: [1e-3], seeds: [1, 2, 3] });
    await vi.waitFor(() => expect(first.state().queue.items.length).toBe(2));
    await first.app.history.flush();
    const box = await openHistoryBox(name);
    const left = (await box.queue()) as { items: { config: unknown }[] };
    change(left);
    await box.putQueue(left);
    return visit(name);
  };

  it('waits, paused, and goes on when asked', async () => {
    const second = await queue(freshName());
    expect(second.state().queue).toMatchObject({ name: 'equal', state: 'paused', total: 3 });
    second.calls.length = 0;
    await second.app.queue.resume();
    await vi.waitFor(() => expect(second.calls).toEqual(['start lora-r8-lr0.001-s2']));
  });

  it('is told by name where it cannot be read', async () => {
    const second = await queue(freshName(), (left) => { left.items[0]!.config = { version: 1 }; });
    expect(second.state().queue.items).toEqual([]);
    expect(second.state().history.problem).toContain('run config: name');
  });
});
