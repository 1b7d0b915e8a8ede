import { describe, expect, it, vi } from 'vitest';
import { createApp } from './app';
import { defaultRun, type RunConfig } from './contract';
import { data, handClock, hello, model, recordedClient } from './recorded.testing';
import { exportKey } from './slices/artifacts';
import { activeRun } from './slices/runs';
import { trainBlock } from './train-block';

async function ready(draft?: RunConfig, answers: Parameters<typeof recordedClient>[0] = {}) {
  const engine = recordedClient(answers);
  const hand = handClock();
  const app = createApp(engine.client, hand.clock, draft ? { draft } : {});
  const replaced = await app.ask.begin();
  await app.reconciler.settled();
  return { app, replaced, ...engine, ...hand, state: () => app.store.getState() };
}

describe('a first visit', () => {
  it('loads the default model and data, plans, and can train at once', async () => {
    const { calls, state, app } = await ready();
    expect(calls).toEqual(['hello', 'loadModel tale-1m', 'loadData king-james seq 64', 'plan lr 0.002']);
    expect(trainBlock(state(), app.vault)).toBeNull();
    expect(state().project.draft.sample.prompt).toBe('In the beginning');
  });

  it('falls back, and says so, where a link names what this build does not have', async () => {
    const { replaced, state } = await ready({ ...defaultRun, model: { kind: 'builtin', id: 'gone' }, method: { slug: 'tiny', fields: { rank: 99, alpha: 2, other: 1 } } });
    expect(replaced).toEqual(['gone', 'tiny.rank', 'tiny.other']);
    expect(state().project.draft.model).toEqual({ kind: 'builtin', id: 'tale-1m' });
    expect(state().project.draft.method).toEqual({ slug: 'tiny', fields: { alpha: 2 } });
  });

  it('says why there is no engine and blocks Train', async () => {
    const failure = { name: 'NoDeviceError', message: 'no adapter', hint: 'turn it on' };
    const { state, calls, app } = await ready(undefined, { hello: async () => ({ ...hello, device: null, failure }) });
    expect(state().engine.status).toBe('unsupported');
    expect(state().engine.failure).toEqual(failure);
    expect(calls).toEqual(['hello']);
    expect(trainBlock(state(), app.vault)).toBe('engine-gone');
  });
});

