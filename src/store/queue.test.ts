// Comparisons: which runs they are, that they train one after the other on the right model and data, and what comes out of them.
import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { createApp } from './app';
import { defaultRun, type Plan, type RunConfig } from './contract';
import { againstBaseline, deviation, frontier, groupRuns, setupColumns, toCsv, toMarkdown } from './groups';
import { handClock, hello, recordedClient } from './recorded.testing';
import { newRun, type RunRecord } from './slices/runs';
import { armOf, sweepRuns } from './sweep';

const planOf = (trainable: number): Plan => ({ trainable, total: 1e6, byModule: [], bytes: [], peakBytes: 1, largestBuffer: 1, flopsPerStep: 1, dispatchesPerStep: 1 });
const arm = (slug: string, rank: number) => ({ slug, fields: { rank }, trainable: rank * 100, plan: planOf(rank * 100), off: 0 });
const sweep = { name: 'equal', base: defaultRun, arms: [arm('lora', 8), arm('tiny', 4)], rates: [1e-3, 3e-3], seeds: [1, 2] };

async function ready(answers: Parameters<typeof recordedClient>[0] = {}) {
  const engine = recordedClient(answers);
  const hand = handClock();
  const app = createApp(engine.client, hand.clock);
  await app.ask.begin();
  await app.reconciler.settled();
  engine.calls.length = 0;
  return { app, ...engine, ...hand, state: () => app.store.getState() };
}
const settle = () => new Promise((resolve) => setTimeout(resolve, 2));

describe('the size of an arm', () => {
  const card = { ...hello.methods[0]!, fields: { ...hello.methods[0]!.fields, rank: { kind: 'int', label: '', help: '', default: 8, min: 1, max: 64 } as const } };
  it('is the rank that comes nearest, whatever the parameters a rank costs', async () => {
    await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 900 }), fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 1, max: 60_000 }), async (each, fixed, wanted) => {
      const sizes = Array.from({ length: 64 }, (_, i) => fixed + each * (i + 1));
      const nearest = Math.min(...sizes.map((size) => Math.abs(size - wanted)));
      const found = await armOf(card, defaultRun, wanted, async (config) => planOf(fixed + each * Number(config.method.fields.rank)));
      expect(Math.abs(found.trainable - wanted)).toBe(nearest);
      expect(found.off).toBeCloseTo(found.trainable / wanted - 1);
    }), { numRuns: 60 });
  });

  it('asks for few plans, and says so where a method has no rank', async () => {
    let plans = 0;
    const plan = async (config: RunConfig) => { plans++; return planOf(Number(config.method.fields.rank ?? 3) * 10); };
    await armOf(card, defaultRun, 300, plan);
    expect(plans).toBeLessThan(10);
    const { rank: _, ...fields } = card.fields;
    expect((await armOf({ ...card, fields }, defaultRun, 300, plan)).off).toBeNull();
  });
});

