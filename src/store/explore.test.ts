// The explorer's session over a recorded client: what is sent when, what is shown of it, and what is not.
import { describe, expect, it } from 'vitest';
import type { Measured } from './contract';
import { allocationsFor, createExplore, cutOf, keepOf, most, sizeOf } from './explore';
import { explored, recordedClient } from './recorded.testing';

type Answers = Parameters<typeof recordedClient>[0];

/** A session whose timers run when the test says so. */
function setup(answers: Answers = {}) {
  const { client, calls } = recordedClient(answers);
  const waiting: (() => void)[] = [];
  const explore = createExplore(client, async () => null, (callback) => void waiting.push(callback));
  const settle = async () => {
    for (let i = 0; i < 200; i++) {
      await Promise.resolve();
      if (i % 10 === 9) for (const callback of waiting.splice(0)) callback();
    }
  };
  return { explore, calls, settle, state: explore.store.getState, waiting };
}
async function opened(answers: Answers = {}) {
  const all = setup(answers);
  await all.explore.open({ kind: 'run', run: 'run-1' }, { name: 'lora', step: 9, prompt: 'Hello' });
  await all.settle();
  all.calls.length = 0;
  return all;
}

describe('opening', () => {
  it('measures both ends, then writes the texts once', async () => {
    const { explore, calls, settle, state } = setup();
    await explore.open({ kind: 'run', run: 'run-1' }, { name: 'lora', step: 9, prompt: 'Hello' });
    await settle();
    expect(calls).toEqual(['exploreOpen run-1', 'exploreEvaluate svd 4,3 at 1', 'exploreEvaluate svd 0,0 at 1', 'exploreTexts Hello']);
    expect(state()).toMatchObject({ status: 'open', source: { key: 'run-1@9', run: 'run-1', step: 9 }, at: { rank: 4, components: 7, energy: 1, gates: 7 }, whole: { loss: 4 - 7 / 8 }, base: { loss: 4 } });
    expect(state().points.rank).toEqual([{ at: 0, components: 0, parameters: 0, loss: 4 }, { at: 4, components: 7, parameters: 56, loss: 3.125 }]);
    expect(state().measured?.cut.keep).toEqual([4, 3]);
    expect(state().texts?.result.cut).toEqual(['b']);
  });

  it('says why it failed, and an answer for what was open before is no news', async () => {
    const failing = setup({ exploreOpen: async () => { throw Object.assign(new Error('the run is still training'), { hint: 'Pause it.' }); } });
    await failing.explore.open({ kind: 'run', run: 'a' }, { name: 'a', step: 0, prompt: '' });
    expect(failing.state()).toMatchObject({ status: 'failed', error: { message: 'the run is still training', hint: 'Pause it.' } });
    let release = () => {};
    const { explore, state, settle } = setup({ exploreOpen: (source) => (source.kind === 'run' && source.run === 'slow' ? new Promise((resolve) => { release = () => resolve({ ...explored, tokens: 1 }); }) : Promise.resolve(explored)) });
    const slow = explore.open({ kind: 'run', run: 'slow' }, { name: 'slow', step: 0, prompt: '' });
    await explore.open({ kind: 'run', run: 'quick' }, { name: 'quick', step: 0, prompt: '' });
    release();
    await slow;
    await settle();
    expect(state()).toMatchObject({ source: { name: 'quick' }, card: { tokens: 63 } });
  });

  it('without held-out rows it measures nothing', async () => {
    const { explore, calls, settle, state } = setup({ exploreOpen: async () => ({ ...explored, rows: [], tokens: 0 }) });
    await explore.open({ kind: 'run', run: 'r' }, { name: 'r', step: 0, prompt: '' });
    explore.move(3);
    await settle();
    expect(calls).toEqual(['exploreOpen r']);
    expect(state()).toMatchObject({ measured: null, whole: null, measuring: false });
  });
});