describe('the draft', () => {
  it('plans again for a setting, reads data again for a row length once it rests, and loads a model with its data', async () => {
    vi.useFakeTimers();
    try {
      const { app, calls } = await ready();
      calls.length = 0;
      app.edit.training({ lr: 0.01 });
      await app.reconciler.settled();
      expect(calls).toEqual(['plan lr 0.01']);
      calls.length = 0;
      for (const seq of [70, 80, 90]) app.edit.training({ seq });
      await app.reconciler.settled();
      expect(calls.some((call) => call.startsWith('loadData'))).toBe(false);
      await vi.advanceTimersByTimeAsync(300);
      await app.reconciler.settled();
      expect(calls.filter((call) => call.startsWith('loadData'))).toEqual(['loadData king-james seq 90']);
      calls.length = 0;
      app.edit.model({ kind: 'builtin', id: 'tale-16m' });
      await vi.advanceTimersByTimeAsync(300);
      await app.reconciler.settled();
      expect(calls).toEqual(expect.arrayContaining(['loadModel tale-16m', 'loadData king-james seq 90']));
    } finally {
      vi.useRealTimers();
    }
  });

  it('keeps the last working data behind a broken file, and goes back to them', async () => {
    const error = { name: 'DataError', message: 'notes.jsonl, line 3: not JSON', hint: 'Repair line 3.' };
    const { app, state, calls } = await ready(undefined, {
      loadData: async (source) => {
        if (source.kind === 'file') throw error;
        return { ...data, name: 'ok' };
      },
    });
    app.edit.field('rank', 16);
    app.ask.giveText('notes.jsonl', '{');
    await app.reconciler.settled();
    expect(state().project.data).toMatchObject({ status: 'failed', error, good: { kind: 'builtin', id: 'king-james' } });
    expect(trainBlock(state(), app.vault)).toBe('data-failed');
    app.ask.goBack('data');
    await app.reconciler.settled();
    expect(trainBlock(state(), app.vault)).toBeNull();
    expect(state().project.draft.method.fields).toEqual({ rank: 16 });
    expect(calls.filter((call) => call.startsWith('loadData')).length).toBe(3);
  });

  it('reads a file of the same name again when it is given again', async () => {
    const { app, calls } = await ready();
    calls.length = 0;
    app.ask.giveText('a.txt', 'one');
    await app.reconciler.settled();
    app.ask.giveText('a.txt', 'two');
    await app.reconciler.settled();
    expect(calls.filter((call) => call.startsWith('loadData'))).toEqual(['loadData a.txt seq 64', 'loadData a.txt seq 64']);
  });

  it('ends a reading that is not wanted any more, and reads what is', async () => {
    let give: (error: unknown) => void = () => {};
    const engine = recordedClient({
      loadData: async (source) => {
        if (source.kind === 'file') await new Promise((_, reject) => { give = reject; });
        return { ...data, name: source.kind === 'builtin' ? source.id : source.name };
      },
    });
    engine.client.cancelLoad = async () => give({ name: 'StudioError', message: 'ended', hint: '' });
    const app = createApp(engine.client, handClock().clock);
    await app.ask.begin();
    await app.reconciler.settled();
    app.ask.giveText('large.jsonl', '{}');
    await Promise.resolve();
    expect(app.store.getState().project.data.status).toBe('loading');
    app.edit.data({ kind: 'builtin', id: 'wordnet' });
    await app.reconciler.settled();
    expect(app.store.getState().project.data).toMatchObject({ status: 'ready', card: { name: 'wordnet' } });
  });

  it('forgets chosen columns with the file they were of, and reads again when they change', async () => {
    const { app, state, calls } = await ready();
    app.ask.giveText('a.csv', 'x,y');
    await app.reconciler.settled();
    calls.length = 0;
    app.edit.columns({ text: 'x' });
    await app.reconciler.settled();
    expect(calls.filter((call) => call.startsWith('loadData'))).toHaveLength(1);
    expect(state().project.draft.columns).toEqual({ text: 'x' });
    app.ask.giveText('b.csv', 'x,y');
    expect(state().project.draft.columns).toBeUndefined();
  });

  it('takes a model of the Hub by its name, tries again when asked, and drops adapters with the model before', async () => {
    let broken = true;
    const { app, state, calls } = await ready(undefined, {
      loadModel: async (source) => {
        if (source.kind === 'hub' && broken) throw { name: 'HubError', message: 'the connection broke', hint: 'again' };
        return model;
      },
    });
    await app.ask.addAdapter('mine', []);
    app.ask.trainOn('adapter-1');
    expect(state().project.draft.method).toMatchObject({ slug: 'lora', fields: { rank: 4 } });
    await app.ask.lookUp('model', 'a/b');
    expect(state().sources.hub.model).toMatchObject({ status: 'found', name: 'a/b' });
    app.ask.takeHub('model', 'a/b');
    await app.reconciler.settled();
    expect(state().project.model).toMatchObject({ status: 'failed', error: { name: 'HubError' } });
    expect(state().sources.adapters).toHaveLength(1);
    broken = false;
    app.ask.retry('model');
    await app.reconciler.settled();
    expect(state().project.model.status).toBe('ready');
    expect(state().sources).toMatchObject({ adapters: [], trainOn: null });
    expect(calls.filter((call) => call === 'loadModel a/b')).toHaveLength(2);
  });

  it('trains on from an adapter where the user presses Train, and nowhere else', async () => {
    const { app, state, calls } = await ready();
    await app.ask.addAdapter('mine', []);
    app.ask.trainOn('adapter-1');
    await app.reconciler.settled();
    await app.ask.startNow({ name: 'queued', config: state().project.draft, labels: { method: 'LoRA', model: 'tale-1m', data: 'king-james' } });
    expect(calls.at(-1)).toBe('start');
    await app.ask.train();
    expect(calls.filter((call) => call.startsWith('start'))).toEqual(['start']);
    app.store.setState(({ runs }) => ({ runs: { ...runs, byId: Object.fromEntries(Object.entries(runs.byId).map(([id, run]) => [id, { ...run, status: 'finished' as const }])) } }));
    await app.reconciler.settled();
    await app.ask.train();
    expect(calls.at(-1)).toBe('start from adapter-1');
  });

  it('a setup that is given leaves no columns or test share of the one before', async () => {
    const { app, state } = await ready({ ...defaultRun, columns: { text: 'body' }, test: 0.2, pack: true });
    expect(app.ask.giveConfig(defaultRun)).toBeNull();
    const { columns, test, pack } = state().project.draft;
    expect([columns, test ?? 0, pack ?? false]).toEqual([undefined, 0, false]);
  });

  it('waits for a file that only the link names', async () => {
    const { app, state, calls } = await ready({ ...defaultRun, data: { kind: 'file', name: 'logs.txt' } });
    expect(calls.some((call) => call.startsWith('loadData'))).toBe(false);
    expect(trainBlock(state(), app.vault)).toBe('data-missing');
  });

  it('blocks Train while the plan says that it does not fit', async () => {
    const problem = { message: 'too large', hint: 'lower the batch' };
    const { app, state } = await ready(undefined, { plan: async () => ({ trainable: 1, total: 2, byModule: [], bytes: [], peakBytes: 1, largestBuffer: 1, flopsPerStep: 1, dispatchesPerStep: 1, problem }) });
    expect(trainBlock(state(), app.vault)).toBe('plan-problem');
  });

  it('brings the prompt of built-in data until the user writes one', async () => {
    const { app, state } = await ready();
    app.edit.data({ kind: 'builtin', id: 'wordnet' });
    expect(state().project.draft.sample.prompt).toBe('Define heron.');
    app.edit.sample({ prompt: 'Mine' });
    app.edit.data({ kind: 'builtin', id: 'king-james' });
    expect(state().project.draft.sample.prompt).toBe('Mine');
  });

  it('carries fields to another method as far as that method takes them', async () => {
    const { app, state } = await ready();
    app.edit.field('rank', 32);
    app.edit.field('alpha', 4);
    app.edit.method('tiny');
    expect(state().project.draft.method).toEqual({ slug: 'tiny', fields: { alpha: 4 } });
    app.edit.field('alpha', 16);
    expect(state().project.draft.method.fields).toEqual({});
  });
});