describe('a comparison', () => {
  it('is every arm with every rate and seed, seed by seed, all else equal', () => {
    const runs = sweepRuns(sweep).map(({ config }) => config);
    expect(runs.map(({ name }) => name)).toEqual(['lora-r8-lr0.001-s1', 'tiny-r4-lr0.001-s1', 'lora-r8-lr0.003-s1', 'tiny-r4-lr0.003-s1', 'lora-r8-lr0.001-s2', 'tiny-r4-lr0.001-s2', 'lora-r8-lr0.003-s2', 'tiny-r4-lr0.003-s2']);
    for (const { training: { lr: _, seed: __, ...rest } } of runs) expect(rest).toEqual((({ lr: ___, seed: ____, ...other }) => other)(defaultRun.training));
  });

  it('trains one run after the other, each as soon as the one before ended, and is done', async () => {
    const { app, calls, send, state } = await ready();
    app.queue.add({ ...sweep, rates: [1e-3], base: state().project.draft });
    const trained: string[] = [];
    for (let i = 0; i < 4; i++) {
      await settle();
      const run = state().runs.order.at(-1) as string;
      trained.push(state().runs.byId[run]?.name as string);
      expect(calls.filter((call) => call.startsWith('start')).length).toBe(i + 1);
      expect(state().queue.items.length).toBe(3 - i);
      send({ kind: 'ended', run, reason: 'finished', step: 200, seconds: 1 });
    }
    await settle();
    expect(trained).toEqual(['lora-r8-lr0.001-s1', 'tiny-r4-lr0.001-s1', 'lora-r8-lr0.001-s2', 'tiny-r4-lr0.001-s2']);
    expect(state().queue.state).toBe('idle');
    expect(Object.values(state().runs.byId).map((run) => run.tags)).toEqual(Array.from({ length: 4 }, () => ['equal']));
    expect(Object.values(state().runs.byId).map((run) => run.facts?.trainable)).toEqual([800, 400, 800, 400]);
  });

  it('lets nothing else be loaded between two of its runs, and reads the user’s edits when it is done', async () => {
    const { app, calls, send, state } = await ready();
    app.queue.add({ ...sweep, rates: [1e-3], seeds: [1], base: state().project.draft });
    await settle();
    app.edit.data({ kind: 'builtin', id: 'wordnet' });
    // The plan of the edit is done: nothing but the queue keeps the new data away.
    await app.reconciler.settled();
    send({ kind: 'ended', run: state().runs.order.at(-1) as string, reason: 'finished', step: 200, seconds: 1 });
    await settle();
    expect(calls.filter((call) => call.startsWith('start')).length).toBe(2);
    expect(calls.filter((call) => call.startsWith('load'))).toEqual([]);
    send({ kind: 'ended', run: state().runs.order.at(-1) as string, reason: 'finished', step: 200, seconds: 1 });
    await vi.waitFor(() => expect(calls).toContain('loadData wordnet seq 64'));
  });

  it('goes on when one run does not start, and names it', async () => {
    let starts = 0;
    const { app, send, state } = await ready({ start: async () => { if (++starts === 1) throw { name: 'DeviceLimitError', message: 'too large', hint: '' }; return `run-${starts}`; } });
    app.queue.add({ ...sweep, rates: [1e-3], seeds: [1], base: state().project.draft });
    await settle();
    expect(state().queue.failed).toEqual([{ name: 'lora-r8-lr0.001-s1', failure: expect.objectContaining({ message: 'too large' }) }]);
    expect(state().runs.order).toEqual(['run-2']);
    send({ kind: 'ended', run: 'run-2', reason: 'finished', step: 1, seconds: 1 });
    expect(state().queue.state).toBe('idle');
  });

  it('stays paused where it is paused while a run starts, and that run with it', async () => {
    let started = () => {};
    const { app, calls, state } = await ready({ start: () => new Promise((resolve) => { started = () => resolve('slow'); }) });
    app.queue.add({ ...sweep, base: state().project.draft });
    await settle();
    await app.queue.pause();
    started();
    await settle();
    expect(state().queue).toMatchObject({ state: 'paused', items: { length: 7 } });
    expect(calls.filter((call) => /^(start|pause)/.test(call))).toEqual(['start lora-r8-lr0.001-s1', 'pause']);
  });

  it('is paused with its run, goes on, and is cancelled', async () => {
    const { app, calls, send, state } = await ready();
    app.queue.add({ ...sweep, base: state().project.draft });
    await settle();
    const run = state().runs.order[0] as string;
    send({ kind: 'status', run, status: 'running', step: 1 });
    await app.queue.pause();
    expect(calls).toContain('pause');
    send({ kind: 'status', run, status: 'paused', step: 1 });
    send({ kind: 'ended', run, reason: 'stopped', step: 1, seconds: 1 });
    await settle();
    expect(state().runs.order.length).toBe(1);
    await app.queue.resume();
    await settle();
    expect(state().runs.order.length).toBe(2);
    await app.queue.cancel();
    expect(calls).toContain('stop');
    send({ kind: 'ended', run: state().runs.order[1] as string, reason: 'stopped', step: 1, seconds: 1 });
    await settle();
    expect(state().runs.order.length).toBe(2);
    expect(state().queue.items).toEqual([]);
  });
});