describe('dragging', () => {
  it('is debounced: only the cut that stands is measured, and only it becomes a point', async () => {
    const { explore, calls, settle, state } = await opened();
    for (const at of [6, 5, 4, 3]) explore.move(at);
    expect(state().measuring).toBe(true);
    expect(state().points.components.length).toBe(2);
    await settle();
    expect(calls).toEqual(['exploreEvaluate svd 2,1 at 1', 'exploreTexts Hello']);
    expect(state()).toMatchObject({ measuring: false, measured: { cut: { keep: [2, 1] }, result: { loss: 4 - 3 / 8 } } });
    expect(state().points.components.map(({ at }) => at)).toEqual([0, 3, 7]);
  });

  it('an older measurement never shows under a newer cut', async () => {
    const answers: ((result: Measured | null) => void)[] = [];
    const { explore, settle, state } = await opened({ exploreEvaluate: (cut) => (cut.keep.join() === '4,3' || cut.keep.join() === '0,0' ? Promise.resolve({ loss: 1, rows: new Float32Array(1), seconds: 0 }) : new Promise((resolve) => { answers.push(resolve); })) });
    explore.move(5);
    await settle();
    explore.move(2);
    await settle();
    answers[1]?.({ loss: 22, rows: new Float32Array(1), seconds: 0 });
    await settle();
    // The engine answers null where a newer cut took the place; even a late number must not.
    answers[0]?.({ loss: 55, rows: new Float32Array(1), seconds: 0 });
    await settle();
    expect(state().measured?.result.loss).toBe(22);
  });

  it('strength and modules set by hand are measured, but are no points of the curve', async () => {
    const { explore, calls, settle, state } = await opened();
    explore.strength(-0.5);
    await settle();
    explore.give(0, 0);
    await settle();
    explore.give(0, null);
    explore.strength(1);
    await settle();
    expect(calls.filter((call) => call.startsWith('exploreEvaluate'))).toEqual(['exploreEvaluate svd 4,3 at -0.5', 'exploreEvaluate svd 0,3 at -0.5', 'exploreEvaluate svd 4,3 at 1']);
    expect(state().points.components.map(({ at }) => at)).toEqual([0, 7]);
  });

  it('keeps the last number and says what went wrong', async () => {
    const { explore, settle, state } = await opened({ exploreEvaluate: async (cut) => {
      if (cut.keep.join() === '1,0') throw new Error('lost');
      return { loss: 3, rows: new Float32Array(1), seconds: 0 };
    } });
    explore.move(1);
    await settle();
    expect(state()).toMatchObject({ measuring: false, measureError: { message: 'lost' }, measured: { cut: { keep: [4, 3] } } });
  });

  it('gates cut trained ranks by their gates', async () => {
    const { explore, calls, settle } = await opened();
    explore.mode('gates');
    explore.move(4);
    await settle();
    // 4, 3, 2, 1 and 0.9, 0.5, 0.1.
    expect(calls[0]).toBe('exploreEvaluate trained 4,0 at 1');
  });
});

describe('longer measurements', () => {
  it('the curve measures places that are not known yet', async () => {
    const { explore, calls, settle, state } = await opened();
    const done = explore.curve();
    await settle();
    await done;
    expect(state().points.components.map(({ at }) => at)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(calls.length).toBe(6);
    expect(state().task).toBeNull();
  });

  it('the smallest cut within 1 %: it holds there, and not one below', async () => {
    const { explore, settle, state } = await opened({ exploreEvaluate: async (cut) => ({ loss: [9, 5, 3, 2.5, 2.02, 2.019, 2.01, 2][cut.keep.reduce((a, b) => a + b)]!, rows: new Float32Array(1), seconds: 0 }) });
    const done = explore.smallest(0.01);
    await settle();
    await done;
    expect(state().at.components).toBe(4);
    const losses = new Map(state().points.components.map(({ at, loss }) => [at, loss]));
    expect(losses.get(4)).toBeLessThanOrEqual(2.02);
    expect(losses.get(3)).toBeGreaterThan(2.02);
  });

  it('can be ended, and a drag meanwhile has its turn', async () => {
    const { explore, settle, state, calls } = await opened();
    const curve = explore.curve();
    explore.move(2);
    await settle();
    await curve;
    expect(state().measured?.cut.keep).toEqual([2, 0]);
    expect(calls).toContain('exploreEvaluate svd 2,0 at 1');
    explore.mode('energy');
    const ended = explore.curve();
    explore.cancel();
    await settle();
    await ended;
    expect(state()).toMatchObject({ task: null, taskError: null });
    expect(state().points.energy.length).toBeLessThan(5);
  });

  it('allocations spend the same budget and are measured; by loss only once that is known', async () => {
    const { explore, settle, state } = await opened();
    explore.move(4);
    await settle();
    let done = explore.allocations();
    await settle();
    await done;
    expect(state().allocations).toMatchObject({ budget: 32, rows: [{ name: 'even', keep: [2, 2], loss: 3.5 }, { name: 'energy', keep: [3, 1] }] });
    done = explore.importance();
    await settle();
    await done;
    expect([...state().importance!]).toEqual([0.1, 0.3]);
    // The second module matters three times as much: its second component goes before the first one's third.
    expect(allocationsFor(explored, 32, state().importance).at(-1)).toEqual({ name: 'loss', keep: [2, 2] });
    explore.giveAll([1, 3]);
    await settle();
    expect(state().measured?.cut.keep).toEqual([1, 3]);
  });
});

it('readings of a cut', () => {
  expect((['rank', 'components', 'energy', 'gates'] as const).map((mode) => most(explored, mode))).toEqual([4, 7, 1, 7]);
  expect(keepOf(explored, 'rank', 2)).toEqual([2, 2]);
  expect(keepOf(explored, 'energy', 0.9)).toEqual([3, 2]);
  expect(sizeOf({ card: explored }, [3, 1])).toEqual({ components: 4, parameters: 32 });
  expect(cutOf({ card: explored, mode: 'components', at: { rank: 0, components: 7, energy: 0, gates: 0 }, given: { 1: 0 }, strength: 2 })).toEqual({ basis: 'svd', keep: [4, 0], strength: 2 });
});