describe('a run', () => {
  it('follows the events, one state change a frame', async () => {
    const { app, state, send, tick, pending } = await ready();
    await app.ask.train();
    expect(state().layout.panel).toBe('train');
    const run = state().runs.selected as string;
    expect(state().runs.byId[run]).toMatchObject({ name: 'lora-king-james', status: 'preparing', labels: { method: 'LORA', model: 'tale-1m' } });
    tick();
    let renders = 0;
    app.store.subscribe(() => renders++);
    send({ kind: 'status', run, status: 'running', step: 0 });
    send({ kind: 'eval', run, step: 0, loss: 5, metrics: {} });
    for (let step = 1; step <= 1000; step++) send({ kind: 'metrics', run, from: step, series: ['loss'], values: new Float32Array([5 - step / 1000]), seconds: step / 100, tokensPerSecond: 1000 });
    expect(renders).toBe(0);
    expect(pending()).toBe(1);
    tick();
    expect(renders).toBe(1);
    expect(state().runs.byId[run]).toMatchObject({ status: 'running', step: 1000, seconds: 10, tokensPerSecond: 1000 });
    expect(state().metrics.version[run]).toBe(1);
    expect(app.log.length(run)).toBe(1000);
    send({ kind: 'sample', run, sample: { prompt: 'p', off: 'a', on: 'b', step: 0 } });
    send({ kind: 'note', run, step: 4, text: 'three gates closed' });
    tick();
    expect(state().runs.byId[run]?.samples.length).toBe(1);
    expect(state().runs.byId[run]?.notes).toEqual([{ step: 4, text: 'three gates closed' }]);
    send({ kind: 'ended', run, reason: 'finished', step: 1000, seconds: 12 });
    expect(state().runs.byId[run]).toMatchObject({ status: 'finished', seconds: 12 });
    expect(activeRun(state().runs)).toBeNull();
  });

  it('knows a run whose first events come before the call is answered', async () => {
    const engine = recordedClient({
      start: async () => {
        engine.send({ kind: 'status', run: 'r', status: 'preparing', step: 0 });
        engine.send({ kind: 'eval', run: 'r', step: 0, loss: 5, metrics: {} });
        return 'r';
      },
    });
    const hand = handClock();
    const app = createApp(engine.client, hand.clock);
    await app.ask.begin();
    await app.reconciler.settled();
    await app.ask.train();
    expect(app.store.getState().runs.order).toEqual(['r']);
    expect(app.store.getState().runs.byId.r?.config.name).toBe('lora-king-james');
    expect(app.log.evals('r').losses).toEqual([5]);
  });

  it('measures its pace by the clock of the page, and forgets it in a pause', async () => {
    const { app, state, send, tick } = await ready();
    await app.ask.train();
    const run = state().runs.selected as string;
    const metrics = (from: number) => send({ kind: 'metrics', run, from, series: ['loss'], values: new Float32Array([1]), seconds: 1, tokensPerSecond: 1 });
    send({ kind: 'status', run, status: 'running', step: 0 });
    metrics(1);
    tick(500);
    metrics(2);
    tick(500);
    expect(state().runs.byId[run]?.secondsPerStep).toBeCloseTo(0.5);
    send({ kind: 'status', run, status: 'paused', step: 2 });
    tick(60_000);
    expect(state().runs.byId[run]?.secondsPerStep).toBeNull();
    send({ kind: 'status', run, status: 'running', step: 2 });
    metrics(3);
    tick(100);
    metrics(4);
    tick(0);
    expect(state().runs.byId[run]?.secondsPerStep).toBeCloseTo(0.1);
  });

  it('neither loads nor reads anything while it goes on, but plans; then catches up', async () => {
    const { app, state, send, calls } = await ready();
    await app.ask.train();
    const run = state().runs.selected as string;
    calls.length = 0;
    app.edit.data({ kind: 'builtin', id: 'wordnet' });
    app.edit.training({ lr: 0.5 });
    await app.reconciler.settled();
    expect(calls.filter((call) => !call.startsWith('plan'))).toEqual([]);
    expect(calls).toContain('plan lr 0.5');
    expect(trainBlock(state(), app.vault)).toBe('run-active');
    send({ kind: 'ended', run, reason: 'stopped', step: 3, seconds: 1 });
    await app.reconciler.settled();
    expect(calls).toContain('loadData wordnet seq 64');
  });

  it('goes back to Build with the reason when it does not start', async () => {
    const { app, state } = await ready(undefined, {
      start: async () => {
        throw { name: 'DeviceLimitError', message: 'too large', hint: 'lower the batch' };
      },
    });
    await app.ask.train();
    expect(state().layout.panel).toBe('build');
    expect(state().project.startError).toMatchObject({ name: 'DeviceLimitError', hint: 'lower the batch' });
    expect(state().runs.order).toEqual([]);
  });

  it('leaves nothing behind of a run that was announced and then failed to start', async () => {
    const engine = recordedClient({
      start: async () => {
        engine.send({ kind: 'status', run: 'r', status: 'preparing', step: 0 });
        throw { name: 'DataError', message: 'too few rows', hint: '' };
      },
    });
    const app = createApp(engine.client, handClock().clock);
    await app.ask.begin();
    await app.reconciler.settled();
    await app.ask.train();
    expect(app.store.getState().runs).toEqual({ byId: {}, order: [], selected: null });
    expect(trainBlock(app.store.getState(), app.vault)).toBeNull();
  });

  it('gives each run a name of its own', async () => {
    const { app, state, send } = await ready();
    for (let i = 0; i < 2; i++) {
      await app.ask.train();
      send({ kind: 'ended', run: state().runs.selected as string, reason: 'finished', step: 1, seconds: 1 });
    }
    expect(Object.values(state().runs.byId).map((run) => run.name)).toEqual(['lora-king-james', 'lora-king-james-2']);
  });

  it('keeps answers to the user’s own prompt apart from the scheduled texts', async () => {
    const { app, state, tick } = await ready();
    await app.ask.train();
    const run = state().runs.selected as string;
    expect(await app.ask.sample(run, 'Hello')).toBeNull();
    tick();
    expect(state().runs.byId[run]?.own).toEqual([{ prompt: 'Hello', off: 'off', on: 'on', step: 3 }]);
    expect(state().runs.byId[run]?.samples).toEqual([]);
  });

  it('shows a failed export with its hint, and fails a run whose engine broke', async () => {
    const { app, state, crash } = await ready();
    await app.ask.train();
    const run = state().runs.selected as string;
    const request = { source: { kind: 'run', run }, format: 'peft', dtype: 'F32' } as const;
    await app.ask.exportAs(request, run);
    expect(state().artifacts.exports[exportKey(request)]).toMatchObject({ status: 'failed', error: { name: 'CheckpointError', hint: 'do this' } });
    crash('out of memory');
    expect(state().engine.status).toBe('crashed');
    expect(state().runs.byId[run]).toMatchObject({ status: 'failed', error: { message: 'out of memory' } });
  });

});