describe('runs side by side', () => {
  const losses = new Map<string, number>();
  const run = (slug: string, seed: number, loss: number, trainable: number, more: Partial<RunConfig['training']> = {}): RunRecord => {
    const id = `${slug}-${seed}-${loss}`;
    losses.set(id, loss);
    const config = { ...defaultRun, method: { slug, fields: { rank: trainable / 100 } }, training: { ...defaultRun.training, seed, ...more } };
    return { ...newRun(id, { name: `${slug}-s${seed}`, config, labels: { method: slug, model: 'm', data: 'd' }, facts: { trainable, peakBytes: 1, flopsPerStep: 1 } }), status: 'finished' };
  };
  const lossOf = (id: string) => losses.get(id) ?? null;
  const runs = [run('lora', 1, 2, 800), run('lora', 2, 2.2, 800), run('tiny', 1, 1.9, 810), run('tiny', 2, 2.1, 810), run('tiny', 1, 1.5, 4000)];

  it('stand together where only the seed differs, with mean and deviation', () => {
    const groups = groupRuns(runs, lossOf, true);
    expect(groups.map(({ name, runs: { length }, mean }) => [name, length, mean])).toEqual([['lora', 2, 2.1], ['tiny', 2, 2], ['tiny-s1', 1, 1.5]]);
    expect(groups[0]?.spread).toBeCloseTo(Math.SQRT1_2 / 5);
    expect(groups[2]?.spread).toBeNull();
    expect(groupRuns(runs, lossOf, false).length).toBe(5);
    expect(deviation([1])).toBeNull();
  });

  it('are held against the LoRA of equal size, seed by seed', () => {
    const groups = groupRuns(runs, lossOf, true);
    const difference = againstBaseline(groups[1]!, groups, lossOf);
    expect(difference).toMatchObject({ baseline: 'lora', seeds: 2, beyondChance: true });
    expect(difference?.delta).toBeCloseTo(-0.1);
    expect(difference?.spread).toBeCloseTo(0);
    expect(againstBaseline(groups[0]!, groups, lossOf)).toBeNull();
    // Five times as many parameters: there is no LoRA to hold it against.
    expect(againstBaseline(groups[2]!, groups, lossOf)).toBeNull();
  });

  it('are not compared across tasks or seeds, and a single seed says nothing beyond chance', () => {
    const longer = groupRuns([...runs, run('other', 1, 1, 800, { steps: 999 })], lossOf, true);
    expect(againstBaseline(longer.at(-1)!, longer, lossOf)).toBeNull();
    const strange = groupRuns([...runs, run('other', 9, 1, 800)], lossOf, true);
    expect(againstBaseline(strange.at(-1)!, strange, lossOf)).toBeNull();
    const spread = groupRuns([...runs, run('other', 1, 1.7, 800), run('other', 2, 2.3, 800)], lossOf, true);
    expect(againstBaseline(spread.at(-1)!, spread, lossOf)).toMatchObject({ seeds: 2, beyondChance: false, spread: expect.closeTo(0.28, 2) });
    const single = groupRuns([...runs, run('other', 1, 1.2, 800)], lossOf, true);
    expect(againstBaseline(single.at(-1)!, single, lossOf)).toMatchObject({ seeds: 1, spread: null, beyondChance: false });
  });

  it('show the settings in which they differ', () => {
    const groups = groupRuns(runs, lossOf, true);
    expect(setupColumns(groups, true, true).map(({ id }) => id)).toEqual(['field.rank']);
    expect(setupColumns(groups, false, true).length).toBeGreaterThan(8);
    expect(setupColumns(groupRuns(runs, lossOf, false), true, false).map(({ id }) => id)).toEqual(['field.rank', 'training.seed']);
  });

  it('have a frontier that nothing beats in both', () => {
    fc.assert(fc.property(fc.array(fc.record({ x: fc.integer({ min: 1, max: 50 }), y: fc.integer({ min: 1, max: 50 }) }), { minLength: 1 }), (points) => {
      const kept = frontier(points);
      for (const point of points) expect(kept.some((best) => best.x <= point.x && best.y <= point.y)).toBe(true);
      for (const best of kept) expect(points.some((point) => (point.x < best.x && point.y <= best.y) || (point.x <= best.x && point.y < best.y))).toBe(false);
    }));
  });

  it('leave as CSV and Markdown, with what these take apart quoted', () => {
    const rows = [['run', 'targets'], ['a', '\\.(q|v)$'], ['b, "c"', '']];
    expect(toCsv(rows)).toBe('run,targets\na,\\.(q|v)$\n"b, ""c""",\n');
    expect(toMarkdown(rows)).toBe('| run | targets |\n| --- | --- |\n| a | \\.(q\\|v)$ |\n| b, "c" |  |\n');
  });
});