describe('a lost device', () => {
  const training = async (answers: Parameters<typeof recordedClient>[0] = {}) => {
    const at = await ready(undefined, answers);
    await at.app.ask.train();
    const run = at.state().runs.selected as string;
    at.send({ kind: 'status', run, status: 'running', step: 0 });
    at.send({ kind: 'metrics', run, from: 1, series: ['loss'], values: Float32Array.from({ length: 30 }, (_, i) => 5 - i / 9), seconds: 3, tokensPerSecond: 1 });
    at.send({ kind: 'saved', run, step: 20, bytes: 1 });
    at.tick();
    at.calls.length = 0;
    return { ...at, run };
  };
  const lose = async (at: Awaited<ReturnType<typeof training>>) => {
    at.send({ kind: 'lost', message: 'GPU process exited' });
    await vi.waitFor(() => expect(at.state().engine.status).not.toBe('recovering'));
    await at.app.reconciler.settled();
    await vi.waitFor(() => expect(at.state().runs.byId[at.run]?.status).not.toBe('stopped'));
  };

  it('is replaced; the model and the data are loaded again, and the run goes on from its kept state', async () => {
    const at = await training();
    await lose(at);
    expect(at.calls).toEqual(['recover', 'loadModel tale-1m', 'loadData king-james seq 64', `start again ${at.run}`]);
    expect(at.state().engine).toMatchObject({ status: 'ready', failure: null });
    expect(at.state().runs.byId[at.run]).toMatchObject({ status: 'preparing', error: null, recovery: { reason: 'GPU process exited', lostAt: 30, from: 20, seconds: null } });
    at.send({ kind: 'status', run: at.run, status: 'running', step: 20 });
    at.send({ kind: 'metrics', run: at.run, from: 21, series: ['loss'], values: new Float32Array([5 - 20 / 9]), seconds: 1, tokensPerSecond: 1 });
    at.tick();
    expect(at.state().runs.byId[at.run]?.recovery).toMatchObject({ repeats: true, seconds: expect.any(Number) });
  });

  it('is told apart from a state that repeats badly', async () => {
    const at = await training();
    await lose(at);
    at.send({ kind: 'metrics', run: at.run, from: 21, series: ['loss'], values: new Float32Array([5 - 20 / 9 + 1e-6]), seconds: 1, tokensPerSecond: 1 });
    at.tick();
    expect(at.state().runs.byId[at.run]?.recovery?.repeats).toBe(false);
  });

  it('gives the user’s setup back, and loads it only when the run ends', async () => {
    const at = await training();
    at.app.edit.data({ kind: 'builtin', id: 'wordnet' });
    await at.app.reconciler.settled();
    await lose(at);
    await vi.waitFor(() => expect(at.state().project.draft.data).toEqual({ kind: 'builtin', id: 'wordnet' }));
    expect(at.calls.filter((call) => call.startsWith('loadData'))).toEqual(['loadData king-james seq 64']);
  });

  it('whose run also told its failure still has the run go on, once', async () => {
    const at = await training();
    at.send({ kind: 'ended', run: at.run, reason: 'failed', step: 30, seconds: 3, error: { name: 'DeviceLostError', message: 'gone', hint: '' } });
    await lose(at);
    expect(at.calls.filter((call) => call.startsWith('start'))).toEqual([`start again ${at.run}`]);
  });

  it('that does not come back leaves the run as failed with the reason, and can be asked for again', async () => {
    let there = false;
    const at = await training({ recover: async () => { if (!there) throw { name: 'NoDeviceError', message: 'no adapter', hint: 'restart the browser' }; return hello.device as never; } });
    at.send({ kind: 'lost', message: 'gone' });
    await vi.waitFor(() => expect(at.state().engine.status).toBe('lost'));
    expect(at.state().engine.failure).toMatchObject({ message: 'no adapter', hint: 'restart the browser' });
    expect(at.state().runs.byId[at.run]).toMatchObject({ status: 'stopped', interrupted: true, recovery: null });
    there = true;
    await at.app.ask.recover();
    expect(at.state().engine.status).toBe('ready');
    expect(await at.app.ask.goOn(at.run)).toBeNull();
  });

  it('that goes again and again is not asked for for ever', async () => {
    const at = await training();
    for (let i = 0; i < 3; i++) await lose(at);
    at.send({ kind: 'lost', message: 'GPU process exited' });
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(at.state().engine.status).toBe('lost');
    expect(at.calls.filter((call) => call === 'recover').length).toBe(3);
  });
});

it('the recorded model has the sites that the tests rely on', () => expect(model.sites.length).toBe(6));
